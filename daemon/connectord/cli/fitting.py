"""Tables that fit: how wide text is on a terminal, and what is shortened where the terminal is too narrow.

Into a pipe or a file nothing is ever cut.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence

GAP = 2
"""Spaces between two columns."""

_WHOLE = frozenset({"ID", "ACTION"})
"""Columns that are copied into the next command: never cut."""

_NARROW, _NARROWEST = 8, 5
_TIME = re.compile(r"(\d{4}-(\d\d-\d\d))T(\d\d:\d\d:\d\d)\.\d+Z", re.ASCII)
_TO_THE_SECOND, _WITHOUT_THE_YEAR = r"\1 \3", r"\2 \3"


def terminal_columns() -> int | None:
    """How many columns standard output has; None where it is no terminal."""
    if not sys.stdout.isatty():
        return None
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except OSError:
        return None


def cell_width(text: str) -> int:
    """How many columns ``text`` takes on a terminal: wide characters two, combining ones none."""
    return len(text) if text.isascii() else sum(map(_character_width, text))


def _character_width(character: str) -> int:
    import unicodedata  # few tables need it

    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def pad(text: str, width: int) -> str:
    """``text`` with spaces behind it, up to ``width`` columns."""
    return text + " " * (width - cell_width(text))


def cut(text: str, width: int) -> str:
    """``text`` in at most ``width`` columns (1 or more); an ellipsis stands for what was left out."""
    if cell_width(text) <= width:
        return text
    kept = ""
    for character in text:
        if cell_width(kept + character) > width - 1:
            break
        kept += character
    return f"{kept}…"


def fit(lines: Sequence[Sequence[str]], columns: int | None) -> list[list[str]]:
    """The cells of a table, of which the first line is its heading, so that a line has at most ``columns`` columns.

    Times lose their fractions first, then the widest texts their ends, then times their years. Ids stay whole;
    where nothing else helps a line is too long rather than useless.
    """
    table = [list(line) for line in lines]
    if columns is None or not table:
        return table
    count = len(table[0])
    times = [column for column in range(count) if _is_time(table, column)]
    texts = [column for column in range(count) if column not in times and _may_be_cut(table, column)]
    for floor, form in ((None, _TO_THE_SECOND), (_NARROW, None), (None, _WITHOUT_THE_YEAR), (_NARROWEST, None)):
        if _excess(table, columns) <= 0:
            break
        if form is not None:
            _shorten_times(table, times, form)
        if floor is not None:
            _narrow(table, texts, floor, columns)
    return table


def widths(table: Sequence[Sequence[str]]) -> list[int]:
    """The width of every column."""
    return [max(cell_width(line[column]) for line in table) for column in range(len(table[0]))]


def _excess(table: Sequence[Sequence[str]], columns: int) -> int:
    found = widths(table)
    return sum(found) + GAP * (len(found) - 1) - columns


def _is_time(table: Sequence[Sequence[str]], column: int) -> bool:
    cells = [line[column] for line in table[1:] if line[column] != "-"]
    return bool(cells) and all(_TIME.fullmatch(cell) for cell in cells)


def _may_be_cut(table: Sequence[Sequence[str]], column: int) -> bool:
    if table[0][column] in _WHOLE:
        return False
    return any(not re.fullmatch(r"[\d.,/]+( of \d+)?|-", line[column], re.ASCII) for line in table[1:])


def _shorten_times(table: list[list[str]], times: Sequence[int], form: str) -> None:
    for line in table[1:]:
        for column in times:
            # what the first form has shortened already has no T any more
            text = line[column]
            line[column] = _TIME.sub(form, text) if "T" in text else text[5:] if form == _WITHOUT_THE_YEAR else text


def _narrow(table: list[list[str]], texts: Sequence[int], floor: int, columns: int) -> None:
    found = widths(table)
    excess = _excess(table, columns)
    while excess > 0:
        widest = max(texts, key=lambda column: found[column], default=None)
        if widest is None or found[widest] <= floor:
            break
        found[widest] -= 1
        excess -= 1
    for line in table:
        for column in texts:
            line[column] = cut(line[column], found[column])
