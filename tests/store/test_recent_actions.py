"""What the store keeps of the actions that it wrote last is what is on disk, whatever happens to them."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import pytest
from connectord.errors import StoreError
from connectord.lifecycle.action import Action, Resolution, State, replace
from connectord.store.base import AlikeChange, HistoryRow, NewAction, Prunable, PrunePlace, WriteSet
from connectord.store.recent_actions import RecentActions
from connectord.store.sqlite_writer import SqliteWriter
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

NOW = 1_764_000_000_000
IDS = [f"01{letter}" for letter in "ABCDEFGH"]
some_ids = st.lists(st.sampled_from(IDS), min_size=1, unique=True)


def test_who_was_kept_first_goes_first_and_who_is_closed_goes_at_once() -> None:
    recent = RecentActions(2)
    a, b, c = (Action(name, "sys", NOW) for name in "abc")
    recent.keep([a, b])
    changed = replace(b, attempts=1)
    recent.keep([changed, c])
    assert [recent.get(name) for name in "abc"] == [None, changed, c]
    recent.keep([replace(b, state=State.CLOSED), a])
    assert [recent.get(name) for name in "abc"] == [a, None, c]


def test_what_was_written_lately_is_not_read_again(tmp_path: Path) -> None:
    store = SqliteWriter(tmp_path / "connectord.db")
    new = Action("01A", "sys", NOW, due_at=NOW)
    store.write(WriteSet(inserted=[NewAction(new, "{}")]))
    begun = replace(new, state=State.ATTEMPTING, attempts=1, due_at=None)
    store.write(WriteSet(updated={"01A": (new, begun)}))
    seen: list[str] = []
    store._connection.set_trace_callback(seen.append)
    assert store.load_action("01A") is begun
    assert store.load_actions({"01A"}) == [begun]
    assert seen == []
    store.close()


class Stores(RuleBasedStateMachine):
    """One store goes through it all; another one, opened anew each time, says what is on disk."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "connectord.db"
        self.store = SqliteWriter(self.path)
        self.numbers = itertools.count(1)
        self.open = False

    def teardown(self) -> None:
        self.store.close()
        self.directory.cleanup()

    def _begin(self) -> None:
        if not self.open:
            self.store.begin()
            self.open = True

    @rule(ids=some_ids)
    def submit(self, ids: list[str]) -> None:
        self._begin()
        there = {action.id for action in self.store.load_actions(IDS)}
        new = [Action(each, "sys", NOW, due_at=NOW, scheduled_at=NOW) for each in ids if each not in there]
        self.store.write(WriteSet(inserted=[NewAction(action, "{}") for action in new]))

    @rule(ids=some_ids, close=st.booleans())
    def change(self, ids: list[str], close: bool) -> None:
        self._begin()
        done = {"state": State.CLOSED, "resolution": Resolution.DONE_SUCCESSFULLY, "closed_at": NOW, "due_at": None}
        updated = {
            action.id: (action, replace(action, attempts=action.attempts + 1, **(done if close else {})))
            for action in self.store.load_actions(ids)
        }
        self.store.write(WriteSet(updated=updated))

    @rule(ids=some_ids)
    def change_alike(self, ids: list[str]) -> None:
        self._begin()
        found = [action.id for action in self.store.load_actions(ids)]
        if not found:
            return
        history = [
            HistoryRow(next(self.numbers), each, NOW, "pending", "closed", "E", "10", "w", "x", None, 1, "sys", None, 1)
            for each in found
        ]
        changes = {"state": "closed", "resolution": "not_done_successfully", "closed_at": NOW, "due_at": None}
        self.store.change_alike(AlikeChange(found, changes, history, []))

    @rule(resolution=st.sampled_from(["done_successfully", "not_done_successfully"]), limit=st.integers(1, 3))
    def prune(self, resolution: str, limit: int) -> None:
        self._begin()
        self.store.prune(Prunable(resolution, keyed=False, before=NOW + 1), PrunePlace(), limit, NOW)

    @precondition(lambda self: self.open)
    @rule(well=st.booleans())
    def end(self, well: bool) -> None:
        if well:
            self.store.commit()
        else:
            self.store.rollback()
        self.open = False

    @precondition(lambda self: self.open)
    @rule(ids=some_ids)
    def fail(self, ids: list[str]) -> None:
        there = self.store.load_actions(ids)
        with pytest.raises(StoreError):
            self.store.write(
                WriteSet(
                    updated={action.id: (action, replace(action, attempts=99)) for action in there},
                    inserted=[NewAction(Action("twice", "sys", NOW), "{}")] * 2,
                )
            )
        self.store.rollback()
        self.open = False

    @invariant()
    def what_is_kept_is_what_is_there(self) -> None:
        kept = {action.id: action for action in self.store.load_actions(IDS)}
        recent, self.store._recent = self.store._recent, RecentActions()
        there = {action.id: action for action in self.store.load_actions(IDS)}
        self.store._recent = recent
        assert kept == there


TestStores = Stores.TestCase
TestStores.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
