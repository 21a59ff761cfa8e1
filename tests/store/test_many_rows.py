"""Statements of many rows write what a statement for each row would, with far fewer of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from connectord.store.sqlite_many import ROWS_AT_ONCE, inserting, updating

INSERT = inserting("parts", ["name", "number", "amount"])
UPDATE = updating("parts", ["amount"], ["name", "number"], "amount IS NOT 0")
MOST = max(ROWS_AT_ONCE)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE parts (name TEXT, number INTEGER, amount REAL, PRIMARY KEY (name, number))")
        yield connection


def rows_of(connection: sqlite3.Connection) -> list[tuple[str, int, float | None]]:
    return connection.execute("SELECT * FROM parts ORDER BY number").fetchall()


@pytest.mark.parametrize("count", [0, 1, 2, 3, MOST - 1, MOST, MOST + 1, 3 * MOST + 57])
def test_any_number_of_rows_is_written_whole(count: int, connection: sqlite3.Connection) -> None:
    rows = [(f"p{number % 3}", number, 0.0 if number % 5 == 0 else number / 3) for number in range(count)]
    INSERT.run(connection, rows)
    assert rows_of(connection) == rows
    changed = [(None if amount > 20 else -amount, name, number) for name, number, amount in rows]
    UPDATE.run(connection, [*changed, (1.5, "nobody", 7)])
    assert rows_of(connection) == [
        (name, number, before if before == 0 else after)
        for (name, number, before), (after, *_) in zip(rows, changed, strict=True)
    ]


def test_a_hundred_rows_take_a_few_statements(connection: sqlite3.Connection) -> None:
    seen: list[str] = []
    connection.set_trace_callback(seen.append)
    INSERT.run(connection, [("p", number, None) for number in range(100)])
    assert len(seen) == 3


def test_one_row_that_is_refused_takes_its_statement_back(connection: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        INSERT.run(connection, [("p", 1, None), ("p", 2, None), ("p", 1, None), ("p", 3, None)])
    assert rows_of(connection) == []


def test_what_comes_after_the_values_is_kept(connection: sqlite3.Connection) -> None:
    upsert = inserting(
        "parts", ["name", "number", "amount"], "ON CONFLICT (name, number) DO UPDATE SET amount = excluded.amount"
    )
    upsert.run(connection, [("p", 1, 1.0), ("p", 2, 2.0), ("p", 1, 3.0), ("p", 1, 4.0), ("q", 3, 5.0)])
    assert rows_of(connection) == [("p", 1, 4.0), ("p", 2, 2.0), ("q", 3, 5.0)]
