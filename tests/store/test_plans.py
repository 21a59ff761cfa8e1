"""Every question that the daemon asks all the time is answered from an index that holds what it is about."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest
from connectord.lifecycle.action import Action, Resolution, State
from connectord.store import sqlite_alike, sqlite_changes, sqlite_due, sqlite_reader, sqlite_stories, sqlite_writer
from connectord.store.base import ChangeFilters, Filters, NewAction, WriteSet
from connectord.store.sqlite_many import ROWS_AT_ONCE, RowStatement
from connectord.store.sqlite_reader import SqliteReader
from connectord.store.sqlite_rows import update_of
from connectord.store.sqlite_writer import SqliteWriter

# by the query: what its plan must begin with
DUE = {
    "_DUE_POLLS": "SEARCH a USING INDEX actions_poll (system=? AND next_poll_at>? AND next_poll_at<?)",
    "_NEXT_POLL": "SEARCH actions USING INDEX actions_poll (system=? AND next_poll_at>?)",
}
WRITER = {
    "_WAITING_PAGE": "SEARCH actions USING INDEX actions_live (system=? AND state=? AND id>?)",
    "_OVERDUE": "SEARCH actions USING INDEX actions_deadline (deadline<?)",
    "_NEXT_DEADLINE": "SEARCH actions USING INDEX actions_deadline",
    "_OPEN_ATTEMPTS": "SCAN attempts USING INDEX attempts_open",
    "_LOAD_ACTION": "SEARCH a USING INDEX sqlite_autoindex_actions_1 (id=?)",
    "_WAS_RERUN": "SEARCH actions USING COVERING INDEX actions_rerun (rerun_of=?)",
}


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[SqliteWriter, SqliteReader]]:
    path = tmp_path / "connectord.db"
    with closing(SqliteWriter(path)) as writer, closing(SqliteReader(path)) as reader:
        yield writer, reader


@pytest.mark.parametrize(
    ("module", "name", "step"),
    [
        (module, name, step)
        for module, steps in ((sqlite_due, DUE), (sqlite_writer, WRITER))
        for name, step in steps.items()
    ],
)
def test_the_writer_asks_an_index(
    module: ModuleType, name: str, step: str, stores: tuple[SqliteWriter, SqliteReader]
) -> None:
    sql = getattr(module, name)
    args = tuple("[]" for _ in range(sql.count("?")))
    plan = [row[3] for row in stores[0]._connection.execute(f"EXPLAIN QUERY PLAN {sql}", args)]
    assert plan[0].startswith(step), plan
    assert not any("TEMP B-TREE" in step for step in plan), plan


@pytest.mark.parametrize("count", [2, max(ROWS_AT_ONCE)])
@pytest.mark.parametrize(
    ("statement", "seeks"),
    [
        (update_of(("state", "due_at"))[0], "SEARCH actions USING COVERING INDEX sqlite_autoindex_actions_1 (id=?)"),
        (sqlite_changes._END_ATTEMPTS, "SEARCH attempts USING PRIMARY KEY (action_id=? AND number=?)"),
        (sqlite_changes._SET_DATA, "SEARCH actions USING COVERING INDEX sqlite_autoindex_actions_1 (id=?)"),
        (sqlite_changes._SET_CASE_DATA, "SEARCH cases USING COVERING INDEX sqlite_autoindex_cases_1 (id=?)"),
    ],
)
def test_many_rows_are_changed_by_a_step_into_the_key_for_each(
    statement: RowStatement, seeks: str, count: int, stores: tuple[SqliteWriter, SqliteReader]
) -> None:
    text = statement.text(count)
    plan = [row[3] for row in stores[0]._connection.execute(f"EXPLAIN QUERY PLAN {text}", ("",) * text.count("?"))]
    assert plan[-1] == seeks, plan
    assert not any(step.startswith(("SCAN actions", "SCAN attempts", "SCAN cases")) for step in plan), plan


@pytest.mark.parametrize(
    ("filters", "begins"),
    [
        (Filters(), "SEARCH a USING INDEX sqlite_autoindex_actions_1 (id<?)"),
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


def test_what_a_limit_closes_is_found_by_an_index(stores: tuple[SqliteWriter, SqliteReader]) -> None:
    sql = sqlite_alike._OVER_LIMIT
    plan = [row[3] for row in stores[0]._connection.execute(f"EXPLAIN QUERY PLAN {sql}", ("s", 4, 10))]
    assert plan[0] == "SEARCH a USING INDEX actions_retrying (system=? AND attempts>?)"


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


def plans_of(reader: SqliteReader, ask: Callable[[SqliteReader], object]) -> list[list[str]]:
    connection, seen = reader._connection, list[str]()
    connection.set_trace_callback(seen.append)
    ask(reader)
    connection.set_trace_callback(None)
    asked = [sql for sql in seen if "RECURSIVE" not in sql]
    return [[row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")] for sql in asked]


LIVE = "SEARCH a USING INDEX actions_live (system=? AND state=? AND id<?)"
DONE = "SEARCH a USING INDEX actions_done (system=? AND id<?)"


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(state="waiting", system="s"), [LIVE]),
        (Filters(state="waiting"), [LIVE, LIVE]),
        (Filters(system="s"), [LIVE] * 5 + [DONE]),
        (Filters(system="s", state="closed"), [DONE]),
        (Filters(state="closed"), [DONE, DONE]),
        (Filters(resolution="done_successfully"), [DONE, DONE]),
    ],
    ids=str,
)
def test_a_list_by_system_and_state_merges_streams_that_begin_where_the_last_page_ended(
    filters: Filters, expected: list[str], stores: tuple[SqliteWriter, SqliteReader]
) -> None:
    seed(stores[0], 60)
    plans = plans_of(stores[1], lambda reader: reader.list_records(filters, "01Z", 50))
    assert plans == [[step] for step in expected]


def test_the_counts_at_the_start_read_one_index_and_no_table(stores: tuple[SqliteWriter, SqliteReader]) -> None:
    plan = [row[3] for row in stores[0]._connection.execute(f"EXPLAIN QUERY PLAN {sqlite_writer._LIVE_COUNTS}")]
    assert "SEARCH a USING COVERING INDEX actions_live (system=? AND state=?)" in plan
    assert [step for step in plan if step.startswith("SCAN") and step not in {"SCAN s", "SCAN live"}] == [
        "SCAN CONSTANT ROW"
    ] * 5


def test_the_oldest_of_a_state_is_found_by_a_step_for_each_system(stores: tuple[SqliteWriter, SqliteReader]) -> None:
    plan = [row[3] for row in stores[0]._connection.execute(f"EXPLAIN QUERY PLAN {sqlite_reader._OLDEST}", ("x",))]
    assert [step for step in plan if step.startswith("SCAN")] == ["SCAN s"], plan


def seed(store: SqliteWriter, count: int) -> list[Action]:
    """Actions of two systems in all states, as if submitted one after the other."""
    rng, made = random.Random(3), []
    for number in range(count):
        state = rng.choice(tuple(State))
        action = Action(
            id=f"01J{number:023}",
            system=rng.choice(("s", "t")),
            submitted_at=number,
            state=state,
            due_at=number if state is State.PENDING else None,
            deadline=number if state is State.WAITING else None,
            resolution=rng.choice(tuple(Resolution)) if state is State.CLOSED else None,
            closed_at=number if state is State.CLOSED else None,
        )
        made.append(action)
    store.begin()
    store.write(WriteSet(inserted=[NewAction(action, "{}") for action in made]))
    store.commit()
    return made


@pytest.mark.parametrize("system", [None, "s", "t", "unknown"])
@pytest.mark.parametrize("state", [None, *State])
@pytest.mark.parametrize("resolution", [None, Resolution.DONE_SUCCESSFULLY])
def test_pages_hold_what_a_look_through_everything_finds(
    stores: tuple[SqliteWriter, SqliteReader], system: str | None, state: State | None, resolution: Resolution | None
) -> None:
    writer, reader = stores
    made = seed(writer, 120)
    wanted = [
        action.id
        for action in reversed(made)
        if system in (None, action.system) and state in (None, action.state) and resolution in (None, action.resolution)
    ]
    filters, after = Filters(system=system, state=state, resolution=resolution), None
    found: list[str] = []
    while page := reader.list_records(filters, after, 7):
        found += [record.action.id for record in page]
        after = found[-1]
    assert found == wanted
    if state not in (None, State.CLOSED):
        of_state = [action.id for action in made if action.state is state]
        assert [action.id for action in reader.live_page(state, "", 1000)] == of_state
        assert [action.id for action in writer.live_page(state, of_state[2], 3)] == of_state[3:6]
        assert reader.glance(["s"]).oldest[state] == int(of_state[0][3:])
    counts = Counter((action.system, action.state.value) for action in made if action.state is not State.CLOSED)
    assert writer.live_counts() == counts
    # nothing is left open that would keep the log from being written back
    assert writer._all("PRAGMA wal_checkpoint(TRUNCATE)") == [(0, 0, 0)]
