"""Removing what is old: closed actions with everything that belongs to them, in small pieces."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from connectord.store.base import Prunable, Pruned, PrunePlace, RetentionRecord

HEAVY_ATTEMPTS = 500
"""An action with more attempts goes in several steps, each of about so many rows: it can have a million."""

# the key's test is written as the index has it, or SQLite would not find it there
_CANDIDATES = (
    "SELECT a.rowid, a.id, a.closed_at, a.case_id, a.attempts, "
    "EXISTS (SELECT 1 FROM outbox o WHERE o.action_id = a.id AND o.delivered_at IS NULL) "
    "OR (SELECT h.at FROM history h INDEXED BY history_action WHERE h.action_id = a.id ORDER BY h.seq DESC LIMIT 1) "
    "> ? "
    "FROM actions a INDEXED BY actions_closed "
    "WHERE a.state = 'closed' AND a.resolution = ? AND (a.key IS NOT NULL) = ? "
    "AND a.closed_at <= ? AND (a.closed_at, a.rowid) > (?, ?) ORDER BY a.closed_at, a.rowid LIMIT ?"
)
_DUE = (
    "SELECT count(*), min(closed_at) FROM actions INDEXED BY actions_closed WHERE state = 'closed' AND resolution = ? "
    "AND (key IS NOT NULL) = ? AND closed_at <= ?"
)
_NEWEST_HISTORY = (
    "SELECT max(h.seq) FROM json_each(?) j CROSS JOIN history h INDEXED BY history_action ON h.action_id = j.value"
)
_NEWEST_NOTICE = (
    "SELECT max(o.seq) FROM json_each(?) j CROSS JOIN outbox o INDEXED BY outbox_action ON o.action_id = j.value"
)

_OF_THESE = "(SELECT value FROM json_each(?))"
_HISTORY_OF_THESE = (
    "SELECT h.seq FROM json_each(?) j CROSS JOIN history h INDEXED BY history_action ON h.action_id = j.value"
)
_DELETES = (
    f"DELETE FROM merges WHERE seq IN ({_HISTORY_OF_THESE})",  # noqa: S608
    f"DELETE FROM history WHERE action_id IN {_OF_THESE}",  # noqa: S608
    f"DELETE FROM attempts WHERE action_id IN {_OF_THESE}",  # noqa: S608
    f"DELETE FROM late_responses WHERE action_id IN {_OF_THESE}",  # noqa: S608
    f"DELETE FROM outbox WHERE action_id IN {_OF_THESE}",  # noqa: S608
    f"DELETE FROM actions WHERE id IN {_OF_THESE}",  # noqa: S608
)
_DELETE_CASES = (
    f"DELETE FROM cases WHERE id IN {_OF_THESE} "  # noqa: S608
    "AND NOT EXISTS (SELECT 1 FROM actions INDEXED BY actions_case WHERE case_id = cases.id)"
)
_OLDEST_HISTORY = "SELECT seq FROM history INDEXED BY history_action WHERE action_id = ? ORDER BY seq LIMIT ?"
_OLDEST_ATTEMPTS = "SELECT action_id, number FROM attempts WHERE action_id = ? ORDER BY number LIMIT ?"
_PIECES = (
    f"DELETE FROM merges WHERE seq IN ({_OLDEST_HISTORY})",  # noqa: S608
    f"DELETE FROM history WHERE seq IN ({_OLDEST_HISTORY})",  # noqa: S608
    f"DELETE FROM attempts WHERE (action_id, number) IN ({_OLDEST_ATTEMPTS})",  # noqa: S608
)
_RECORD = (
    "UPDATE retention SET actions = actions + ?, history_through = max(history_through, ?), "
    "outbox_through = max(outbox_through, ?), last_at = ? WHERE one = 1"
)


def prune(connection: sqlite3.Connection, what: Prunable, place: PrunePlace, limit: int, now: int) -> Pruned:
    """Remove up to ``limit`` closed actions after ``place``, in the open transaction.

    One stays where its owner was not told yet, or where anything has happened to it since ``what.before``.
    """
    rows = connection.execute(
        _CANDIDATES, (what.before, what.resolution, what.keyed, what.before, place.closed_at, place.row, limit)
    ).fetchall()
    ids: list[str] = []
    cases: set[str] = set()
    pruned = Pruned(place, (), more=len(rows) == limit)
    for row, action_id, closed_at, case_id, attempts, stays in rows:
        if not stays and attempts > HEAVY_ATTEMPTS:
            if ids:
                # in a transaction of its own, the next one
                pruned = Pruned(pruned.place, (), more=True)
                break
            if _remove_piece(connection, action_id, now):
                return Pruned(pruned.place, (), more=True)
        pruned = Pruned(PrunePlace(closed_at, row), (), more=pruned.more)
        if not stays:
            ids.append(action_id)
            cases |= set() if case_id is None else {case_id}
    if ids:
        _remove(connection, ids, sorted(cases), now)
    return Pruned(pruned.place, tuple(ids), pruned.more)


def due(connection: sqlite3.Connection, what: Prunable) -> tuple[int, int | None]:
    """How many actions there are to remove, and when the oldest of them was closed."""
    count, oldest = connection.execute(_DUE, (what.resolution, what.keyed, what.before)).fetchone()
    return count, oldest


def retention_record(connection: sqlite3.Connection) -> RetentionRecord:
    """What was removed so far."""
    row = connection.execute("SELECT actions, history_through, last_at FROM retention WHERE one = 1").fetchone()
    return RetentionRecord(*row)


def _remove(connection: sqlite3.Connection, ids: Sequence[str], cases: Sequence[str], now: int) -> None:
    these = msgspec.json.encode(ids).decode()
    history, notice = (
        connection.execute(sql, (these,)).fetchone()[0] or 0 for sql in (_NEWEST_HISTORY, _NEWEST_NOTICE)
    )
    for sql in _DELETES:
        connection.execute(sql, (these,))
    if cases:
        connection.execute(_DELETE_CASES, (msgspec.json.encode(cases).decode(),))
    connection.execute(_RECORD, (len(ids), history, notice, now))


def _remove_piece(connection: sqlite3.Connection, action_id: str, now: int) -> bool:
    """Remove the oldest of what belongs to an action with very many attempts; whether there was anything left."""
    newest = connection.execute(f"SELECT max(seq) FROM ({_OLDEST_HISTORY})", (action_id, HEAVY_ATTEMPTS)).fetchone()[0]  # noqa: S608
    removed = 0
    for sql in _PIECES:
        removed += connection.execute(sql, (action_id, HEAVY_ATTEMPTS)).rowcount
    connection.execute(_RECORD, (0, newest or 0, 0, now))
    return removed > 0
