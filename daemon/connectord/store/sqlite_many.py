"""Writing many rows with few statements.

The module sqlite3 gives the interpreter's lock away at every statement that it runs, and ``executemany`` runs one for
each row; whoever takes the lock meanwhile keeps it for a while. A statement of many rows gives it away once, and costs
SQLite itself a quarter less.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import cache
from itertools import chain
from typing import Any

ROWS_AT_ONCE = (64, 32, 16, 8, 4, 2, 1)
"""How many rows the statements have: few of them make any number, and few of them have to be kept ready."""


class RowStatement:
    """A statement that there is for each number of rows in :data:`ROWS_AT_ONCE`; ``of`` makes its text."""

    __slots__ = ("text",)

    def __init__(self, of: Callable[[int], str]) -> None:
        self.text = cache(of)
        """The statement for so many rows."""

    def run(self, connection: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Write the rows in their order."""
        begin, end = 0, len(rows)
        for count in ROWS_AT_ONCE:
            while end - begin >= count:
                connection.execute(self.text(count), list(chain.from_iterable(rows[begin : begin + count])))
                begin += count


class SingleStatement:
    """A statement that cannot be of many rows, for each of them depends on the one before."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def run(self, connection: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Write the rows in their order."""
        connection.executemany(self.text, rows)


def inserting(table: str, columns: Sequence[str], conflict: str = "") -> RowStatement:
    """Inserts rows of these columns; ``conflict`` is what comes after the values."""
    head = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "  # noqa: S608
    return RowStatement(lambda count: f"{head}{_rows(count, len(columns))} {conflict}")


def updating(table: str, columns: Sequence[str], keys: Sequence[str], condition: str = "") -> RowStatement:
    """Sets these columns of what has these keys and meets the condition; a row is the columns' values and the keys'.

    No two rows may be of one key.
    """
    width = len(columns) + len(keys)

    def of(count: int) -> str:
        if count == 1:
            values, source = ["?"] * width, ""
        else:
            values = [f"v.column{number}" for number in range(1, width + 1)]
            source = f"FROM (VALUES {_rows(count, width)}) AS v "
        pairs = [f"{name} = {value}" for name, value in zip((*columns, *keys), values, strict=True)]
        where = [f"{table}.{pair}" for pair in pairs[len(columns) :]]
        if condition:
            where.append(condition)
        changes = ", ".join(pairs[: len(columns)])
        return f"UPDATE {table} SET {changes} {source}WHERE {' AND '.join(where)}"  # noqa: S608

    return RowStatement(of)


def _rows(count: int, width: int) -> str:
    row = f"({', '.join('?' * width)})"
    return ", ".join([row] * count)
