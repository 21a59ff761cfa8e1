"""From what the store keeps to what the control socket says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, cast

import msgspec

from connectord.control import results as r
from connectord.control.notices import notification_view
from connectord.control.origins import origin_view
from connectord.lifecycle.action import Action
from connectord.lifecycle.circumstances import Present, Story
from connectord.lifecycle.explanation import explain
from connectord.lifecycle.wording import closed_label, connection_error_text, is_highlighted, state_label
from connectord.store.base import ActionRecord, AttemptRow, CaseRecord, HistoryRow
from connectord.times import rfc3339

LimitOf: TypeAlias = Callable[[str], int | None]
"""Today's retry limit of a system; None where it is not configured."""


def action_view(record: ActionRecord, limit_of: LimitOf) -> r.Action:
    """An action, as ``show`` returns it."""
    return _view(record, msgspec.json.decode(record.data), msgspec.json.decode(record.response_data), limit_of)


class NewActionViews:
    """The views of actions that were just submitted together, without a look into the store.

    They are mostly alike but for their id and data, and copying a view takes a fifth of making it.
    """

    def __init__(self, limit_of: LimitOf) -> None:
        self._limit_of = limit_of
        self._alike: dict[tuple[object, ...], r.Action] = {}

    def of(self, action: Action, data: dict[str, Any]) -> r.Action:
        """The view of one that was submitted with ``data``."""
        alike = action.system, action.case_id, action.owner, action.due_at, action.submitted_at
        view = self._alike.get(alike)
        if view is None:
            view = _view(ActionRecord(action, None, None, "", ""), {}, {}, self._limit_of)
            self._alike[alike] = view
        return msgspec.structs.replace(view, id=action.id, data=data)


def _view(record: ActionRecord, data: dict[str, Any], response_data: dict[str, Any], limit_of: LimitOf) -> r.Action:
    action = record.action
    today = limit_of(action.system)
    limit = action.shown_limit(today)
    return r.Action(
        id=action.id,
        system=action.system,
        case=action.case_id,
        owner=action.owner,
        key=record.key,
        state=action.state.value,
        label=state_label(action),
        reason=None if action.reason is None else action.reason.value,
        resolution=None if action.resolution is None else action.resolution.value,
        rejected_reason=action.rejected_reason,
        attempts=action.attempts,
        retry_limit=limit,
        submitted_at=rfc3339(action.submitted_at),
        due_at=_time(action.due_at),
        deadline=_time(action.deadline),
        reference=action.reference,
        next_poll_at=_time(action.next_poll_at),
        probing=action.probe,
        todo_at=_time(action.todo_at),
        closed_at=_time(action.closed_at),
        assigned_to=_assigned(action),
        data=data,
        response_data=response_data,
        rerun_of=record.rerun_of,
        held=today is None and action.closed_at is None,
        highlighted=is_highlighted(action),
        response=None if record.response is None else origin_view(record.response),
        connection_error=_connection_error(action, limit),
        progress=_progress(action),
        late_responses=[
            r.LateResponse(
                at=rfc3339(late.at), status=late.status, reason=late.reason, data=msgspec.json.decode(late.data)
            )
            for late in record.late_responses
        ],
        notifications=[notification_view(item) for item in record.notifications],
    )


def with_circuit(view: r.Action, present: Present) -> r.Action:
    """``view`` with the circuit of its system, where that keeps it from being tried by itself."""
    lane = present.lane
    is_due = view.state == "pending" and view.due_at is not None and view.due_at <= rfc3339(present.now)
    if lane is None or lane.circuit == "closed" or not is_due:
        return view
    circuit = r.Circuit(state=lane.circuit, next_trial_at=_time(lane.next_trial_at))
    return msgspec.structs.replace(view, circuit=circuit)


def case_view(case: CaseRecord, limit_of: LimitOf, limit: int) -> r.Case:
    """A case with up to ``limit`` of its actions, the newest first; a record with more has another page."""
    data = msgspec.json.decode(case.data)
    origins = {name: origin_view(merge) for name, merge in case.origins.items()}
    page = case.actions[:limit]
    return r.Case(
        id=case.id,
        owner=case.owner,
        data=data,
        fields={name: r.Field(value=value, origin=origins.get(name)) for name, value in data.items()},
        actions=[_in_case(record, limit_of) for record in page],
        next=page[-1].action.id if len(case.actions) > limit else None,
    )


def _in_case(record: ActionRecord, limit_of: LimitOf) -> r.Action:
    view = action_view(record, limit_of)
    if not view.highlighted:
        return view
    return msgspec.structs.replace(view, label=closed_label(record.action) or view.label)


def history_view(row: HistoryRow) -> r.Change:
    """One change, as ``history`` returns it."""
    return r.Change(**_change(row))


def explanation_view(story: Story, present: Present) -> r.Explanation:
    """Why an action is where it is, as ``why`` says it."""
    action, told = story.action, explain(story, present)
    by = told.decided_by
    return r.Explanation(
        id=action.id,
        system=action.system,
        case=action.case_id,
        state=action.state.value,
        label=told.label,
        waits_for=told.waits_for,
        until=_time(told.until),
        decided_by=r.Decision(
            at=rfc3339(by.at),
            event=by.event,
            rules=by.rules.split(","),
            why=by.why,
            who=by.who,
            note=by.note,
            config_version=by.config_version,
            text=told.decision,
        ),
        config_version=present.config_version,
        next=list(told.next),
        known=list(told.known),
        can_do=[r.Remedy(words=remedy.words, command=remedy.command) for remedy in told.can_do],
        text=told.text,
    )


def event_view(row: HistoryRow) -> r.Event:
    """One change, as ``watch`` tells it."""
    return r.Event(**_change(row), system=row.system, case=row.case_id)


def attempt_view(row: AttemptRow) -> r.Attempt:
    """One attempt."""
    return r.Attempt(
        number=row.number,
        manual=row.manual,
        started_at=rfc3339(row.started_at),
        ended_at=_time(row.ended_at),
        outcome=cast("Any", row.outcome),
        message=row.message,
    )


def _change(row: HistoryRow) -> dict[str, Any]:
    return {
        "seq": row.seq,
        "action": row.action_id,
        "at": rfc3339(row.at),
        "from_": row.from_state,
        "to": row.to_state,
        "event": row.event,
        "rules": row.rules,
        "why": row.why,
        "who": row.who,
        "note": row.note,
        "config_version": row.config_version,
    }


def _time(at_ms: int | None) -> str | None:
    return None if at_ms is None else rfc3339(at_ms)


def _assigned(action: Action) -> dict[str, str] | None:
    assignee = action.assignee
    if assignee is None:
        return None
    return {"user": assignee.user} if assignee.user is not None else {"queue": assignee.queue or ""}


def _connection_error(action: Action, limit: int | None) -> r.ConnectionError | None:
    if action.error_at is None:
        return None
    return r.ConnectionError(
        at=rfc3339(action.error_at),
        message=action.error_message,
        next_try_at=_time(action.due_at),
        attempts=action.attempts,
        retry_limit=limit,
        text=connection_error_text(action, limit),
    )


def _progress(action: Action) -> r.Progress | None:
    if action.progress_at is None:
        return None
    return r.Progress(at=rfc3339(action.progress_at), text=action.progress_text, percent=action.progress_percent)
