"""Polls and probes in the store: the index that holds only what is polled, and what other actions pay for it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import connectord_schema
import pytest
from connectord.lifecycle.action import Action, Reason, Resolution, State, changed_fields, replace
from connectord.store import sqlite_due, sqlite_writer
from connectord.store.base import NewAction, WriteSet
from connectord.store.sqlite_connection import open_writer
from connectord.store.sqlite_rows import update_of
from connectord.store.sqlite_writer import SqliteWriter

NOW = 1_764_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteWriter]:
    store = SqliteWriter(tmp_path / "connectord.db")
    yield store
    store.close()


def put(store: SqliteWriter, *actions: Action) -> None:
    # as the ledger does: a new action has none of what polls and probes change
    new = [replace(each, next_poll_at=None, reference=None, probe=False, ask_step=0) for each in actions]
    updated = {each.id: (before, each) for before, each in zip(new, actions, strict=True)}
    store.write(WriteSet(inserted=[NewAction(each, "{}") for each in new], updated=updated))


def waiting(name: str, **changes: object) -> Action:
    action = Action(name, "sys", NOW, state=State.WAITING, deadline=NOW + 1000, next_poll_at=NOW, attempts=1)
    return replace(action, **changes)  # type: ignore[arg-type]


def test_an_action_comes_back_as_it_was(store: SqliteWriter) -> None:
    action = waiting("a", reference="job 7", ask_step=3)
    probed = Action("b", "sys", NOW, due_at=NOW, probe=True, ask_step=1)
    put(store, action, probed)
    assert store.load_action("a") == action
    assert store.load_action("b") == probed


def test_what_is_due_is_found_besides_what_is_under_way(store: SqliteWriter) -> None:
    put(
        store,
        waiting("late", next_poll_at=NOW - 1),
        waiting("now"),
        waiting("soon", next_poll_at=NOW + 5),
        waiting("over", deadline=NOW),
        waiting("else", system="other"),
        waiting("unpolled", next_poll_at=None),
    )
    assert [due.action.id for due in store.due_polls("sys", NOW, 10, [])] == ["late", "now"]
    assert [due.action.id for due in store.due_polls("sys", NOW, 1, [])] == ["late"]
    assert [due.action.id for due in store.due_polls("sys", NOW, 10, ["late"])] == ["now"]
    assert store.next_poll_at("sys", NOW, []) == NOW - 1
    assert store.next_poll_at("sys", NOW, ["late", "now"]) == NOW + 5
    assert store.next_poll_at("sys", NOW, ["late", "now", "soon"]) is None


def test_what_is_due_is_attempted_besides_the_probes_under_way(store: SqliteWriter) -> None:
    put(store, *(Action(name, "sys", NOW, due_at=NOW + at, probe=True) for name, at in (("a", 0), ("b", 1), ("c", 9))))
    assert [due.action.id for due in store.due_actions("sys", NOW + 1, 10)] == ["a", "b"]
    assert [due.action.id for due in store.due_actions("sys", NOW + 1, 10, ["a"])] == ["b"]
    assert store.next_due_at("sys") == NOW
    assert store.next_due_at("sys", ["a", "b"]) == NOW + 9
    assert store.next_due_at("sys", ["a", "b", "c"]) is None


def test_rule_10_what_is_probed_is_not_over_the_limit(store: SqliteWriter) -> None:
    tried = [Action(name, "sys", NOW, due_at=NOW, attempts=5, probe=name == "probed") for name in ("tried", "probed")]
    put(store, *tried)
    assert [action.id for action in store.over_limit("sys", 5, 10)] == ["tried"]


def test_the_page_of_what_waits_tells_what_is_not_polled(store: SqliteWriter) -> None:
    put(
        store,
        waiting("a", next_poll_at=None),
        waiting("b"),
        waiting("c", system="other", next_poll_at=None),
        Action("d", "sys", NOW, due_at=NOW),
    )
    assert store.waiting_page("sys", "", 10) == [("a", True), ("b", False)]
    assert store.waiting_page("sys", "a", 1) == [("b", False)]


@pytest.mark.parametrize(
    ("module", "sql", "index"),
    [
        (sqlite_due, "_DUE_POLLS", "actions_poll (system=? AND next_poll_at>? AND next_poll_at<?)"),
        (sqlite_due, "_NEXT_POLL", "actions_poll (system=? AND next_poll_at>?)"),
        (sqlite_writer, "_WAITING_PAGE", "actions_live (system=? AND state=? AND id>?)"),
        (sqlite_due, "_DUE_BESIDES", "actions_due (system=? AND <expr>=? AND due_at<?)"),
        (sqlite_due, "_DUE_IDS", "actions_due (system=? AND <expr>=? AND due_at<?)"),
        (sqlite_due, "_DUE_IDS_BESIDES", "actions_due (system=? AND <expr>=? AND due_at<?)"),
        (sqlite_due, "_OF_IDS", "sqlite_autoindex_actions_1 (id=?)"),
        (sqlite_due, "_MANUALLY_BESIDES", "actions_due (system=? AND <expr>=? AND due_at<?)"),
        (sqlite_due, "_NEXT_BESIDES", "actions_due (system=? AND <expr>=?)"),
        (sqlite_due, "_NEXT_MANUALLY_BESIDES", "actions_due (system=? AND <expr>=?)"),
    ],
)
def test_each_question_goes_through_its_index_and_sorts_nothing(
    store: SqliteWriter, module: ModuleType, sql: str, index: str
) -> None:
    statement = getattr(module, sql)
    values = (None,) * (len({*re.findall(r"\?[0-9]", statement)}) or statement.count("?"))
    plan = [row[3] for row in store._connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert any(step.endswith(f" INDEX {index}") for step in plan), plan
    assert not any("TEMP B-TREE" in step for step in plan), plan


def test_the_index_holds_only_what_is_waiting_and_polled(store: SqliteWriter) -> None:
    actions = [waiting(str(number)) for number in range(10)] + [waiting("x", next_poll_at=None)]
    put(store, *actions)
    assert _indexed(store) == 10
    closed = [
        replace(each, state=State.CLOSED, resolution=Resolution.DONE_SUCCESSFULLY, deadline=None, next_poll_at=None)
        for each in actions
    ]
    todo = [replace(each, state=State.TODO, reason=Reason.TIMEOUT, resolution=None) for each in closed[:5]]
    decided = zip(actions, (*todo, *closed[5:]), strict=True)
    store.write(WriteSet(updated={before.id: (before, after) for before, after in decided}))
    assert _indexed(store) == 0


def test_an_action_that_is_not_polled_does_not_touch_the_index(store: SqliteWriter) -> None:
    new = Action("a", "sys", NOW, due_at=NOW, scheduled_at=NOW)
    attempting = replace(new, state=State.ATTEMPTING, attempts=1, due_at=None)
    taken = replace(attempting, state=State.WAITING, deadline=NOW + 1, scheduled_at=None)
    closed = replace(taken, state=State.CLOSED, resolution=Resolution.DONE_SUCCESSFULLY, deadline=None, closed_at=NOW)
    root = store._connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'actions_poll'").fetchone()[0]
    for before, after in itertools.pairwise((new, attempting, taken, closed)):
        assert not _opens(store, root, before, after)
    assert _opens(store, root, taken, replace(taken, next_poll_at=NOW))


def _opens(store: SqliteWriter, root: int, before: Action, after: Action) -> bool:
    statement, _ = update_of(changed_fields(before, after))
    opened = []
    for count in (1, 8):
        text = statement.text(count)
        program = store._connection.execute(f"EXPLAIN {text}", (None,) * text.count("?")).fetchall()
        # columns of EXPLAIN: address, opcode, p1, p2 (the root page of what is opened), ...
        opened.append(root in {row[3] for row in program if row[1].startswith("Open")})
    assert opened[0] == opened[1]
    return opened[0]


def test_a_database_of_before_is_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from connectord.store import sqlite_migrations

    path = tmp_path / "connectord.db"
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_migrations, "MIGRATIONS", sqlite_migrations.MIGRATIONS[:2])
        database = open_writer(path)
        database.execute(
            "INSERT INTO actions (id, system, state, submitted_at, deadline) VALUES ('old', 'sys', 'waiting', 1, 2)"
        )
        database.close()
    store = SqliteWriter(path)
    action = store.load_action("old")
    assert action is not None
    assert (action.reference, action.probe, action.next_poll_at, action.ask_step) == (None, False, None, 0)
    store.close()
    assert "actions_poll" in connectord_schema.read_sql("0003_asking.sql")


def _indexed(store: SqliteWriter) -> int:
    sql = "SELECT count(*) FROM actions INDEXED BY actions_poll WHERE next_poll_at IS NOT NULL"
    return int(store._connection.execute(sql).fetchone()[0])
