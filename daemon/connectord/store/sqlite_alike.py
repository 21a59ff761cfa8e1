"""One change of many actions at once: a statement each for the actions, their history and the notifications."""

from __future__ import annotations

import sqlite3
from functools import lru_cache

import msgspec

from connectord.lifecycle.action import FIELDS
from connectord.lifecycle.alike import AlikeAction
from connectord.store.base import AlikeChange
from connectord.store.sqlite_many import inserting

_OVER_LIMIT = (
    "SELECT a.id, a.system, a.case_id, coalesce(c.owner, a.owner), a.submitted_at, a.attempts, a.manual, a.probe, "
    "a.limit_at_failure, a.error_at, a.error_message FROM actions a INDEXED BY actions_retrying "
    "LEFT JOIN cases c ON c.id = a.case_id WHERE a.state = 'pending' AND a.attempts > 0 AND a.system = ? "
    "AND a.attempts >= ? AND NOT a.probe LIMIT ?"
)
_INSERT_HISTORY = (
    "INSERT INTO history (seq, action_id, at, from_state, to_state, event, rules, why, who, note, config_version) "
    "SELECT ? + key, value, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM json_each(?)"
)
_LAST_NOTICE = "SELECT max(coalesce((SELECT max(seq) FROM outbox), 0), outbox_through) FROM retention"
_INSERT_OUTBOX = inserting("outbox", ["seq", "action_id", "case_id", "owner", "notice", "at", "text", "next_try_at"])


def over_limit(connection: sqlite3.Connection, system: str, attempts: int, limit: int) -> list[AlikeAction]:
    """Up to ``limit`` pending actions that were tried so often or more, and of which no outcome is asked for."""
    return list(map(AlikeAction._make, connection.execute(_OVER_LIMIT, (system, attempts, limit))))


def change_alike(connection: sqlite3.Connection, change: AlikeChange) -> None:
    """Write it, in the open transaction."""
    ids = msgspec.json.encode(change.ids).decode()
    connection.execute(_update(tuple(change.changes)), (*change.changes.values(), ids))
    first = change.history[0]
    connection.execute(
        _INSERT_HISTORY,
        (
            first.seq,
            first.at,
            first.from_state,
            first.to_state,
            first.event,
            first.rules,
            first.why,
            first.who,
            first.note,
            first.config_version,
            ids,
        ),
    )
    last = connection.execute(_LAST_NOTICE).fetchone()[0]
    rows = [
        (seq, row.action_id, row.case_id, row.owner, row.notice, row.at, row.text, row.at)
        for seq, row in enumerate(change.outbox, last + 1)
    ]
    _INSERT_OUTBOX.run(connection, rows)


@lru_cache
def _update(names: tuple[str, ...]) -> str:
    known = set(FIELDS)
    columns = ", ".join(f"{name} = ?" for name in names if name in known)
    return f"UPDATE actions SET {columns} WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608
