"""What the reader finds, and what it says where there is nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from connectord.errors import StoreFailed
from connectord.lifecycle.action import Action, Resolution, State
from connectord.store.base import (
    CaseChange,
    ConfigRecord,
    DataMerge,
    HistoryRow,
    NewAction,
    OutboxRow,
    Prunable,
    WriteSet,
)
from connectord.store.sqlite_reader import SqliteReader
from connectord.store.sqlite_writer import SqliteWriter

NOW = 1_764_000_000_000


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[SqliteWriter, SqliteReader]]:
    writer, reader = SqliteWriter(tmp_path / "connectord.db"), SqliteReader(tmp_path / "connectord.db")
    yield writer, reader
    reader.close()
    writer.close()


def closed(name: str, case_id: str | None = None) -> Action:
    resolution = Resolution.NOT_DONE_SUCCESSFULLY
    return Action(name, "sys", NOW, case_id=case_id, state=State.CLOSED, resolution=resolution, closed_at=NOW)


def row(seq: int, action: Action, *, version: int = 1, event: str = "Submitted", rules: str = "17") -> HistoryRow:
    return HistoryRow(
        seq, action.id, NOW, "pending", "closed", event, rules, "why", "test", None, version, "sys", action.case_id, 1
    )


def test_each_field_of_a_case_is_told_with_the_newest_merge_that_set_it(
    stores: tuple[SqliteWriter, SqliteReader],
) -> None:
    writer, reader = stores
    action = Action("01A", "sys", NOW, case_id="C-1", due_at=NOW)
    merges = [
        DataMerge(1, "01A", "C-1", {"a": 1, "b": 1}, NOW),
        DataMerge(2, "01A", "C-1", {"b": 2}, NOW),
    ]
    history = [row(seq, action) for seq in (1, 2)]
    cases = [CaseChange("C-1", None, NOW), CaseChange("C-2", None, NOW)]
    writer.write(WriteSet(cases=cases, inserted=[NewAction(action, "{}")], history=history, merges=merges))
    # set before merges were recorded
    writer._connection.execute("UPDATE cases SET data = json_set(data, '$.old', 0) WHERE id = 'C-1'")
    case = reader.case("C-1", None, 10)
    assert case is not None
    assert json.loads(case.data) == {"a": 1, "b": 2, "old": 0}
    assert {name: merge.seq for name, merge in case.origins.items()} == {"a": 1, "b": 2}
    told = reader.case_merges("C-1", 0, 10)
    assert told is not None
    assert [each.seq for each in told] == [1, 2]
    # a case without merges, and none at all
    assert reader.case_merges("C-2", 0, 10) == []
    assert reader.case_merges("C-3", 0, 10) is None
    assert reader.case("C-3", None, 10) is None


def test_an_owner_finds_what_is_meant_for_that_owner(stores: tuple[SqliteWriter, SqliteReader]) -> None:
    writer, reader = stores
    outbox = [
        OutboxRow(name, None, owner, "attempts_exhausted", NOW, "text")
        for name, owner in [("01A", "olga"), ("01B", "otto"), ("01C", "olga")]
    ]
    writer.write(WriteSet(inserted=[NewAction(closed(each.action_id), "{}") for each in outbox], outbox=outbox))
    writer._connection.execute("UPDATE outbox SET delivered_at = ? WHERE action_id = '01A'", (NOW,))

    def found(*, undelivered: bool, owner: str | None, before: int | None = None) -> list[str]:
        page = reader.notifications(undelivered=undelivered, owner=owner, before=before, limit=10)
        return [each.row.action_id for each in page]

    assert found(undelivered=False, owner="olga") == ["01C", "01A"]
    assert found(undelivered=True, owner="olga") == ["01C"]
    assert found(undelivered=True, owner=None) == ["01C", "01B"]
    assert found(undelivered=False, owner=None, before=3) == ["01B", "01A"]


def test_rule_10_what_a_changed_limit_closed_is_found_by_its_configuration(
    stores: tuple[SqliteWriter, SqliteReader],
) -> None:
    writer, reader = stores
    actions = [closed("01A"), closed("01B"), closed("01C")]
    history = [
        row(1, actions[0], version=2, event="LimitChanged", rules="10c,9"),
        row(2, actions[1], version=3, event="LimitChanged", rules="10c,9"),
        row(3, actions[2], version=3, event="Cancelled", rules="5"),
    ]
    writer.write(WriteSet(inserted=[NewAction(each, "{}") for each in actions], history=history))
    assert [(seq, action.id) for seq, action in reader.closed_by_limit(3, 0, 10)] == [(2, "01B")]
    assert reader.closed_by_limit(3, 2, 10) == []


def test_a_configuration_is_found_by_its_number(stores: tuple[SqliteWriter, SqliteReader]) -> None:
    writer, reader = stores
    record = ConfigRecord(1, NOW, "start", "digest", b"text", None)
    writer.insert_config(record, 10)
    assert reader.config(1) == record
    assert reader.config(2) is None


def test_a_database_whose_size_cannot_be_read_is_a_failed_store(
    stores: tuple[SqliteWriter, SqliteReader], tmp_path: Path
) -> None:
    _, reader = stores
    assert reader.glance(["sys"]).due == {}
    (tmp_path / "connectord.db").rename(tmp_path / "away.db")
    with pytest.raises(StoreFailed, match="No such file"):
        reader.glance(["sys"])


def test_what_is_old_enough_to_go_is_counted(stores: tuple[SqliteWriter, SqliteReader]) -> None:
    writer, reader = stores
    writer.write(WriteSet(inserted=[NewAction(closed("01A"), "{}")], history=[row(1, closed("01A"))]))
    what = Prunable("not_done_successfully", keyed=False, before=NOW + 1)
    assert reader.prunable(what) == (1, NOW)
    assert reader.prunable(Prunable("done_successfully", keyed=False, before=NOW + 1)) == (0, None)


def test_a_database_that_has_no_log_beside_it_has_none(tmp_path: Path) -> None:
    SqliteWriter(tmp_path / "connectord.db").close()
    reader = SqliteReader(tmp_path / "connectord.db")
    try:
        (tmp_path / "connectord.db-wal").unlink(missing_ok=True)
        state = reader.file_state()
    finally:
        reader.close()
    assert (state.log_bytes, state.file_bytes > 0) == (0, True)
