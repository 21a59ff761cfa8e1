"""What the store keeps of the actions that it wrote last is what is on disk, whatever happens to them."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from connectord.errors import StoreError
from connectord.lifecycle.action import Action, Resolution, State, replace
from connectord.store.base import (
    AlikeChange,
    CaseChange,
    DataMerge,
    DueAction,
    HistoryRow,
    NewAction,
    Prunable,
    PrunePlace,
    WriteSet,
)
from connectord.store.recent_actions import LONGEST_DATA, RecentActions
from connectord.store.sqlite_writer import SqliteWriter
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

NOW = 1_764_000_000_000
IDS = [f"01{letter}" for letter in "ABCDEF"]
some_data = st.sampled_from(['{"n":1}', "{}", f'{{"long":"{"x" * LONGEST_DATA}"}}'])
some_ids = st.lists(st.sampled_from(IDS), min_size=1, max_size=4, unique=True)


def test_who_was_kept_first_goes_first_and_who_is_closed_goes_at_once() -> None:
    recent = RecentActions(2)
    a, b, c = (Action(name, "sys", NOW) for name in "abc")
    recent.keep([a, b])
    changed = replace(b, attempts=1)
    recent.keep([changed, c])
    assert [recent.get(name) for name in "abc"] == [None, changed, c]
    recent.keep([replace(b, state=State.CLOSED), a])
    assert [recent.get(name) for name in "abc"] == [a, None, c]


def new(name: str, data: str = "{}", due_at: int = NOW) -> NewAction:
    return NewAction(Action(name, "sys", NOW, due_at=due_at), data)


def due(name: str, data: str = "{}") -> DueAction:
    return DueAction(new(name).action, None, data, "{}")


def history_row(seq: int, action_id: str) -> HistoryRow:
    return HistoryRow(seq, action_id, NOW, "pending", "closed", "E", "10", "w", "x", None, 1, "sys", None, 1)


def test_what_is_new_is_kept_while_it_will_be_claimed_soon() -> None:
    recent = RecentActions(most_new=2)
    recent.keep_new([new("a"), new("next year", due_at=NOW + 1)])
    assert [recent.get("a"), recent.get("next year")] == [new("a").action, None]
    recent.keep_new([new("b"), new("c")])
    assert not recent.has_new, "many wait: what is claimed next was submitted long before"
    recent.keep_claimed([due("x")], 1)
    recent.keep_new([new("d")])
    assert not recent.has_new, "a claim that gets all that it asked for may have left some"
    recent.keep_claimed([due("y")], 2)
    recent.keep_new([new("e")])
    assert recent.has_new
    recent.keep_claimed([due("e")], 1)
    assert not recent.has_new
    assert recent.get("e") == new("e").action


def test_custom_data_is_kept_with_its_action_unless_it_is_long() -> None:
    recent = RecentActions()
    long = f'"{"x" * LONGEST_DATA}"'
    recent.keep_new([new("a", '{"a":1}'), new("b", long)])
    recent.keep_claimed([due("c", '{"c":1}'), due("d", long)], 2)
    assert [recent.data(name) for name in "abcd"] == ['{"a":1}', None, '{"c":1}', None]
    recent.keep([replace(new("a").action, attempts=1)])
    assert recent.data("a") == '{"a":1}', "a change of the action is none of its data"
    recent.keep_data({"a": '{"a":2}', "c": long, "elsewhere": "{}"})
    assert [recent.data(name) for name in ("a", "c", "elsewhere")] == ['{"a":2}', None, None]


def test_what_goes_takes_its_data_along() -> None:
    recent = RecentActions(most=2, most_new=1)
    recent.keep_claimed([due(name) for name in "abc"], 3)
    recent.keep_new([new("d")])
    recent.keep([replace(new("b").action, state=State.CLOSED)])
    recent.keep_new([new("e")])
    assert [(recent.get(name) is None, recent.data(name)) for name in "abcde"] == [
        (True, None),
        (True, None),
        (False, "{}"),
        (True, None),
        (True, None),
    ]
    recent.forget(["c"])
    assert (recent.get("c"), recent.data("c")) == (None, None)


def test_what_was_written_lately_is_not_read_again(tmp_path: Path) -> None:
    store = SqliteWriter(tmp_path / "connectord.db")
    fresh = Action("01A", "sys", NOW, due_at=NOW)
    store.write(WriteSet(inserted=[NewAction(fresh, '{"n":1}')]))
    seen: list[str] = []
    store._connection.set_trace_callback(seen.append)
    assert store.due_actions("sys", NOW, 10) == [DueAction(fresh, None, '{"n":1}', "{}")]
    assert len(seen) == 1
    assert "a.state," not in seen[0], "it asks for ids only"
    begun = replace(fresh, state=State.ATTEMPTING, attempts=1, due_at=None)
    store.write(WriteSet(updated={"01A": (fresh, begun)}))
    seen.clear()
    assert store.load_action("01A") is begun
    assert store.load_actions({"01A"}) == [begun]
    assert seen == []
    merge = DataMerge(1, "01A", None, {"m": 2}, NOW)
    store.write(WriteSet(merges=[merge], history=[history_row(1, "01A")]))
    assert not any(statement.startswith("SELECT") for statement in seen)
    record = store.load_record("01A")
    assert record is not None
    assert record.data == '{"n":1,"m":2}'
    store.close()


class Stores(RuleBasedStateMachine):
    """One store goes through it all; another one, opened anew each time, says what is on disk."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "connectord.db"
        self.store = SqliteWriter(self.path)
        self.store._recent = RecentActions(most=2, most_new=5)
        self.numbers = itertools.count(1)
        self.open = False

    def teardown(self) -> None:
        self.store.close()
        self.directory.cleanup()

    def _begin(self) -> None:
        if not self.open:
            self.store.begin()
            self.open = True

    @rule(
        ids=some_ids,
        data=some_data,
        case_owner=st.sampled_from([None, "p"]),
        case_id=st.sampled_from([None, "c1", "c2"]),
        owner=st.sampled_from([None, "o"]),
    )
    def submit(self, ids: list[str], data: str, case_id: str | None, owner: str | None, case_owner: str | None) -> None:
        self._begin()
        there = {action.id for action in self.store.load_actions(IDS)}
        new = [
            Action(each, "sys", NOW, case_id, owner, due_at=NOW, scheduled_at=NOW) for each in ids if each not in there
        ]
        cases = [] if case_id is None else [CaseChange(case_id, case_owner, NOW)]
        self.store.write(WriteSet(cases=cases, inserted=[NewAction(action, data) for action in new]))

    @rule(limit=st.integers(1, 5), retries=st.integers(0, 5), besides=st.lists(st.sampled_from(IDS), max_size=2))
    def claim(self, limit: int, retries: int, besides: list[str]) -> None:
        kept = self.store.due_actions("sys", NOW, limit, besides, retries=retries)
        with self.nothing_kept():
            assert kept == self.store.due_actions("sys", NOW, limit, besides, retries=retries)

    @rule(ids=some_ids, data=st.dictionaries(st.sampled_from("xy"), some_data, min_size=1), close=st.booleans())
    def merge(self, ids: list[str], data: dict[str, str], close: bool) -> None:
        self._begin()
        there = self.store.load_actions(ids)
        done = {"state": State.CLOSED, "resolution": Resolution.DONE_SUCCESSFULLY, "closed_at": NOW, "due_at": None}
        updated = {action.id: (action, replace(action, **done)) for action in there} if close else {}
        merges = [DataMerge(next(self.numbers), action.id, action.case_id, data, NOW) for action in there]
        history = [history_row(merge.seq, merge.action_id) for merge in merges]
        self.store.write(WriteSet(updated=updated, merges=merges, history=history))

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
        history = [history_row(next(self.numbers), each) for each in found]
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

    @contextmanager
    def nothing_kept(self) -> Iterator[None]:
        recent, self.store._recent = self.store._recent, RecentActions()
        yield
        self.store._recent = recent

    @invariant()
    def what_is_kept_is_what_is_there(self) -> None:
        recent = self.store._recent
        kept = {action.id: action for action in self.store.load_actions(IDS)}
        data = {each: recent.data(each) for each in IDS if recent.data(each) is not None}
        assert all(recent.get(each) is not None for each in data)
        with self.nothing_kept():
            there = {action.id: action for action in self.store.load_actions(IDS)}
            records = {each: self.store.load_record(each) for each in IDS}
        assert kept == there
        assert data == {each: record.data for each, record in records.items() if record is not None and each in data}


TestStores = Stores.TestCase
TestStores.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
