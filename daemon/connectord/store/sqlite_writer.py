"""The one writer's side of the SQLite store. The hot path is prepared statements over whole batches."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec

from connectord.lifecycle.action import Action, changed_fields
from connectord.lifecycle.alike import AlikeAction
from connectord.store.base import (
    ActionRecord,
    AlikeChange,
    CaseContext,
    ConfigRecord,
    DataMerge,
    DeliveryReport,
    DueAction,
    KeyHolder,
    NewAction,
    OutboxItem,
    OutboxRow,
    Prunable,
    Pruned,
    PrunePlace,
    WriteSet,
)
from connectord.store.recent_actions import RecentActions
from connectord.store.sqlite_alike import change_alike, over_limit
from connectord.store.sqlite_connection import open_writer, translate_errors
from connectord.store.sqlite_due import due_actions, due_manually, due_polls, next_due_at, next_poll_at
from connectord.store.sqlite_many import inserting, updating
from connectord.store.sqlite_pages import LIVE_STATES, LIVE_SYSTEMS, live_page
from connectord.store.sqlite_pruning import prune
from connectord.store.sqlite_rows import (
    ACTION_WIDTH,
    DATA_COLUMNS,
    SELECT_ACTION,
    SELECT_CONFIG,
    action_from,
    id_list,
    insert_of,
    said_columns,
    update_of,
)

LATE_RESPONSES_KEPT = 100
"""A system that answers without end may not fill the disk: further late responses of an action are dropped."""

_LOAD_ACTION = f"SELECT {SELECT_ACTION} FROM actions a WHERE a.id = ?"  # noqa: S608
_LOAD_ACTIONS = f"SELECT {SELECT_ACTION} FROM actions a WHERE a.id IN (SELECT value FROM json_each(?))"  # noqa: S608
_LOAD_RECORD = f"SELECT {SELECT_ACTION}, a.key, a.rerun_of, a.data, a.response_data FROM actions a WHERE a.id = ?"  # noqa: S608

_WAITING_PAGE = (
    "SELECT id, next_poll_at IS NULL FROM actions INDEXED BY actions_live "
    "WHERE system = ? AND state = 'waiting' AND state <> 'closed' AND id > ? ORDER BY id LIMIT ?"
)
_OVERDUE = (
    "SELECT id FROM actions INDEXED BY actions_deadline WHERE state = 'waiting' AND deadline <= ? "
    "ORDER BY deadline LIMIT ?"
)
_NEXT_DEADLINE = "SELECT min(deadline) FROM actions INDEXED BY actions_deadline WHERE state = 'waiting'"
_OPEN_ATTEMPTS = "SELECT action_id, number FROM attempts INDEXED BY attempts_open WHERE ended_at IS NULL LIMIT ?"
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
_INSERT_LATE = (
    "INSERT INTO late_responses (action_id, digest, at, status, reason, data) SELECT ?, ?, ?, ?, ?, ? "  # noqa: S608
    f"WHERE (SELECT count(*) FROM late_responses WHERE action_id = ?) < {LATE_RESPONSES_KEPT} ON CONFLICT DO NOTHING"
)
_INSERT_OUTBOX = (
    # a number that was given out is not given out again, though what had it is gone: receivers go by it
    "INSERT INTO outbox (seq, action_id, case_id, owner, notice, at, text, next_try_at) "
    "SELECT 1 + max(coalesce((SELECT max(seq) FROM outbox), 0), outbox_through), ?, ?, ?, ?, ?, ?, ? FROM retention"
)
_CASE_CONTEXT = (
    "SELECT coalesce(c.owner, a.owner), a.data, coalesce(c.data, '{}') "
    "FROM actions a LEFT JOIN cases c ON c.id = a.case_id WHERE a.id = ?"
)
_UPSERT_TURN = (
    "INSERT INTO group_turns (group_name, member) VALUES (?, ?) ON CONFLICT (group_name) DO UPDATE "
    "SET member = excluded.member"
)
_WAS_RERUN = "SELECT 1 FROM actions INDEXED BY actions_rerun WHERE rerun_of = ? LIMIT 1"
_SETTLE_OUTBOX = (
    "UPDATE outbox SET tries = tries + 1, last_error = ?, next_try_at = ?, delivered_at = ? "
    "WHERE seq = ? AND owner IS ? AND delivered_at IS NULL"
)
# a person who asks for it may have given the case another owner before
_HASTEN_OUTBOX = (
    "UPDATE outbox SET next_try_at = ?, owner = coalesce((SELECT owner FROM cases WHERE id = outbox.case_id), owner) "
    "WHERE seq = ? AND delivered_at IS NULL"
)
# No table page is read; a count of a range costs half of what a scan with GROUP BY does.
_STATES = " UNION ALL ".join(f"SELECT '{state}'" for state in LIVE_STATES)
_LIVE_COUNTS = (
    f"{LIVE_SYSTEMS}, live (state) AS ({_STATES}) "  # noqa: S608
    "SELECT s.system, live.state, (SELECT count(*) FROM actions a INDEXED BY actions_live "
    "WHERE a.system = s.system AND a.state = live.state AND a.state <> 'closed') "
    "FROM s CROSS JOIN live WHERE s.system IS NOT NULL"
)


class SqliteWriter:
    """A :class:`connectord.store.base.WriteStore` on one SQLite connection."""

    def __init__(self, path: Path, open_database: Callable[[Path], sqlite3.Connection] = open_writer) -> None:
        self._connection = open_database(path)
        self._pages_moved = 0
        self._recent = RecentActions()

    # -- transactions

    def begin(self) -> None:
        with translate_errors():
            self._connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        with translate_errors():
            self._connection.execute("COMMIT")

    def rollback(self) -> None:
        self._recent.forget_all()
        # an error such as a full disk may have ended the transaction already
        if self._connection.in_transaction:
            with translate_errors():
                self._connection.execute("ROLLBACK")

    def write(self, changes: WriteSet) -> None:
        with translate_errors():
            self._write(changes)

    def _write(self, changes: WriteSet) -> None:
        connection = self._connection
        if changes.cases:
            _UPSERT_CASES.run(connection, [(case.case_id, case.owner, case.at, case.at) for case in changes.cases])
        if changes.inserted:
            self._insert(changes.inserted)
        texts = [_encode(merge.data) for merge in changes.merges]
        merged = self._merged(changes.merges, texts) if texts else {}
        if changes.updated or merged:
            self._update(changes.updated.values(), merged)
        if changes.attempts:
            # a flag as a number: of a bool sqlite3 asks as it does of None
            _INSERT_ATTEMPTS.run(
                connection, [(row.action_id, row.number, int(row.manual), row.started_at) for row in changes.attempts]
            )
        if changes.attempt_ends:
            _END_ATTEMPTS.run(
                connection,
                [(row.ended_at, row.outcome, row.message, row.action_id, row.number) for row in changes.attempt_ends],
            )
        if changes.late_responses:
            connection.executemany(
                _INSERT_LATE,
                [
                    (row.action_id, row.digest, row.at, row.status, row.reason, row.data, row.action_id)
                    for row in changes.late_responses
                ],
            )
        if changes.history:
            _INSERT_HISTORY.run(connection, [row[: len(_HISTORY_COLUMNS)] for row in changes.history])
        if texts:
            self._record_merges(changes.merges, texts)
        if changes.outbox:
            connection.executemany(
                _INSERT_OUTBOX,
                [
                    (row.action_id, row.case_id, row.owner, row.notice, row.at, row.text, row.at)
                    for row in changes.outbox
                ],
            )

        if changes.turns:
            connection.executemany(_UPSERT_TURN, list(changes.turns.items()))

    def _insert(self, inserted: Sequence[NewAction]) -> None:
        alike: dict[tuple[tuple[str, ...], bool], list[NewAction]] = {}
        for new in inserted:
            with_origin = new.key is not None or new.rerun_of is not None
            alike.setdefault((said_columns(new.action), with_origin), []).append(new)
        for (columns, with_origin), actions in alike.items():
            statement, values = insert_of(columns, with_origin=with_origin)
            rows = [(*values(new.action), new.data) for new in actions]
            if with_origin:
                rows = [
                    (*row, new.key, new.payload_digest, new.rerun_of) for row, new in zip(rows, actions, strict=True)
                ]
            statement.run(self._connection, rows)
        self._recent.keep_new(inserted)

    def _update(self, updates: Collection[tuple[Action, Action]], merged: dict[str, tuple[str, str]]) -> None:
        """Write what changed, with the data that is ``merged`` in the same rows."""
        alike: dict[tuple[tuple[str, ...], bool], list[Action]] = {}
        for before, after in updates:
            alike.setdefault((changed_fields(before, after), after.id in merged), []).append(after)
        for (columns, with_data), actions in alike.items():
            if columns:
                statement, values = update_of(columns, with_data=with_data)
                rows = list(map(values, actions))
                if with_data:
                    rows = [(*row[:-1], *merged.pop(row[-1]), row[-1]) for row in rows]
                statement.run(self._connection, rows)
            self._recent.keep(actions)
        if merged:
            _SET_DATA.run(self._connection, [(*texts, action_id) for action_id, texts in merged.items()])

    def _merged(self, merges: Sequence[DataMerge], texts: Sequence[str]) -> dict[str, tuple[str, str]]:
        """For each action its data with what is merged into it, and what its last response carried."""
        ids = {merge.action_id for merge in merges}
        kept = {action_id: text for action_id in ids if (text := self._recent.data(action_id)) is not None}
        actions = self._data_of("actions", ids - kept.keys())
        for action_id, text in kept.items():
            actions[action_id] = msgspec.json.decode(text)
        for merge in merges:
            actions[merge.action_id].update(merge.data)
        merged = {action_id: _encode(data) for action_id, data in actions.items()}
        self._recent.keep_data(merged)
        answers = {merge.action_id: text for merge, text in zip(merges, texts, strict=True)}
        return {action_id: (text, answers[action_id]) for action_id, text in merged.items()}

    def _record_merges(self, merges: Sequence[DataMerge], texts: Sequence[str]) -> None:
        connection = self._connection
        rows = [(merge.seq, text, merge.case_id) for merge, text in zip(merges, texts, strict=True)]
        _INSERT_MERGES.run(connection, rows)
        cases = self._data_of("cases", {merge.case_id for merge in merges if merge.case_id is not None})
        changed_at: dict[str, int] = {}
        for merge in merges:
            if merge.case_id is not None:
                cases[merge.case_id].update(merge.data)
                changed_at[merge.case_id] = merge.at
        _SET_CASE_DATA.run(
            connection, [(_encode(data), changed_at[case_id], case_id) for case_id, data in cases.items()]
        )

    def _data_of(self, table: str, ids: Collection[str]) -> dict[str, dict[str, Any]]:
        if not ids:
            return {}
        question = f"SELECT id, data FROM {table} WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608
        return {row[0]: msgspec.json.decode(row[1]) for row in self._connection.execute(question, (id_list(ids),))}

    # -- what the ledger asks within a transaction

    def load_action(self, action_id: str) -> Action | None:
        recent = self._recent.get(action_id)
        if recent is not None:
            return recent
        row = self._one(_LOAD_ACTION, action_id)
        return None if row is None else action_from(row)

    def load_actions(self, action_ids: Collection[str]) -> Sequence[Action]:
        found, others = self._recent.find(action_ids)
        if others:
            found += map(action_from, self._all(_LOAD_ACTIONS, id_list(others)))
        return found

    def load_record(self, action_id: str) -> ActionRecord | None:
        row = self._one(_LOAD_RECORD, action_id)
        return None if row is None else ActionRecord(action_from(row), *row[ACTION_WIDTH:])

    def find_key(self, system: str, key: str) -> KeyHolder | None:
        row = self._one("SELECT id, payload_digest FROM actions WHERE system = ? AND key = ?", system, key)
        return None if row is None else KeyHolder(row[0], row[1])

    def due_actions(
        self, system: str, now: int, limit: int, besides: Collection[str] = (), *, retries: int = 0
    ) -> Sequence[DueAction]:
        with translate_errors():
            return due_actions(self._connection, self._recent, system, now, limit, besides, retries)

    def due_manually(self, system: str, now: int, limit: int, besides: Collection[str] = ()) -> Sequence[DueAction]:
        with translate_errors():
            return due_manually(self._connection, system, now, limit, besides)

    def next_due_at(self, system: str, besides: Collection[str] = (), *, manual_only: bool = False) -> int | None:
        with translate_errors():
            return next_due_at(self._connection, system, besides, manual_only)

    def due_polls(self, system: str, now: int, limit: int, besides: Collection[str]) -> Sequence[DueAction]:
        with translate_errors():
            return due_polls(self._connection, system, now, limit, besides)

    def next_poll_at(self, system: str, now: int, besides: Collection[str]) -> int | None:
        with translate_errors():
            return next_poll_at(self._connection, system, now, besides)

    def waiting_page(self, system: str, after: str, limit: int) -> Sequence[tuple[str, bool]]:
        return [(row[0], bool(row[1])) for row in self._all(_WAITING_PAGE, system, after, limit)]

    def overdue_ids(self, now: int, limit: int) -> Sequence[str]:
        return [row[0] for row in self._all(_OVERDUE, now, limit)]

    def next_deadline(self) -> int | None:
        return self._value(_NEXT_DEADLINE)

    def over_limit(self, system: str, attempts: int, limit: int) -> Sequence[AlikeAction]:
        with translate_errors():
            return over_limit(self._connection, system, attempts, limit)

    def change_alike(self, change: AlikeChange) -> None:
        self._recent.forget(change.ids)
        with translate_errors():
            change_alike(self._connection, change)

    def open_attempts(self, limit: int) -> Sequence[tuple[str, int]]:
        return [(row[0], row[1]) for row in self._all(_OPEN_ATTEMPTS, limit)]

    def last_seq(self) -> int:
        # what retention has removed counts: its numbers are not given out again
        return (
            self._value("SELECT max(coalesce((SELECT max(seq) FROM history), 0), history_through) FROM retention") or 0
        )

    def last_change_at(self) -> int | None:
        return self._value("SELECT at FROM history ORDER BY seq DESC LIMIT 1")

    def last_id(self) -> str | None:
        row = self._one("SELECT max(id) FROM actions")
        return None if row is None else row[0]

    def live_page(self, state: str, after: str, limit: int) -> Sequence[Action]:
        with translate_errors():
            return live_page(self._connection, state, after, limit)

    def live_counts(self) -> dict[tuple[str, str], int]:
        return {(system, state): count for system, state, count in self._all(_LIVE_COUNTS) if count}

    def case_owner(self, case_id: str) -> str | None:
        row = self._one("SELECT owner FROM cases WHERE id = ?", case_id)
        return None if row is None else row[0]

    def case_context(self, action_id: str) -> CaseContext | None:
        row = self._one(_CASE_CONTEXT, action_id)
        return None if row is None else CaseContext(*row)

    def last_turn(self, group: str) -> str | None:
        row = self._one("SELECT member FROM group_turns WHERE group_name = ?", group)
        return None if row is None else row[0]

    # -- the outbox and the paused systems

    def due_outbox(self, now: int, limit: int) -> Sequence[OutboxItem]:
        rows = self._all(
            "SELECT seq, action_id, case_id, owner, notice, at, text, tries, next_try_at FROM outbox "
            "WHERE next_try_at <= ? ORDER BY next_try_at, seq LIMIT ?",
            now,
            limit,
        )
        return [OutboxItem(row[0], OutboxRow(*row[1:7]), *row[7:]) for row in rows]

    def next_outbox_at(self) -> int | None:
        return self._value("SELECT min(next_try_at) FROM outbox WHERE next_try_at IS NOT NULL")

    def undelivered(self) -> tuple[int, int | None]:
        count = self._value("SELECT count(*) FROM outbox INDEXED BY outbox_undelivered WHERE delivered_at IS NULL")
        return count or 0, self.oldest_undelivered()

    def oldest_undelivered(self) -> int | None:
        return self._value(
            "SELECT at FROM outbox INDEXED BY outbox_undelivered WHERE delivered_at IS NULL ORDER BY seq LIMIT 1"
        )

    def settle_outbox(self, reports: Sequence[DeliveryReport], at: int) -> int:
        done = [(each.error, None, at, each.seq, each.owner) for each in reports if each.done]
        failed = [(each.error, each.next_try_at, None, each.seq, each.owner) for each in reports if not each.done]
        with translate_errors():
            self._connection.executemany(_SETTLE_OUTBOX, failed)
            return self._connection.executemany(_SETTLE_OUTBOX, done).rowcount if done else 0

    def hasten_outbox(self, after_seq: int, now: int, limit: int) -> Sequence[int]:
        seqs = [
            row[0]
            for row in self._all(
                "SELECT seq FROM outbox INDEXED BY outbox_undelivered WHERE delivered_at IS NULL AND seq > ? "
                "ORDER BY seq LIMIT ?",
                after_seq,
                limit,
            )
        ]
        with translate_errors():
            self._connection.executemany(_HASTEN_OUTBOX, [(now, seq) for seq in seqs])
        return seqs

    def was_rerun(self, action_id: str) -> bool:
        return self._value(_WAS_RERUN, action_id) is not None

    def set_paused(self, system: str, paused: bool, at: int, who: str) -> None:
        if paused:
            self._run("INSERT OR IGNORE INTO paused_systems (system, at, who) VALUES (?, ?, ?)", system, at, who)
        else:
            self._run("DELETE FROM paused_systems WHERE system = ?", system)

    # -- configurations

    def last_config(self) -> ConfigRecord | None:
        row = self._one(f"{SELECT_CONFIG} ORDER BY version DESC LIMIT 1")
        return None if row is None else ConfigRecord(*row)

    def insert_config(self, record: ConfigRecord, keep_texts: int) -> None:
        self._run(
            "INSERT INTO config_versions (version, at, who, digest, text, back_to) VALUES (?, ?, ?, ?, ?, ?)",
            record.version,
            record.at,
            record.who,
            record.digest,
            record.text,
            record.back_to,
        )
        self._run("UPDATE config_versions SET text = NULL WHERE version <= ?", record.version - keep_texts)

    # -- what is removed, and the room it leaves

    def prune(self, what: Prunable, place: PrunePlace, limit: int, now: int) -> Pruned:
        with translate_errors():
            pruned = prune(self._connection, what, place, limit, now)
        self._recent.forget(pruned.ids)
        return pruned

    def give_back(self, pages: int) -> int:
        # it yields at every page, without a column, and the module takes that for its end
        for _ in range(pages):
            self._run("PRAGMA incremental_vacuum(1)")
        self._pages_moved += pages
        return (self._value("PRAGMA freelist_count") or 0) * (self._value("PRAGMA page_size") or 0)

    def written(self) -> int:
        return self._connection.total_changes + self._pages_moved

    def leave_log_to_another(self, log_bytes: int) -> None:
        self._all("PRAGMA wal_autocheckpoint = 0")
        self._all(f"PRAGMA journal_size_limit = {log_bytes:d}")

    def write_back_rest(self) -> None:
        self._all("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        self._connection.close()

    # -- plumbing

    def _run(self, sql: str, *args: Any) -> None:
        with translate_errors():
            self._connection.execute(sql, args)

    def _one(self, sql: str, *args: Any) -> Any:
        with translate_errors():
            return self._connection.execute(sql, args).fetchone()

    def _all(self, sql: str, *args: Any) -> list[Any]:
        with translate_errors():
            return self._connection.execute(sql, args).fetchall()

    def _value(self, sql: str, *args: Any) -> int | None:
        row = self._one(sql, *args)
        return None if row is None else row[0]


def _encode(data: dict[str, Any]) -> str:
    return msgspec.json.encode(data).decode()
