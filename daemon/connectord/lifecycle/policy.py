"""What an operator decides about a system's actions, as plain frozen values.

All times are whole milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

OnTimeout: TypeAlias = Literal["todo", "close"]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When failed connections are tried again (rules 7 to 13).

    ``limit`` is how many attempts an action may have in all, 1 or more. The n-th automatic retry comes
    ``delay_ms * factor ** (n - 1)`` after the failure, at most ``max_delay_ms``; ``jitter`` (0 to 1) adds up to
    that share of it and never takes away. ``budget`` (0 to 1) is how much of a system's places and rate retries may
    take while actions that were never tried are due, too; 0 lets them wait for those.
    """

    limit: int = 5
    delay_ms: int = 30_000
    factor: float = 2.0
    max_delay_ms: int = 3_600_000
    jitter: float = 0.1
    budget: float = 0.5


@dataclass(frozen=True, slots=True)
class PollPolicy:
    """When a system that is polled is asked for the response of an action that it has.

    The first question comes ``interval_ms`` after it took the action; after each one that brought nothing the next
    comes ``factor`` times later, at most ``max_interval_ms``; ``jitter`` (0 to 1) adds up to that share of it and never
    takes away.
    """

    interval_ms: int = 10_000
    factor: float = 1.5
    max_interval_ms: int = 300_000
    jitter: float = 0.1


@dataclass(frozen=True, slots=True)
class Assignee:
    """Whom a To Do action is assigned to: a queue or a user, exactly one of the two."""

    queue: str | None = None
    user: str | None = None


DEFAULT_ASSIGNEE = Assignee(queue="default")
"""Where a To Do action goes when no allocation rule matches, so that none is left without a place."""


@dataclass(frozen=True, slots=True)
class CaseOwner:
    """The owner of the action's case. A rule that assigns to it does not match where there is none."""


@dataclass(frozen=True, slots=True)
class Group:
    """People who get To Do actions in turn (round robin): ``members``, 1 or more distinct names in their order.

    ``name`` is also that of the group's queue: there a member hands back what is not for them.
    """

    name: str
    members: tuple[str, ...]


Target: TypeAlias = Assignee | CaseOwner | Group
"""Whom an allocation rule assigns to."""


class Condition(Protocol):
    """What an allocation rule asks about an action. Two with the same expression are equal."""

    def matches(self, document: Mapping[str, Any]) -> bool:
        """Whether the rule is about the action that ``document`` tells of. Raises nothing."""
        ...


@dataclass(frozen=True, slots=True)
class AllocationRule:
    """One rule of rule 4's allocation. A field that is None matches everything.

    ``owners`` are the case owners that it is about, 1 or more.
    """

    assignee: Target
    reason: str | None = None
    system: str | None = None
    owners: tuple[str, ...] | None = None
    when: Condition | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything that the lifecycle has to know about an action's system.

    ``timeout_ms`` is how long a response may take (rules 4 and 21). ``allocation`` is in order: the first rule
    that matches wins. ``poll`` is None where the adapter does not poll; ``probe`` says whether it can be asked what
    became of an attempt (rule 14).
    """

    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeout_ms: int = 14_400_000
    response_expected: bool = True
    on_timeout: OnTimeout = "todo"
    heartbeat_extends: bool = False
    allocation: tuple[AllocationRule, ...] = ()
    poll: PollPolicy | None = None
    probe: bool = False
