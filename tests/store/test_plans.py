"""Every question that the daemon asks all the time is answered from an index that holds what it is about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from connectord.store import sqlite_rows, sqlite_stories, sqlite_writer
from connectord.store.base import ChangeFilters, Filters
from connectord.store.sqlite_reader import SqliteReader
from connectord.store.sqlite_writer import SqliteWriter

# by the query: what its plan must begin with
WRITER = {
    "_DUE_ACTIONS": "SEARCH a USING INDEX actions_due (system=? AND due_at<?)",
    "_DUE_ACTIONS_BESIDES": "SEARCH a USING INDEX actions_due (system=? AND due_at<?)",
    "_NEXT_DUE": "SEARCH actions USING INDEX actions_due (system=?)",
    "_NEXT_DUE_BESIDES": "SEARCH actions USING INDEX actions_due (system=?)",
    "_DUE_POLLS": "SEARCH a USING INDEX actions_poll (system=? AND next_poll_at>? AND next_poll_at<?)",
    "_NEXT_POLL": "SEARCH actions USING INDEX actions_poll (system=? AND next_poll_at>?)",
    "_WAITING_PAGE": "SEARCH actions USING INDEX actions_live (state=? AND id>?)",
    "_OVERDUE": "SEARCH actions USING INDEX actions_deadline (deadline<?)",
    "_NEXT_DEADLINE": "SEARCH actions USING INDEX actions_deadline",
    "_OVER_LIMIT": "SEARCH actions USING INDEX actions_retrying (system=? AND attempts>?)",
    "_OPEN_ATTEMPTS": "SCAN attempts USING INDEX attempts_open",
    "_LOAD_ACTION": "SEARCH a USING INDEX sqlite_autoindex_actions_1 (id=?)",
    "_WAS_RERUN": "SEARCH actions USING COVERING INDEX actions_rerun (rerun_of=?)",
}


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[SqliteWriter, SqliteReader]]:
    path = tmp_path / "connectord.db"
    with closing(SqliteWriter(path)) as writer, closing(SqliteReader(path)) as reader:
        yield writer, reader


@pytest.mark.parametrize("name", WRITER)
def test_the_writer_asks_an_index(name: str, stores: tuple[SqliteWriter, SqliteReader]) -> None:
    sql = getattr(sqlite_writer, name)
    args = tuple("[]" for _ in range(sql.count("?")))
    plan = [row[3] for row in stores[0]._connection.execute(f"EXPLAIN QUERY PLAN {sql}", args)]
    assert plan[0].startswith(WRITER[name]), plan
    assert not any("TEMP B-TREE" in step for step in plan), plan


@pytest.mark.parametrize(
    ("filters", "begins"),
    [
        (Filters(), "SEARCH a USING INDEX sqlite_autoindex_actions_1 (id<?)"),
        (Filters(state="pending"), "SEARCH a USING INDEX actions_live (state=? AND id<?)"),
        (Filters(state="waiting", system="s"), "SEARCH a USING INDEX actions_live (state=? AND id<?)"),
        (Filters(system="s"), "SEARCH a USING INDEX actions_system (system=? AND id<?)"),
        (Filters(system="s", state="closed"), "SEARCH a USING INDEX actions_system (system=? AND id<?)"),
        (Filters(case_id="C"), "SEARCH a USING INDEX actions_case (case_id=? AND id<?)"),
        (Filters(case_id="C", state="pending"), "SEARCH a USING INDEX actions_case (case_id=? AND id<?)"),
        (Filters(case_id="C", system="s"), "SEARCH a USING INDEX actions_case (case_id=? AND id<?)"),
        (Filters(queue="q"), "SEARCH a USING INDEX actions_people (queue=?)"),
        (Filters(retrying=True), "SEARCH a USING INDEX actions_retrying_newest (id<?)"),
    ],
    ids=str,
)
def test_a_page_of_the_list_begins_where_the_last_one_ended(
    filters: Filters, begins: str, stores: tuple[SqliteWriter, SqliteReader]
) -> None:
    connection, seen = stores[1]._connection, list[str]()
    connection.set_trace_callback(seen.append)
    stores[1].list_records(filters, "01Z", 50)
    connection.set_trace_callback(None)
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {seen[0]}")]
    assert plan[0] == begins
    assert filters.queue or not any("TEMP B-TREE" in step for step in plan), plan


def test_show_why_and_watch_read_no_table_whole(stores: tuple[SqliteWriter, SqliteReader]) -> None:
    reader = stores[1]
    connection, seen = reader._connection, list[str]()
    connection.set_trace_callback(seen.append)
    reader.record("01A")
    reader.story("01A")
    reader.history("01A")
    reader.attempts("01A")
    reader.case("C", None, 10)
    reader.history_page(ChangeFilters(), 5, 10, 10)
    reader.history_page(ChangeFilters(system="s"), 5, 10, 10)
    connection.set_trace_callback(None)
    assert len(seen) > 6
    for sql in seen:
        if sql in ("BEGIN", "COMMIT"):
            continue
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
        assert not [step for step in plan if step.startswith("SCAN") and step != "SCAN retention"], (sql, plan)
    assert sqlite_stories.RERUNS_SHOWN
    assert "INDEXED BY actions_live" in sqlite_rows.LIVE_PAGE
