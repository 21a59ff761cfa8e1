"""Many merges in one transaction: each on top of the one before, for its action and for its case."""

from __future__ import annotations

import json
from pathlib import Path

from connectord.lifecycle.action import Action
from connectord.store import sqlite_writer
from connectord.store.base import CaseChange, DataMerge, HistoryRow, NewAction, WriteSet
from connectord.store.sqlite_writer import SqliteWriter

NOW = 1_764_000_000_000


def row(seq: int, action: Action) -> HistoryRow:
    why = "a response"
    return HistoryRow(
        seq, action.id, NOW, "waiting", "closed", "E", "2", why, "callback", None, 1, "sys", action.case_id, 1
    )


def test_rule_02_merges_of_one_transaction_build_on_each_other(tmp_path: Path) -> None:
    first = Action("01A", "sys", NOW, case_id="C-1", due_at=NOW)
    second = Action("01B", "sys", NOW, case_id="C-1", due_at=NOW)
    alone = Action("01C", "sys", NOW, due_at=NOW)
    untouched = Action("01D", "sys", NOW, case_id="C-2", due_at=NOW)
    merges = [
        DataMerge(1, "01A", "C-1", {"a": 1, "shared": "first"}, NOW + 1),
        DataMerge(2, "01B", "C-1", {"b": [2], "shared": "second"}, NOW + 2),
        DataMerge(3, "01C", None, {"c": None}, NOW + 3),
        DataMerge(4, "01A", "C-1", {"again": {"deep": True}}, NOW + 4),
    ]
    actions = (first, second, alone, untouched)
    by_id = {action.id: action for action in actions}
    store = SqliteWriter(tmp_path / "connectord.db")
    try:
        store.write(
            WriteSet(
                cases=[CaseChange("C-1", "anna", NOW), CaseChange("C-2", None, NOW)],
                inserted=[NewAction(action, '{"own":0}') for action in actions],
                history=[row(merge.seq, by_id[merge.action_id]) for merge in merges],
                merges=merges,
            )
        )
        found = {action.id: store.load_record(action.id) for action in actions}
        data = {name: json.loads(record.data) for name, record in found.items() if record is not None}
        answers = {name: json.loads(record.response_data) for name, record in found.items() if record is not None}
        case, other = store.case_context("01A"), store.case_context("01D")
    finally:
        store.close()
    assert data == {
        "01A": {"own": 0, "a": 1, "shared": "first", "again": {"deep": True}},
        "01B": {"own": 0, "b": [2], "shared": "second"},
        "01C": {"own": 0, "c": None},
        "01D": {"own": 0},
    }
    assert answers == {"01A": {"again": {"deep": True}}, "01B": merges[1].data, "01C": {"c": None}, "01D": {}}
    assert case is not None
    assert other is not None
    assert json.loads(case.case_data) == {"a": 1, "shared": "second", "b": [2], "again": {"deep": True}}
    assert json.loads(other.case_data) == {}


def test_many_actions_are_loaded_by_one_statement_and_what_is_not_there_is_left_out(tmp_path: Path) -> None:
    actions = [Action(f"01{letter}", "sys", NOW, due_at=NOW) for letter in "ABC"]
    store = SqliteWriter(tmp_path / "connectord.db")
    try:
        store.write(WriteSet(inserted=[NewAction(action, "{}") for action in actions]))
        loaded = store.load_actions({"01A", "01C", "01X"})
        plan = store._connection.execute(f"EXPLAIN QUERY PLAN {sqlite_writer._LOAD_ACTIONS}", ("[]",)).fetchall()
    finally:
        store.close()
    assert {action.id for action in loaded} == {"01A", "01C"}
    assert any("SEARCH a USING" in step[3] for step in plan), plan
