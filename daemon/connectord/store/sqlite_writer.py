"""The one writer's side of the SQLite store. The hot path is prepared statements over whole batches."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec

from connectord.lifecycle.action import Action
from connectord.lifecycle.alike import AlikeAction
from connectord.store.base import (
    ActionRecord,
    AlikeChange,
    CaseContext,
    ConfigRecord,
    DeliveryReport,
    DueAction,
    KeyHolder,
    OutboxItem,
    OutboxRow,
    Prunable,
    Pruned,
    PrunePlace,
    WriteSet,
)
from connectord.store.recent_actions import RecentActions
from connectord.store.sqlite_alike import change_alike, over_limit
from connectord.store.sqlite_changes import MergedData, merge_data, writes_of
from connectord.store.sqlite_connection import open_writer, translate_errors
from connectord.store.sqlite_due import due_actions, due_manually, due_polls, next_due_at, next_poll_at
from connectord.store.sqlite_pages import LIVE_STATES, LIVE_SYSTEMS, live_page
from connectord.store.sqlite_pruning import prune
from connectord.store.sqlite_rows import (
    ACTION_WIDTH,
    SELECT_ACTION,
    SELECT_CONFIG,
    action_from,
    id_list,
)

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
_CASE_CONTEXT = (
    "SELECT coalesce(c.owner, a.owner), a.data, coalesce(c.data, '{}') "
    "FROM actions a LEFT JOIN cases c ON c.id = a.case_id WHERE a.id = ?"
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
        merged = self._merge(changes) if changes.merges else MergedData()
        for statement, rows in writes_of(changes, merged):
            statement.run(self._connection, rows)
        recent = self._recent
        recent.keep_new(changes.inserted)
        recent.keep_data(merged.actions)
        recent.keep([after for _, after in changes.updated.values()])

    def _merge(self, changes: WriteSet) -> MergedData:
        merges, recent = changes.merges, self._recent
        ids = {merge.action_id for merge in merges}
        kept = {action_id: text for action_id in ids if (text := recent.data(action_id)) is not None}
        if len(kept) < len(ids):
            kept.update((new.action.id, new.data) for new in changes.inserted if new.action.id in ids)
        actions = self._data_of("actions", ids - kept.keys())
        for action_id, text in kept.items():
            actions[action_id] = msgspec.json.decode(text)
        in_cases = {merge.case_id for merge in merges if merge.case_id is not None}
        cases = self._data_of("cases", in_cases)
        for case_id in in_cases - cases.keys():
            cases[case_id] = {}  # it is about to be made
        return merge_data(merges, actions, cases)

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
