"""What is due, to be attempted, probed or polled, with all that the call needs: how the one writer asks.

Without INDEXED BY and without ANALYZE, SQLite may take another index and sort: seconds at millions of rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from typing import Any

from connectord.lifecycle.action import Action
from connectord.store.base import DueAction
from connectord.store.recent_actions import RecentActions
from connectord.store.sqlite_rows import (
    ACTION_WIDTH,
    FIRST_TURN,
    MANUAL_TURN,
    NEXT_DUE,
    RETRY_TURN,
    SELECT_ACTION,
    action_from,
    id_list,
    in_turn,
    next_due,
)

_DUE_COLUMNS = f"{SELECT_ACTION}, coalesce(c.owner, a.owner), a.data, coalesce(c.data, '{{}}')"
_WITH_CASE = "LEFT JOIN cases c ON c.id = a.case_id"
_BESIDES = "NOT IN (SELECT value FROM json_each(?))"
_BESIDES_THOSE = "AND a.id NOT IN (SELECT value FROM json_each(?5)) "
_THESE = "IN (SELECT value FROM json_each(?))"


def _due_in(turn: int, limit: str, besides: str, columns: str = _DUE_COLUMNS, join: str = _WITH_CASE) -> str:
    return (
        f"SELECT * FROM (SELECT {columns} FROM actions a INDEXED BY actions_due {join} "  # noqa: S608
        f"WHERE a.state = 'pending' AND a.system = ?1 AND {in_turn(turn)} "
        f"AND a.due_at <= ?2 {besides}ORDER BY a.due_at LIMIT {limit})"
    )


def _due_in_turns(columns: str = _DUE_COLUMNS, join: str = _WITH_CASE, besides: str = "") -> str:
    # SQLite takes one after the other and stops at the last limit: what is not needed costs a step into the index
    turns = (
        _due_in(MANUAL_TURN, "?3", besides, columns, join),
        _due_in(RETRY_TURN, "?4", besides, columns, join),
        _due_in(FIRST_TURN, "?3", besides, columns, join),
        _due_in(RETRY_TURN, "?3 OFFSET ?4", besides, columns, join),
    )
    return f"{' UNION ALL '.join(turns)} LIMIT ?3"


_DUE = _due_in_turns()
_DUE_BESIDES = _due_in_turns(besides=_BESIDES_THOSE)
_DUE_IDS = _due_in_turns("a.id", join="")
_DUE_IDS_BESIDES = _due_in_turns("a.id", join="", besides=_BESIDES_THOSE)
_OF_IDS = f"SELECT {_DUE_COLUMNS} FROM actions a {_WITH_CASE} WHERE a.id {_THESE}"  # noqa: S608
_CASES = f"SELECT id, owner, data FROM cases WHERE id {_THESE}"  # noqa: S608
_MANUALLY = _due_in(MANUAL_TURN, "?3", "")
_MANUALLY_BESIDES = _due_in(MANUAL_TURN, "?3", _BESIDES_THOSE.replace("?5", "?4"))
_BESIDES_SECOND = _BESIDES_THOSE.replace("?5", "?2")
_NEXT_BESIDES = next_due(MANUAL_TURN, FIRST_TURN, RETRY_TURN, besides=_BESIDES_SECOND)
_NEXT_MANUALLY = next_due(MANUAL_TURN)
_NEXT_MANUALLY_BESIDES = next_due(MANUAL_TURN, besides=_BESIDES_SECOND)
_DUE_POLLS = (
    f"SELECT {_DUE_COLUMNS} FROM actions a INDEXED BY actions_poll {_WITH_CASE} "  # noqa: S608
    "WHERE a.next_poll_at IS NOT NULL AND a.system = ? AND a.next_poll_at <= ? AND a.deadline > ? "
    f"AND a.id {_BESIDES} ORDER BY a.next_poll_at LIMIT ?"
)
_NEXT_POLL = (
    "SELECT next_poll_at FROM actions INDEXED BY actions_poll "  # noqa: S608
    "WHERE next_poll_at IS NOT NULL AND system = ? "
    f"AND deadline > ? AND id {_BESIDES} ORDER BY next_poll_at LIMIT 1"
)


def due_actions(
    connection: sqlite3.Connection,
    recent: RecentActions,
    system: str,
    now: int,
    limit: int,
    besides: Collection[str],
    retries: int,
) -> list[DueAction]:
    """As :meth:`connectord.store.base.WriteStore.due_actions`; what is kept in memory is not read."""
    known = recent.has_new
    question = (_DUE_IDS_BESIDES if besides else _DUE_IDS) if known else (_DUE_BESIDES if besides else _DUE)
    more = (id_list(besides),) if besides else ()
    rows = connection.execute(question, (system, now, limit, retries, *more)).fetchall()
    due = _of_ids(connection, recent, [row[0] for row in rows]) if known else _from_rows(rows)
    recent.keep_claimed(due, limit)
    return due


def due_manually(
    connection: sqlite3.Connection, system: str, now: int, limit: int, besides: Collection[str]
) -> list[DueAction]:
    """As :meth:`connectord.store.base.WriteStore.due_manually`."""
    if besides:
        return _from_rows(connection.execute(_MANUALLY_BESIDES, (system, now, limit, id_list(besides))))
    return _from_rows(connection.execute(_MANUALLY, (system, now, limit)))


def next_due_at(connection: sqlite3.Connection, system: str, besides: Collection[str], manual_only: bool) -> int | None:
    """As :meth:`connectord.store.base.WriteStore.next_due_at`."""
    if besides:
        question = _NEXT_MANUALLY_BESIDES if manual_only else _NEXT_BESIDES
        return _first_value(connection.execute(question, (system, id_list(besides))))
    return _first_value(connection.execute(_NEXT_MANUALLY if manual_only else NEXT_DUE, (system,)))


def due_polls(
    connection: sqlite3.Connection, system: str, now: int, limit: int, besides: Collection[str]
) -> list[DueAction]:
    """As :meth:`connectord.store.base.WriteStore.due_polls`."""
    return _from_rows(connection.execute(_DUE_POLLS, (system, now, now, id_list(besides), limit)))


def next_poll_at(connection: sqlite3.Connection, system: str, now: int, besides: Collection[str]) -> int | None:
    """As :meth:`connectord.store.base.WriteStore.next_poll_at`."""
    return _first_value(connection.execute(_NEXT_POLL, (system, now, id_list(besides))))


def _of_ids(connection: sqlite3.Connection, recent: RecentActions, ids: list[str]) -> list[DueAction]:
    found: dict[str, DueAction] = {}
    in_cases: list[tuple[Action, str]] = []
    for action_id in ids:
        action, data = recent.get(action_id), recent.data(action_id)
        if action is None or data is None:
            continue
        if action.case_id is None:
            found[action_id] = DueAction(action, action.owner, data, "{}")
        else:
            in_cases.append((action, data))
    if in_cases:
        wanted = id_list({action.case_id for action, _ in in_cases if action.case_id is not None})
        cases = {row[0]: row[1:] for row in connection.execute(_CASES, (wanted,))}
        for action, data in in_cases:
            owner, case_data = cases[action.case_id]
            found[action.id] = DueAction(action, action.owner if owner is None else owner, data, case_data)
    if len(found) < len(ids):
        others = id_list([action_id for action_id in ids if action_id not in found])
        found.update((due.action.id, due) for due in _from_rows(connection.execute(_OF_IDS, (others,))))
    return [found[action_id] for action_id in ids]


def _from_rows(rows: Iterable[Any]) -> list[DueAction]:
    return [DueAction(action_from(row), *row[ACTION_WIDTH:]) for row in rows]


def _first_value(cursor: sqlite3.Cursor) -> int | None:
    row = cursor.fetchone()
    return None if row is None else row[0]
