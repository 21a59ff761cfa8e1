"""People's work in the store: the grouped counts, the filters, and that closed rows are never read for them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from connectord.store import sqlite_connection, sqlite_migrations, sqlite_reader
from connectord.store.base import Filters, PeopleCount
from connectord.store.sqlite_reader import SqliteReader
from connectord.store.sqlite_writer import SqliteWriter

# id, state, queue, user, todo_at
ROWS = [
    ("01", "todo", "default", None, 500),
    ("02", "todo", "default", None, 300),
    ("03", "todo", "seniors", "anna", 400),
    ("04", "in_progress", "seniors", "anna", 100),
    ("05", "in_progress", "default", "ben", 200),
    ("06", "todo", None, "maria", 600),
    ("07", "closed", "default", "ben", 1),
    ("08", "closed", "seniors", "anna", 1),
    ("09", "pending", None, None, None),
]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[SqliteReader]:
    writer = SqliteWriter(tmp_path / "connectord.db")
    for action_id, state, queue, user, todo_at in ROWS:
        writer._connection.execute(
            "INSERT INTO actions (id, system, state, queue, user, todo_at, submitted_at, due_at, resolution) "
            "VALUES (?, 'sys', ?, ?, ?, ?, 0, ?, ?)",
            (
                action_id,
                state,
                queue,
                user,
                todo_at,
                0 if state == "pending" else None,
                "done_successfully" if state == "closed" else None,
            ),
        )
    reader = SqliteReader(tmp_path / "connectord.db")
    yield reader
    reader.close()
    writer.close()


def test_the_counts_by_queue_user_and_state(reader: SqliteReader) -> None:
    counts = reader.people_counts()
    assert len(counts) == len(set(counts))
    assert set(counts) == {
        PeopleCount("default", None, "todo", 2, 300),
        PeopleCount("seniors", "anna", "todo", 1, 400),
        PeopleCount("seniors", "anna", "in_progress", 1, 100),
        PeopleCount("default", "ben", "in_progress", 1, 200),
        PeopleCount(None, "maria", "todo", 1, 600),
    }


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        (Filters(queue="default"), ["05", "02", "01"]),
        (Filters(queue="seniors"), ["04", "03"]),
        (Filters(user="anna"), ["04", "03"]),
        (Filters(user="maria"), ["06"]),
        (Filters(queue="default", user="ben"), ["05"]),
        (Filters(queue="default", state="todo"), ["02", "01"]),
        (Filters(user="anna", state="in_progress"), ["04"]),
        (Filters(queue="default", system="other"), []),
        (Filters(queue="nowhere"), []),
    ],
)
def test_the_filters_find_what_people_have_to_do(filters: Filters, ids: list[str], reader: SqliteReader) -> None:
    assert [record.action.id for record in reader.list_records(filters, None, 10)] == ids
    # in pages, as the control socket asks
    assert [record.action.id for record in reader.list_records(filters, "05", 1)] == [
        each for each in ids if each < "05"
    ][:1]


def plan_of(reader: SqliteReader, statements: Sequence[str]) -> list[str]:
    return [row[-1] for text in statements for row in reader._connection.execute(f"EXPLAIN QUERY PLAN {text}")]


def test_the_counts_are_read_from_the_partial_index_alone(reader: SqliteReader) -> None:
    assert plan_of(reader, [sqlite_reader._PEOPLE_COUNTS]) == ["SCAN actions USING COVERING INDEX actions_people"]


@pytest.mark.parametrize(
    ("filters", "access"),
    [
        (Filters(queue="default"), "SEARCH a USING INDEX actions_people (queue=?"),
        (Filters(queue="default", user="ben"), "SEARCH a USING INDEX actions_people (queue=? AND user=?"),
        (Filters(user="ben", state="todo", system="sys"), "SCAN a USING INDEX actions_people"),
    ],
)
def test_the_filters_read_the_partial_index(filters: Filters, access: str, reader: SqliteReader) -> None:
    seen: list[str] = []
    reader._connection.set_trace_callback(seen.append)
    reader.list_records(filters, "05", 10)
    reader._connection.set_trace_callback(None)
    assert plan_of(reader, seen)[0].startswith(access)


def test_actions_that_needed_a_person_before_have_their_time_from_the_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "connectord.db"
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_migrations, "MIGRATIONS", ("0001_initial.sql",))
        sqlite_connection.open_writer(path).close()
    with sqlite3.connect(path) as old:
        for action_id, state in (("01", "todo"), ("02", "in_progress"), ("03", "waiting")):
            old.execute(
                "INSERT INTO actions (id, system, state, submitted_at, queue, deadline) VALUES (?, 's', ?, 0, 'q', ?)",
                (action_id, state, 9 if state == "waiting" else None),
            )
        old.executemany(
            "INSERT INTO history (action_id, at, to_state, event, rules, why, who) VALUES (?, ?, ?, '', '', '', '')",
            [
                ("01", 50, "todo"),
                ("02", 60, "todo"),
                ("02", 70, "in_progress"),
                ("02", 80, "todo"),
                ("03", 90, "waiting"),
            ],
        )
    old.close()
    SqliteWriter(path).close()
    reader = SqliteReader(path)
    found = {record.action.id: record.action.todo_at for record in reader.list_records(Filters(), None, 10)}
    reader.close()
    assert found == {"01": 50, "02": 60, "03": None}
