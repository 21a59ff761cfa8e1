"""What one transaction writes, as statements and their rows: plain values in, plain values out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from connectord.lifecycle.action import Action, changed_fields
from connectord.store.base import DataMerge, NewAction, WriteSet
from connectord.store.sqlite_many import RowStatement, SingleStatement, inserting, updating
from connectord.store.sqlite_outbox import NumberedInsert, outbox_values
from connectord.store.sqlite_rows import DATA_COLUMNS, insert_of, said_columns, update_of

LATE_RESPONSES_KEPT = 100
"""A system that answers without end may not fill the disk: further late responses of an action are dropped."""

_UPSERT_CASES = inserting(
    "cases",
    ["id", "owner", "created_at", "updated_at"],
    "ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, updated_at = excluded.updated_at "
    "WHERE excluded.owner IS NOT NULL",
)
_HISTORY_COLUMNS = [
    *("seq", "action_id", "at", "from_state", "to_state", "event", "rules", "why", "who", "note", "config_version")
]
_INSERT_HISTORY = inserting("history", _HISTORY_COLUMNS)
_INSERT_ATTEMPTS = inserting("attempts", ["action_id", "number", "manual", "started_at"])
_END_ATTEMPTS = updating("attempts", ["ended_at", "outcome", "message"], ["action_id", "number"], "ended_at IS NULL")
_INSERT_MERGES = inserting("merges", ["seq", "data", "case_id"])
_SET_DATA = updating("actions", DATA_COLUMNS, ["id"])
_SET_CASE_DATA = updating("cases", ["data", "updated_at"], ["id"])
_INSERT_LATE = SingleStatement(
    "INSERT INTO late_responses (action_id, digest, at, status, reason, data) SELECT ?, ?, ?, ?, ?, ? "  # noqa: S608
    f"WHERE (SELECT count(*) FROM late_responses WHERE action_id = ?) < {LATE_RESPONSES_KEPT} ON CONFLICT DO NOTHING"
)
_INSERT_OUTBOX = NumberedInsert()
_UPSERT_TURN = SingleStatement(
    "INSERT INTO group_turns (group_name, member) VALUES (?, ?) ON CONFLICT (group_name) DO UPDATE "
    "SET member = excluded.member"
)

Write: TypeAlias = tuple[RowStatement | SingleStatement | NumberedInsert, Sequence[Sequence[Any]]]


@dataclass(slots=True)
class MergedData:
    """What custom data is to be written, as JSON text: of actions as it is now, of cases with the time of the merge."""

    actions: dict[str, str] = field(default_factory=dict)
    cases: dict[str, tuple[str, int]] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)
    """What each merge brought, in their order."""


def merge_data(
    merges: Sequence[DataMerge], actions: dict[str, dict[str, Any]], cases: dict[str, dict[str, Any]]
) -> MergedData:
    """Merge into the data that ``actions`` and ``cases`` have."""
    changed_at: dict[str, int] = {}
    for merge in merges:
        actions[merge.action_id].update(merge.data)
        if merge.case_id is not None:
            cases[merge.case_id].update(merge.data)
            changed_at[merge.case_id] = merge.at
    return MergedData(
        {action_id: _encode(data) for action_id, data in actions.items()},
        {case_id: (_encode(data), changed_at[case_id]) for case_id, data in cases.items()},
        [_encode(merge.data) for merge in merges],
    )


def writes_of(changes: WriteSet, merged: MergedData) -> list[Write]:
    """The statements, in the order in which they have to run, with their rows."""
    writes: list[Write] = []
    if changes.cases:
        writes.append((_UPSERT_CASES, [(case.case_id, case.owner, case.at, case.at) for case in changes.cases]))
    if changes.inserted:
        writes += _inserts(changes.inserted)
    if changes.updated or merged.actions:
        writes += _updates(changes.updated.values(), _data_columns(changes.merges, merged))
    if changes.attempts:
        # a flag as a number: of a bool sqlite3 asks as it does of None
        begun = [(row.action_id, row.number, int(row.manual), row.started_at) for row in changes.attempts]
        writes.append((_INSERT_ATTEMPTS, begun))
    if changes.attempt_ends:
        ended = [(row.ended_at, row.outcome, row.message, row.action_id, row.number) for row in changes.attempt_ends]
        writes.append((_END_ATTEMPTS, ended))
    if changes.late_responses:
        late = [
            (row.action_id, row.digest, row.at, row.status, row.reason, row.data, row.action_id)
            for row in changes.late_responses
        ]
        writes.append((_INSERT_LATE, late))
    if changes.history:
        writes.append((_INSERT_HISTORY, [row[: len(_HISTORY_COLUMNS)] for row in changes.history]))
    if changes.merges:
        brought = zip(changes.merges, merged.answers, strict=True)
        writes.append((_INSERT_MERGES, [(merge.seq, text, merge.case_id) for merge, text in brought]))
        writes.append((_SET_CASE_DATA, [(*data, case_id) for case_id, data in merged.cases.items()]))
    if changes.outbox:
        writes.append((_INSERT_OUTBOX, outbox_values(changes.outbox)))
    if changes.turns:
        writes.append((_UPSERT_TURN, list(changes.turns.items())))
    return writes


def _inserts(inserted: Sequence[NewAction]) -> Iterator[Write]:
    alike: dict[tuple[tuple[str, ...], bool], list[NewAction]] = {}
    for new in inserted:
        with_origin = new.key is not None or new.rerun_of is not None
        alike.setdefault((said_columns(new.action), with_origin), []).append(new)
    for (columns, with_origin), actions in alike.items():
        statement, values = insert_of(columns, with_origin=with_origin)
        if with_origin:
            yield (
                statement,
                [(*values(new.action), new.data, new.key, new.payload_digest, new.rerun_of) for new in actions],
            )
        else:
            yield statement, [(*values(new.action), new.data) for new in actions]


def _data_columns(merges: Sequence[DataMerge], merged: MergedData) -> dict[str, tuple[str, str]]:
    last = {merge.action_id: text for merge, text in zip(merges, merged.answers, strict=True)}
    return {action_id: (text, last[action_id]) for action_id, text in merged.actions.items()}


def _updates(updates: Collection[tuple[Action, Action]], data: dict[str, tuple[str, str]]) -> Iterator[Write]:
    """What changed, with the data that belongs into the same rows."""
    alike: dict[tuple[tuple[str, ...], bool], list[Action]] = {}
    for before, after in updates:
        alike.setdefault((changed_fields(before, after), after.id in data), []).append(after)
    for (columns, with_data), actions in alike.items():
        if not columns:
            continue
        statement, values = update_of(columns, with_data=with_data)
        if with_data:
            rows = map(values, actions)
            yield statement, [(*row[:-1], *data.pop(row[-1]), row[-1]) for row in rows]
        else:
            yield statement, list(map(values, actions))
    if data:
        yield _SET_DATA, [(*texts, action_id) for action_id, texts in data.items()]


def _encode(data: dict[str, Any]) -> str:
    return msgspec.json.encode(data).decode()
