"""An action as the lifecycle sees it: a frozen value, without the custom data that only travels along.

All times are whole milliseconds since the epoch, UTC.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec

from connectord.lifecycle.policy import Assignee


class State(StrEnum):
    """The six states of lifecycle.md."""

    PENDING = "pending"
    ATTEMPTING = "attempting"
    WAITING = "waiting"
    TODO = "todo"
    IN_PROGRESS = "in_progress"
    CLOSED = "closed"


PENDING, ATTEMPTING, WAITING, TODO, IN_PROGRESS, CLOSED = State
"""The states by themselves: Python 3.11 needs 0.2 us to find one by way of its class, and every event asks for five."""


class Reason(StrEnum):
    """Why an action is To Do (rules 3 and 4)."""

    UPDATED_BY_INTEGRATION = "updated_by_integration"
    TIMEOUT = "timeout"


class Resolution(StrEnum):
    """How an action was closed."""

    DONE_SUCCESSFULLY = "done_successfully"
    NOT_DONE_SUCCESSFULLY = "not_done_successfully"


DONE_SUCCESSFULLY, NOT_DONE_SUCCESSFULLY = Resolution
"""As the states."""


class Action(msgspec.Struct, frozen=True):
    """One thing to trigger in one external system, for one case.

    A struct, for every event of every action makes another one: a dataclass of so many fields takes five times the
    memory, and its copy three times as long.
    """

    id: str
    system: str
    submitted_at: int
    case_id: str | None = None
    owner: str | None = None
    state: State = State.PENDING
    reason: Reason | None = None
    resolution: Resolution | None = None
    rejected_reason: str | None = None

    attempts: int = 0
    """Attempts begun so far, the first and the manual ones counted."""
    due_at: int | None = None
    """When the next attempt is due; only while pending."""
    scheduled_at: int | None = None
    """When the next automatic attempt is due. A manual retry moves ``due_at`` and leaves this (rule 13)."""
    manual: bool = False
    """Whether the attempt that is due or under way was asked for by a person (rule 8)."""
    backoff_step: int = 0
    """How many automatic retries have been scheduled; the exponent of rule 13."""
    limit_at_failure: int | None = None
    """The retry limit in force at the last failed attempt (rule 10)."""
    error_at: int | None = None
    error_message: str | None = None

    deadline: int | None = None
    """Until when a response is awaited; only while waiting."""
    response_digest: str | None = None
    """Of the response that decided the action, so that the same one is known when it comes again (rule 15)."""
    progress_at: int | None = None
    progress_text: str | None = None
    progress_percent: float | None = None

    queue: str | None = None
    """The queue that a To Do action was allocated to; where it goes back to when it is released."""
    user: str | None = None
    """Who has it, or is meant to take it."""
    todo_at: int | None = None
    """Since when it needs a person (rules 3 and 4); kept once it is closed."""
    closed_at: int | None = None

    reference: str | None = None
    """The system's own name for the work, as it gave it when it took the action; kept."""
    probe: bool = False
    """Whether the system is to be asked what became of the last attempt before another one (rule 14); only while
    pending."""
    next_poll_at: int | None = None
    """When the system is to be asked for the response; only while waiting, and only where it is polled."""
    ask_step: int = 0
    """How often in a row a poll, or a probe, brought nothing; the exponent of their backoff."""
    traceparent: str | None = None
    """The trace that the submitter wants it to belong to (W3C Trace Context); only travels along."""

    @property
    def assignee(self) -> Assignee | None:
        """Whom the action is shown as assigned to: the user if there is one, else the queue."""
        if self.user is not None:
            return Assignee(user=self.user)
        if self.queue is not None:
            return Assignee(queue=self.queue)
        return None

    def shown_limit(self, limit_today: int | None) -> int | None:
        """Rule 10: the larger of today's limit and the one in force at the last failed attempt.

        ``limit_today`` is None where the system is no longer configured.
        """
        return shown_limit(limit_today, self.limit_at_failure)


def shown_limit(limit_today: int | None, limit_at_failure: int | None) -> int | None:
    """:meth:`Action.shown_limit`, of the two limits alone."""
    if limit_today is None:
        return limit_at_failure
    if limit_at_failure is None:
        return limit_today
    return max(limit_today, limit_at_failure)


FIELDS = Action.__struct_fields__

replace = msgspec.structs.replace
"""The action with other values in the fields that are named. Raises :class:`TypeError` for a field that there is not.
"""


def changed_fields(before: Action, after: Action) -> tuple[str, ...]:
    """The names of the fields that :func:`replace` gave another value between the two, in their order."""
    changed: list[str] = []
    _find_changed(before, after, changed.append)
    return tuple(changed)


def _compile_comparison() -> Callable[[Action, Action, Callable[[str], None]], None]:
    # Written out for every field, as dataclasses write their methods: a loop takes twice as long. What a change leaves
    # alone is the very same value; to compare values costs as much as deciding the change.
    lines = [f"    if before.{name} is not after.{name}: found({name!r})" for name in FIELDS]
    scope: dict[str, Any] = {}
    exec("\n".join(["def find(before, after, found):", *lines]), scope)  # noqa: S102 - of our own names
    find: Callable[[Action, Action, Callable[[str], None]], None] = scope["find"]
    return find


_find_changed = _compile_comparison()
