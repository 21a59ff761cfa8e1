"""One change of many actions at once: few statements for the actions, their history and the notifications."""

from __future__ import annotations

import sqlite3
from functools import lru_cache

from connectord.lifecycle.action import FIELDS
from connectord.lifecycle.alike import AlikeAction
from connectord.store.base import AlikeChange
from connectord.store.sqlite_outbox import NumberedInsert, outbox_values
from connectord.store.sqlite_rows import id_list

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
_INSERT_OUTBOX = NumberedInsert()


def over_limit(connection: sqlite3.Connection, system: str, attempts: int, limit: int) -> list[AlikeAction]:
    """Up to ``limit`` pending actions that were tried so often or more, and of which no outcome is asked for."""
    return list(map(AlikeAction._make, connection.execute(_OVER_LIMIT, (system, attempts, limit))))


def change_alike(connection: sqlite3.Connection, change: AlikeChange) -> None:
    """Write it, in the open transaction."""
    ids = id_list(change.ids)
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
    _INSERT_OUTBOX.run(connection, outbox_values(change.outbox))


@lru_cache
def _update(names: tuple[str, ...]) -> str:
    known = set(FIELDS)
    columns = ", ".join(f"{name} = ?" for name in names if name in known)
    return f"UPDATE actions SET {columns} WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608
