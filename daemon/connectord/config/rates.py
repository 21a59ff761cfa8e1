"""Rates as people write them: a number and a unit of time, ``"50/s"``."""

from __future__ import annotations

import re

from connectord.config.durations import MILLISECONDS
from connectord.config.values import Rate

HIGHEST_COUNT = 1_000_000
_RATE = re.compile(r"([0-9]{1,18})/(s|m|h)", re.ASCII)


def parse_rate(text: str) -> Rate:
    """The rate that ``text`` stands for: 1 to 1,000,000 in a second, a minute or an hour.

    Raises :class:`ValueError`, with how to write it, for anything else.
    """
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError('must be a whole number and "/s", "/m" or "/h", such as "50/s"')
    count = int(match[1])
    if not 1 <= count <= HIGHEST_COUNT:
        raise ValueError(f'must be from "1/{match[2]}" to "{HIGHEST_COUNT}/{match[2]}"; leave it out for no limit')
    return Rate(count=count, per_ms=MILLISECONDS[match[2]])


def format_rate(rate: Rate) -> str:
    """The text that :func:`parse_rate` reads back as ``rate``; other periods are shown in milliseconds."""
    for unit in ("s", "m", "h"):
        if MILLISECONDS[unit] == rate.per_ms:
            return f"{rate.count}/{unit}"
    return f"{rate.count}/{rate.per_ms}ms"
