"""What the control socket says of an action, a case, an attempt: interface.md's shapes, as plain dictionaries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from connectord.lifecycle.action import Action
from connectord.lifecycle.wording import connection_error_text, state_label
from connectord.store.base import ActionRecord, AttemptRow, CaseRecord, HistoryRow
from connectord.times import rfc3339

LimitOf: TypeAlias = Callable[[str], int | None]
"""Today's retry limit of a system; None where it is not configured."""


def action_view(record: ActionRecord, limit_of: LimitOf) -> dict[str, Any]:
    """An action, as ``show`` returns it."""
    action = record.action
    limit = action.shown_limit(limit_of(action.system))
    return {
        "id": action.id,
        "system": action.system,
        "case": action.case_id,
        "owner": action.owner,
        "key": record.key,
        "state": action.state.value,
        "label": state_label(action),
        "reason": action.reason,
        "resolution": action.resolution,
        "rejected_reason": action.rejected_reason,
        "attempts": action.attempts,
        "retry_limit": limit,
        "submitted_at": rfc3339(action.submitted_at),
        "due_at": _time(action.due_at),
        "deadline": _time(action.deadline),
        "closed_at": _time(action.closed_at),
        "assigned_to": _assigned(action),
        "data": msgspec.json.decode(record.data),
        "response_data": msgspec.json.decode(record.response_data),
        "rerun_of": record.rerun_of,
        "held": limit_of(action.system) is None and action.closed_at is None,
        "connection_error": _connection_error(action, limit),
        "progress": _progress(action),
        "late_responses": [
            {
                "at": rfc3339(late.at),
                "status": late.status,
                "reason": late.reason,
                "data": msgspec.json.decode(late.data),
            }
            for late in record.late_responses
        ],
    }


def case_view(case: CaseRecord, limit_of: LimitOf) -> dict[str, Any]:
    """A case with its actions, the newest first."""
    return {
        "id": case.id,
        "owner": case.owner,
        "data": msgspec.json.decode(case.data),
        "actions": [action_view(record, limit_of) for record in case.actions],
    }


def history_view(row: HistoryRow) -> dict[str, Any]:
    """One change, as ``history`` and ``watch`` return it."""
    return {
        "seq": row.seq,
        "action": row.action_id,
        "at": rfc3339(row.at),
        "from": row.from_state,
        "to": row.to_state,
        "event": row.event,
        "rules": row.rules,
        "why": row.why,
        "who": row.who,
        "note": row.note,
    }


def attempt_view(row: AttemptRow) -> dict[str, Any]:
    """One attempt."""
    return {
        "number": row.number,
        "manual": row.manual,
        "started_at": rfc3339(row.started_at),
        "ended_at": _time(row.ended_at),
        "outcome": row.outcome,
        "message": row.message,
    }


def _time(at_ms: int | None) -> str | None:
    return None if at_ms is None else rfc3339(at_ms)


def _assigned(action: Action) -> dict[str, str] | None:
    assignee = action.assignee
    if assignee is None:
        return None
    return {"user": assignee.user} if assignee.user is not None else {"queue": assignee.queue or ""}


def _connection_error(action: Action, limit: int | None) -> dict[str, Any] | None:
    if action.error_at is None:
        return None
    return {
        "at": rfc3339(action.error_at),
        "message": action.error_message,
        "next_try_at": _time(action.due_at),
        "attempts": action.attempts,
        "retry_limit": limit,
        "text": connection_error_text(action, limit),
    }


def _progress(action: Action) -> dict[str, Any] | None:
    if action.progress_at is None:
        return None
    return {
        "at": rfc3339(action.progress_at),
        "text": action.progress_text,
        "percent": action.progress_percent,
    }
