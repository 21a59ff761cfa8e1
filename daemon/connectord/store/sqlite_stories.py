"""An action's story, as the explanation of it needs it: some rows of six tables, each found by an index."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from connectord.lifecycle.action import Action
from connectord.lifecycle.circumstances import Decision, LateResponses, Notification, Story
from connectord.store.sqlite_rows import ACTION_WIDTH, SELECT_ACTION, action_from

RERUNS_SHOWN = 5

_ACTION = (
    f"SELECT {SELECT_ACTION}, a.rerun_of, coalesce(c.owner, a.owner), t.started_at FROM actions a "  # noqa: S608
    "LEFT JOIN cases c ON c.id = a.case_id LEFT JOIN attempts t ON t.action_id = a.id AND t.number = a.attempts "
    "WHERE a.id = ?"
)
_DECISION = "SELECT at, event, rules, why, who, note, config_version FROM history WHERE action_id = ?"
_NEWEST = f"{_DECISION} ORDER BY seq DESC LIMIT 1"
_HANDED_OVER = (
    f"{_DECISION} AND to_state = 'todo' AND from_state IN ('pending', 'attempting', 'waiting') "
    "ORDER BY seq DESC LIMIT 1"
)
_NOTIFICATION = (
    "SELECT at, owner, delivered_at, next_try_at, tries, last_error FROM outbox WHERE action_id = ? "
    "ORDER BY seq DESC LIMIT 1"
)
# of a bare column beside max() SQLite gives the value in the row with the maximum
_LATE = "SELECT count(*), max(at), status FROM late_responses WHERE action_id = ?"
_RERUNS = "SELECT id FROM actions INDEXED BY actions_rerun WHERE rerun_of = ? ORDER BY rowid DESC LIMIT ?"


def read_story(connection: sqlite3.Connection, action_id: str) -> Story | None:
    """The story of one action, all of it as of the same commit; None where there is no such action."""
    connection.execute("BEGIN")
    try:
        row = connection.execute(_ACTION, (action_id,)).fetchone()
        return None if row is None else _story(connection, action_from(row), row[ACTION_WIDTH:])
    finally:
        if connection.in_transaction:  # an I/O error has ended it already
            connection.execute("COMMIT")


def _story(connection: sqlite3.Connection, action: Action, more: Sequence[Any]) -> Story:
    def first(sql: str) -> Any:
        return connection.execute(sql, (action.id,)).fetchone()

    rerun_of, owner, attempt_started_at = more
    handed_over, notification = first(_HANDED_OVER), first(_NOTIFICATION)
    late_count, late_at, late_status = first(_LATE)
    reruns = connection.execute(_RERUNS, (action.id, RERUNS_SHOWN)).fetchall()
    return Story(
        action=action,
        newest=Decision(*first(_NEWEST)),
        handed_over=None if handed_over is None else Decision(*handed_over),
        attempt_started_at=attempt_started_at,
        owner=owner,
        notification=None if notification is None else Notification(*notification),
        late=LateResponses(late_count, late_at, late_status) if late_count else None,
        rerun_of=rerun_of,
        reruns=tuple(row[0] for row in reruns),
    )
