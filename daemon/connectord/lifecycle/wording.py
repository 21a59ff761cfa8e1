"""What people read: labels, and the error message of rule 7, word for word."""

from __future__ import annotations

from datetime import UTC, datetime

from connectord.lifecycle.action import Action, Reason, Resolution, State
from connectord.lifecycle.effects import Notice
from connectord.lifecycle.events import Assigned, Event, Took

_STATES = {
    State.PENDING: "Pending",
    State.ATTEMPTING: "Connecting",
    State.WAITING: "Waiting",
    State.TODO: "To Do",
    State.IN_PROGRESS: "In Progress",
    State.CLOSED: "Closed",
}
_REASONS = {Reason.UPDATED_BY_INTEGRATION: "Updated by Integration", Reason.TIMEOUT: "Timeout"}
_RESOLUTIONS = {
    Resolution.DONE_SUCCESSFULLY: "Done Successfully",
    Resolution.NOT_DONE_SUCCESSFULLY: "Not Done Successfully",
}


def state_label(action: Action) -> str:
    """The label of the action's state: 'Retrying' is a pending action after a failed attempt."""
    if action.state is State.PENDING and action.error_at is not None:
        return "Retrying"
    return _STATES[action.state]


def reason_label(reason: Reason | None) -> str | None:
    """'Updated by Integration' or 'Timeout'."""
    return None if reason is None else _REASONS[reason]


def resolution_label(resolution: Resolution | None) -> str | None:
    """'Done Successfully' or 'Not Done Successfully'."""
    return None if resolution is None else _RESOLUTIONS[resolution]


def closed_label(action: Action) -> str | None:
    """How a view marks a closed action: 'Closed - Not Done Successfully'. None while it is not closed."""
    resolution = resolution_label(action.resolution)
    return None if resolution is None else f"{_STATES[State.CLOSED]} - {resolution}"


def happened_text(why: str, event: Event) -> str:
    """What the history says of an event: the table's words, and whom it was about."""
    match event:
        case Took():
            return f"{why}: {event.user}"
        case Assigned():
            return f"{why}: to queue {event.queue}" if event.user is None else f"{why}: to user {event.user}"
        case _:
            return why


def format_time(at_ms: int) -> str:
    """A time for people, UTC, to the second: ``2026-11-24 12:03:11``."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def connection_error_text(action: Action, shown_limit: int | None) -> str | None:
    """Rule 7's message: when it failed, how often it was tried, and what comes next. None without a failure."""
    if action.error_at is None:
        return None
    of_limit = "" if shown_limit is None else f" of {shown_limit}"
    under_way = action.state is State.ATTEMPTING
    tried = action.attempts - 1 if under_way else action.attempts
    failed = (
        f"Connection failed at {format_time(action.error_at)} ({action.error_message}). Tried {tried}{of_limit} times."
    )
    if action.state is State.CLOSED:
        return f"{failed} No further tries: closed unsuccessfully."
    if under_way:
        return f"{failed}\nTry {action.attempts}{of_limit} is under way."
    if action.probe and action.due_at is not None:
        return (
            f"{failed}\nIt may have got through all the same: the system is asked before another try, at "
            f"{format_time(action.due_at)}. Ask now: connectorctl retry {action.id}"
        )
    if action.manual:
        return f"{failed}\nNext try: now, asked for by hand."
    if action.due_at is None:
        return failed
    return f"{failed}\nNext automatic try at {format_time(action.due_at)}. Retry now: connectorctl retry {action.id}"


def notice_text(action: Action, notice: Notice, shown_limit: int | None) -> str:
    """What a case owner is told (rules 5 and 9)."""
    case = "" if action.case_id is None else f" of case {action.case_id}"
    headline = f"Action {action.id}{case} in {action.system}: Closed - Not Done Successfully"
    if notice is Notice.CLOSED_BY_HAND:
        return f"{headline}\nIt was closed unsuccessfully by hand."
    return f"{headline}\n{connection_error_text(action, shown_limit) or ''}".rstrip()
