"""What has to be known of an action to explain it: its story so far, and how things are at the moment.

All times are whole milliseconds since the epoch, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from connectord.lifecycle.action import Action
from connectord.lifecycle.policy import Policy


@dataclass(frozen=True, slots=True)
class Decision:
    """One row of the history: what happened, by which rules, and under which version of the configuration.

    ``config_version`` is None where it was not kept yet.
    """

    at: int
    event: str
    rules: str
    why: str
    who: str
    note: str | None = None
    config_version: int | None = None


@dataclass(frozen=True, slots=True)
class Notification:
    """What the outbox has for the case owner (rules 5 and 9). ``next_try_at`` is None once it is delivered."""

    at: int
    owner: str | None = None
    delivered_at: int | None = None
    next_try_at: int | None = None
    tries: int = 0
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class LateResponses:
    """How many responses came too late to decide anything, 1 or more, and what the last one was (rule 15)."""

    count: int
    last_at: int
    last_status: str


@dataclass(frozen=True, slots=True)
class Story:
    """An action and what has become of it so far."""

    action: Action
    newest: Decision
    """The newest row of its history: what brought it to where it is."""
    handed_over: Decision | None = None
    """The row that made it To Do (rules 3 and 4), where that happened."""
    attempt_started_at: int | None = None
    """When the last attempt began."""
    owner: str | None = None
    """Who would be notified: the case's owner, or else the action's."""
    notification: Notification | None = None
    late: LateResponses | None = None
    rerun_of: str | None = None
    reruns: tuple[str, ...] = ()
    """Actions that were made from it by ``rerun``, the newest first; the last few only."""


@dataclass(frozen=True, slots=True)
class LaneState:
    """How the lane of a configured system is at the moment.

    ``health`` is one of ``starting``, ``ok``, ``failing`` and ``fault``. ``in_flight`` of at most ``concurrency``
    attempts are under way; one may take ``attempt_timeout_ms``. ``rate`` is ``(count, milliseconds)``: so many may
    begin in that time; ``rate_used_up`` says that just now no more of them may. ``circuit`` is one of ``closed``,
    ``open`` and ``half_open``; where it is open trials begin at ``next_trial_at``. ``places_allowed`` is how many
    attempts may be under way after an outage; None where that is ``concurrency``.
    """

    health: str
    in_flight: int
    concurrency: int
    attempt_timeout_ms: int
    last_error: str | None = None
    rate: tuple[int, int] | None = None
    rate_used_up: bool = False
    circuit: Literal["closed", "open", "half_open"] = "closed"
    next_trial_at: int | None = None
    places_allowed: int | None = None


@dataclass(frozen=True, slots=True)
class Present:
    """How things are at the moment, for the actions of one system.

    ``policy`` is what decides about them. Where the system is not ``configured`` any more it is the one they are held
    under; then there is no ``lane`` either. ``config_version`` is the configuration in force; ``paused_by`` names who
    has paused the system.
    """

    now: int
    config_version: int
    policy: Policy
    configured: bool = True
    paused_by: str | None = None
    stopping: bool = False
    lane: LaneState | None = None

    @property
    def limit_today(self) -> int | None:
        """The retry limit; None where the system is not configured any more."""
        return self.policy.retry.limit if self.configured else None
