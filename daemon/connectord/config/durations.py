"""Durations as people write them: a number and a unit, ``"1.5s"``."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
"""Every unit of a duration, the smallest first, in milliseconds."""

TEN_YEARS_MS = 3_650 * MILLISECONDS["d"]
"""The longest duration that a configuration may hold."""

_HOW = 'write a number and one of ms, s, m, h, d, such as "30s" or "1.5h"'

# bounded, so that no input makes the arithmetic slow
_DURATION = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)", re.ASCII)
_LONGEST_SHOWN = 40


def parse_duration(text: str) -> int:
    """The duration that ``text`` stands for, in whole milliseconds, 0 or more.

    Raises :class:`ValueError`, with how to write it, for anything else than a number and a unit, and for
    fractions of a millisecond.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(_explain(text))
    number, unit = match.groups()
    milliseconds = Fraction(number) * MILLISECONDS[unit]
    if milliseconds.denominator != 1:
        raise ValueError(f'"{text}" is not a whole number of milliseconds; nothing shorter than 1ms is measured')
    return int(milliseconds)


def format_duration(milliseconds: int) -> str:
    """The shortest text that :func:`parse_duration` reads back as exactly ``milliseconds`` (0 or more).

    One unit only, and never less than one of it: 90000 is ``"90s"``, 1500 is ``"1.5s"``, 100 is ``"100ms"``.
    Raises :class:`ValueError` for a negative number.
    """
    if milliseconds < 0:
        raise ValueError(f"a duration is 0 or more, not {milliseconds}")
    if milliseconds == 0:
        return "0s"
    whole = [f"{milliseconds // size}{unit}" for unit, size in MILLISECONDS.items() if milliseconds % size == 0]
    decimal = [
        f"{Decimal(milliseconds * 1000 // size).scaleb(-3).normalize():f}{unit}"
        for unit, size in MILLISECONDS.items()
        if milliseconds > size and milliseconds * 1000 % size == 0
    ]
    # min() keeps the first of equals, so a whole number wins over a decimal of the same length
    return min(whole + decimal, key=len)


def _explain(text: str) -> str:
    shown = text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."
    problem = f'"{shown}" is not a duration'
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return f'{problem}: the unit is missing; "{shown}s" would be seconds'
    if text.startswith("-"):
        return f"{problem}: it cannot be negative"
    if len(re.findall(r"[0-9](?:ms|s|m|h|d)", text)) > 1:
        return f'{problem}: use one unit only, such as "90s" for a minute and a half'
    compact = "".join(text.split()).lower()
    if _DURATION.fullmatch(compact):
        return f'{problem}: write "{compact}"'
    return f"{problem}: {_HOW}"
