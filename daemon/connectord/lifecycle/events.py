"""What can happen to an action. Each class is one event; its fields are all that the lifecycle needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec


class AttemptStarted(msgspec.Struct, frozen=True):
    """The lane has a place for the action and is about to attempt it."""


class TakenBySystem(msgspec.Struct, frozen=True):
    """The system took the action and does not answer yet (rules 1 and 19)."""

    attempt: int
    reference: str | None = None


class ConnectionFailed(msgspec.Struct, frozen=True):
    """The system could not be connected to (rules 7, 9 and 12).

    ``retry_after_ms`` is the system's own wish. ``outcome_unknown`` says that it may have got the action all the same.
    """

    attempt: int
    message: str
    retry_after_ms: int | None = None
    outcome_unknown: bool = False


class AttemptInterrupted(msgspec.Struct, frozen=True):
    """The daemon, or the lane, ended during the attempt (rule 14)."""

    attempt: int
    message: str = "interrupted: the daemon stopped during the attempt"


class ProbeFoundTaken(msgspec.Struct, frozen=True):
    """The system was asked about attempt ``about``: it has the action, and answers later (rules 14, 1 and 19)."""

    about: int
    reference: str | None = None


class ProbeFoundNothing(msgspec.Struct, frozen=True):
    """The system was asked about attempt ``about``: it does not have the action (rules 14 and 9)."""

    about: int


class ProbeUnclear(msgspec.Struct, frozen=True):
    """The system was asked about attempt ``about``, and only a person can tell (rules 14 and 3)."""

    about: int
    reason: str


class ProbeFailed(msgspec.Struct, frozen=True):
    """The system could not be asked about attempt ``about`` (rule 14). ``retry_after_ms`` is its own wish."""

    about: int
    message: str
    retry_after_ms: int | None = None


class SuccessReceived(msgspec.Struct, frozen=True):
    """A successful response (rules 2 and 15); ``attempt`` is None unless the attempt itself brought it."""

    digest: str
    data: Mapping[str, Any] = msgspec.field(default_factory=dict)
    attempt: int | None = None


class FailureReceived(msgspec.Struct, frozen=True):
    """An unsuccessful response (rules 3 and 15); ``attempt`` is None unless the attempt itself brought it."""

    digest: str
    reason: str
    data: Mapping[str, Any] = msgspec.field(default_factory=dict)
    attempt: int | None = None


class HeartbeatReceived(msgspec.Struct, frozen=True):
    """The system is still at work (rule 21). ``percent`` is 0 to 100."""

    digest: str
    text: str | None = None
    percent: float | None = None


class DeadlinePassed(msgspec.Struct, frozen=True):
    """The time set for the response may be over (rules 4 and 20)."""


class LimitChanged(msgspec.Struct, frozen=True):
    """The retry limit of the system is another one now (rules 10 and 11)."""


class RetryRequested(msgspec.Struct, frozen=True):
    """A person asks for a try now (rules 8 and 16)."""


class Took(msgspec.Struct, frozen=True):
    """A person takes a To Do action (rule 5)."""

    user: str


class Released(msgspec.Struct, frozen=True):
    """A person hands it back (rule 5)."""


class Assigned(msgspec.Struct, frozen=True):
    """A person hands it on, to a queue or a user: exactly one of the two (rule 5)."""

    queue: str | None = None
    user: str | None = None


class Completed(msgspec.Struct, frozen=True):
    """A person closes a To Do action (rule 5)."""

    successful: bool
    data: Mapping[str, Any] = msgspec.field(default_factory=dict)
    note: str | None = None


class Cancelled(msgspec.Struct, frozen=True):
    """A person closes a pending or waiting action as done unsuccessfully."""

    note: str


Event: TypeAlias = (
    AttemptStarted
    | TakenBySystem
    | ConnectionFailed
    | AttemptInterrupted
    | ProbeFoundTaken
    | ProbeFoundNothing
    | ProbeUnclear
    | ProbeFailed
    | SuccessReceived
    | FailureReceived
    | HeartbeatReceived
    | DeadlinePassed
    | LimitChanged
    | RetryRequested
    | Took
    | Released
    | Assigned
    | Completed
    | Cancelled
)

EVENTS: tuple[type[Event], ...] = (
    AttemptStarted,
    TakenBySystem,
    ConnectionFailed,
    AttemptInterrupted,
    ProbeFoundTaken,
    ProbeFoundNothing,
    ProbeUnclear,
    ProbeFailed,
    SuccessReceived,
    FailureReceived,
    HeartbeatReceived,
    DeadlinePassed,
    LimitChanged,
    RetryRequested,
    Took,
    Released,
    Assigned,
    Completed,
    Cancelled,
)
"""Every event, in the order in which an action's life meets them."""
