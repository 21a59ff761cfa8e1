"""Whose turn it is among what is due: by hand, then retries up to their share, then new ones, then other retries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from connectord.lifecycle.action import Action
from connectord.store import sqlite_due
from connectord.store.base import NewAction, WriteSet
from connectord.store.sqlite_writer import SqliteWriter

NOW = 1_764_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteWriter]:
    store = SqliteWriter(tmp_path / "connectord.db")
    yield store
    store.close()


def put(store: SqliteWriter, *actions: Action) -> None:
    store.begin()
    store.write(WriteSet(inserted=[NewAction(action, "{}", None, None, None) for action in actions]))
    store.commit()


def new(name: str, at: int = 0) -> Action:
    return Action(name, "sys", NOW, due_at=NOW + at)


def retry(name: str, at: int = 0) -> Action:
    return Action(name, "sys", NOW, due_at=NOW + at, attempts=2)


def test_each_has_its_turn(store: SqliteWriter) -> None:
    by_hand = Action("by hand", "sys", NOW, due_at=NOW + 5, attempts=1, manual=True)
    put(store, retry("r0", 0), retry("r1", 1), retry("r2", 2), new("n3", 3), new("n4", 4), by_hand, new("later", 99))

    def due(limit: int, retries: int) -> list[str]:
        return [each.action.id for each in store.due_actions("sys", NOW + 10, limit, retries=retries)]

    assert due(10, 1) == ["by hand", "r0", "n3", "n4", "r1", "r2"]
    assert due(10, 0) == ["by hand", "n3", "n4", "r0", "r1", "r2"]
    assert due(10, 64) == ["by hand", "r0", "r1", "r2", "n3", "n4"]
    assert due(3, 1) == ["by hand", "r0", "n3"]
    besides = [each.action.id for each in store.due_actions("sys", NOW + 10, 10, ["r0", "n3"], retries=1)]
    assert besides == ["by hand", "r1", "n4", "r2"]
    assert [each.action.id for each in store.due_manually("sys", NOW + 10, 10)] == ["by hand"]
    assert store.due_manually("sys", NOW + 10, 10, ["by hand"]) == []
    assert store.next_due_at("sys") == NOW
    assert store.next_due_at("sys", manual_only=True) == NOW + 5
    assert store.next_due_at("sys", ["by hand"], manual_only=True) is None
    assert store.next_due_at("sys", ["r0", "r1"]) == NOW + 2


@pytest.mark.parametrize("sql", ["_DUE", "_DUE_IDS", "_MANUALLY", "NEXT_DUE", "_NEXT_MANUALLY"])
def test_each_question_is_a_step_into_the_partial_index(store: SqliteWriter, sql: str) -> None:
    statement = getattr(sqlite_due, sql)
    values = (None,) * len({*re.findall(r"\?[0-9]", statement)})
    plan = [row[3] for row in store._connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    steps = [step for step in plan if step.startswith("SEARCH a ")]
    assert steps
    assert all("USING INDEX actions_due (system=? AND <expr>=?" in step for step in steps), plan
    assert not any("TEMP B-TREE" in step for step in plan), plan


def test_a_new_action_costs_the_same_behind_thousands_of_retries(store: SqliteWriter) -> None:
    """Counted in SQLite's own steps: nothing of what waits is looked at."""

    def steps_of() -> int:
        count = 0

        def tick() -> int:
            nonlocal count
            count += 1
            return 0

        store._connection.set_progress_handler(tick, 1)
        try:
            found = store.due_actions("sys", NOW + 100_000, 1, retries=0)
            store.next_due_at("sys")
        finally:
            store._connection.set_progress_handler(None, 1)
        assert [each.action.id for each in found] == ["new"]
        return count

    put(store, new("new", 90_000), retry("r"))
    few = steps_of()
    put(store, *(retry(f"r{number:05}", number) for number in range(20_000)))
    assert steps_of() <= few + 10
