"""What people read: labels, and the error message of rule 7, word for word."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Protocol

from connectord.lifecycle.action import Action, Reason, Resolution, State
from connectord.lifecycle.effects import Notice
from connectord.lifecycle.events import Assigned, Event, Took
from connectord.lifecycle.policy import Assignee

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

_DECIDERS = {
    "scheduler": "the scheduler",
    "callback": "a callback",
    "recovery": "the recovery at the start",
    "start": "the start of the daemon",
    "signal": "a signal to reload",
}

_NO_FURTHER = " No further tries: closed unsuccessfully."

_ABOUT: dict[type[Event], Callable[[Any], str]] = {
    Took: lambda event: event.user,
    Assigned: lambda event: f"to queue {event.queue}" if event.user is None else f"to user {event.user}",
}
"""Whom an event is about. A look by its type: every event comes by there, and hardly any is one of these."""

WORDS_SHOWN = 300
"""How many characters of somebody else's words a sentence holds; the card has all of them."""

# In seconds, and up to how many of them the unit says enough: two of a unit are told in the smaller one.
# a number and its unit, or two where one says too little
_DISTANCES = (
    (((1, "s"),), 120),
    (((60, "min"),), 7200),
    (((3600, "h"), (60, "min")), 172_800),
    (((86_400, "d"), (3600, "h")), None),
)
_DURATIONS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s"), (1, "ms"))


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


def is_highlighted(action: Action) -> bool:
    """Whether a view of the case makes the action stand out (rule 9): it was closed unsuccessfully."""
    return action.resolution is Resolution.NOT_DONE_SUCCESSFULLY


def happened_text(why: str, event: Event) -> str:
    """What the history says of an event: the table's words, and whom it was about."""
    about = _ABOUT.get(type(event))
    return why if about is None else f"{why}: {about(event)}"


def format_time(at_ms: int) -> str:
    """A time for people, UTC, to the second: ``2026-11-24 12:03:11``."""
    return _format_second(at_ms // 1000)


# thousands of actions fail in the same second when their system goes away, and are told of one after the other
@lru_cache(maxsize=1024)
def _format_second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def format_moment(at_ms: int, now: int) -> str:
    """A time, and how long that is from now: ``2026-11-24 12:03:11 UTC (3 h ago)``."""
    return f"{format_time(at_ms)} UTC ({format_distance(at_ms, now)})"


def format_distance(at_ms: int, now: int) -> str:
    """How long ``at_ms`` is from ``now``: ``in 4 min``, ``3 h 55 min ago``; ``now`` where it is less than a second."""
    seconds = abs(at_ms - now) // 1000
    if seconds == 0:
        return "now"
    units = next(units for units, until in _DISTANCES if until is None or seconds < until)
    lengths = []
    for unit, name in units:
        number, seconds = divmod(seconds, unit)
        if number:
            lengths.append(f"{number} {name}")
    length = " ".join(lengths)
    return f"in {length}" if at_ms > now else f"{length} ago"


def format_duration(ms: int) -> str:
    """How long something takes, in the largest unit that leaves no rest: ``4 h``, ``90 s``, ``250 ms``."""
    unit, name = next((unit, name) for unit, name in _DURATIONS if (ms >= unit and ms % unit == 0) or unit == 1)
    return f"{ms // unit} {name}"


def one_line(text: str) -> str:
    """Somebody else's words as part of a sentence: one line, and not without end."""
    line = " ".join(text.split())
    return line if len(line) <= WORDS_SHOWN else f"{line[:WORDS_SHOWN].rstrip()}..."


def quoted(text: str) -> str:
    """Somebody else's words, marked as such."""
    return f'"{one_line(text)}"'


def rules_text(rules: str) -> str:
    """The rules of a row of the table, for people: ``10c,9`` is 'rules 10c and 9'."""
    numbers = rules.split(",")
    return f"rule{'' if len(numbers) == 1 else 's'} {' and '.join(numbers)}"


def who_text(who: str) -> str:
    """Who decided, as the history names them, in words."""
    kind, _, name = who.partition(":")
    match kind:
        case "user" | "system" if name:
            return f"the {kind} {one_line(name)}"
        case "uid" if name:
            return f"the user with the uid {name}"
        case _:
            return _DECIDERS.get(who, one_line(who))


def owner_text(owner: str | None) -> str:
    """The case owner, by name where one is known."""
    return "the case owner" if owner is None else f"the case owner {one_line(owner)}"


def assignee_text(assignee: Assignee) -> str:
    """Whom a To Do action is for: 'the queue late-answers', 'the user anna'."""
    if assignee.user is not None:
        return f"the user {one_line(assignee.user)}"
    return f"the queue {one_line(assignee.queue or '')}"


def tried_text(action: Action, shown_limit: int | None) -> str:
    """How many tries have ended, of how many: ``4 of 5``."""
    tried = action.attempts - 1 if action.state is State.ATTEMPTING else action.attempts
    return _of_limit(tried, shown_limit)


def _of_limit(number: int, shown_limit: int | None) -> str:
    return f"{number}" if shown_limit is None else f"{number} of {shown_limit}"


def _failed_text(action: Notified, tried: str) -> str:
    failed_at = format_time(action.error_at or 0)
    return f"Connection failed at {failed_at} ({action.error_message}). Tried {tried} times."


def connection_error_text(action: Action, shown_limit: int | None) -> str | None:
    """Rule 7's message: when it failed, how often it was tried, and what comes next. None without a failure."""
    if action.error_at is None:
        return None
    failed = _failed_text(action, tried_text(action, shown_limit))
    if action.state is State.CLOSED:
        return f"{failed}{_NO_FURTHER}"
    if action.state is State.ATTEMPTING:
        return f"{failed}\nTry {_of_limit(action.attempts, shown_limit)} is under way."
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


class Notified(Protocol):
    """What an owner's notification tells of an action that is closed: nothing that closing it changes."""

    @property
    def id(self) -> str: ...
    @property
    def system(self) -> str: ...
    @property
    def case_id(self) -> str | None: ...
    @property
    def attempts(self) -> int: ...
    @property
    def error_at(self) -> int | None: ...
    @property
    def error_message(self) -> str | None: ...


def notice_text(action: Notified, notice: Notice, shown_limit: int | None) -> str:
    """What a case owner is told of an action that is closed (rules 5 and 9)."""
    case = "" if action.case_id is None else f" of case {action.case_id}"
    headline = f"Action {action.id}{case} in {action.system}: Closed - Not Done Successfully"
    if notice is Notice.CLOSED_BY_HAND:
        return f"{headline}\nIt was closed unsuccessfully by hand."
    if action.error_at is None:
        return headline
    return f"{headline}\n{_failed_text(action, _of_limit(action.attempts, shown_limit))}{_NO_FURTHER}"
