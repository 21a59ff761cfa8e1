"""What can happen to an action. Each class is one event; its fields are all that the lifecycle needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """The lane has a place for the action and is about to attempt it."""


@dataclass(frozen=True, slots=True)
class TakenBySystem:
    """The system took the action and does not answer yet (rules 1 and 19)."""

    attempt: int
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class ConnectionFailed:
    """The system could not be connected to (rules 7, 9 and 12).

    ``retry_after_ms`` is the system's own wish. ``outcome_unknown`` says that it may have got the action all the same.
    """

    attempt: int
    message: str
    retry_after_ms: int | None = None
    outcome_unknown: bool = False


@dataclass(frozen=True, slots=True)
class AttemptInterrupted:
    """The daemon, or the lane, ended during the attempt (rule 14)."""

    attempt: int
    message: str = "interrupted: the daemon stopped during the attempt"


@dataclass(frozen=True, slots=True)
class ProbeFoundTaken:
    """The system was asked about attempt ``about``: it has the action, and answers later (rules 14, 1 and 19)."""

    about: int
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class ProbeFoundNothing:
    """The system was asked about attempt ``about``: it does not have the action (rules 14 and 9)."""

    about: int


@dataclass(frozen=True, slots=True)
class ProbeUnclear:
    """The system was asked about attempt ``about``, and only a person can tell (rules 14 and 3)."""

    about: int
    reason: str


@dataclass(frozen=True, slots=True)
class ProbeFailed:
    """The system could not be asked about attempt ``about`` (rule 14). ``retry_after_ms`` is its own wish."""

    about: int
    message: str
    retry_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SuccessReceived:
    """A successful response (rules 2 and 15); ``attempt`` is None unless the attempt itself brought it."""

    digest: str
    data: Mapping[str, Any] = field(default_factory=dict)
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class FailureReceived:
    """An unsuccessful response (rules 3 and 15); ``attempt`` is None unless the attempt itself brought it."""

    digest: str
    reason: str
    data: Mapping[str, Any] = field(default_factory=dict)
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class HeartbeatReceived:
    """The system is still at work (rule 21). ``percent`` is 0 to 100."""

    digest: str
    text: str | None = None
    percent: float | None = None


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The time set for the response may be over (rules 4 and 20)."""


@dataclass(frozen=True, slots=True)
class LimitChanged:
    """The retry limit of the system is another one now (rules 10 and 11)."""


@dataclass(frozen=True, slots=True)
class RetryRequested:
    """A person asks for a try now (rules 8 and 16)."""


@dataclass(frozen=True, slots=True)
class Took:
    """A person takes a To Do action (rule 5)."""

    user: str


@dataclass(frozen=True, slots=True)
class Released:
    """A person hands it back (rule 5)."""


@dataclass(frozen=True, slots=True)
class Assigned:
    """A person hands it on, to a queue or a user: exactly one of the two (rule 5)."""

    queue: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Completed:
    """A person closes a To Do action (rule 5)."""

    successful: bool
    data: Mapping[str, Any] = field(default_factory=dict)
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Cancelled:
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
