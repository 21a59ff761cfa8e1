"""The life of one action, played event by event against the pure lifecycle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from connectord.errors import Refused
from connectord.lifecycle import events as on
from connectord.lifecycle.action import Action, State
from connectord.lifecycle.effects import (
    Effect,
    MergeData,
    Notice,
    NotifyOwner,
)
from connectord.lifecycle.policy import Policy, RetryPolicy
from connectord.lifecycle.steps import Moment
from connectord.lifecycle.transitions import Transition, decide

T0 = 1_764_000_000_000
SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
EXHAUSTED = NotifyOwner(Notice.ATTEMPTS_EXHAUSTED)
BY_HAND = NotifyOwner(Notice.CLOSED_BY_HAND)


@dataclass
class Life:
    """One action, its system's policy and the time; remembers everything that happened."""

    policy: Policy = field(default_factory=lambda: Policy(RetryPolicy(jitter=0.0)))
    now: int = T0
    draw: float = 0.0
    action: Action = field(
        default_factory=lambda: Action("01J", "billing", T0, owner="olga", due_at=T0, scheduled_at=T0)
    )
    effects: list[Effect] = field(default_factory=list)

    def meet(self, event: on.Event) -> Transition:
        after = decide(self.action, event, Moment(self.now, self.policy, self.draw))
        self.action = after.action
        self.effects += after.effects
        return after

    def refused(self, event: on.Event) -> str:
        before = self.action
        with pytest.raises(Refused) as caught:
            self.meet(event)
        assert self.action == before
        assert caught.value.state == before.state
        return caught.value.reason

    def start(self) -> Transition:
        """The attempt that is due begins; the time goes on until then."""
        assert self.action.due_at is not None
        self.now = max(self.now, self.action.due_at)
        return self.meet(on.AttemptStarted())

    def end_failed(self, retry_after_ms: int | None = None) -> Transition:
        return self.meet(on.ConnectionFailed(self.action.attempts, "connect timeout after 10 s", retry_after_ms))

    def fail(self, times: int = 1) -> Transition:
        for _ in range(times):
            self.start()
            after = self.end_failed()
        return after

    def taken(self) -> Transition:
        return self.meet(on.TakenBySystem(self.action.attempts))

    def change_limit(self, limit: int) -> Transition:
        self.policy = replace(self.policy, retry=replace(self.policy.retry, limit=limit))
        return self.meet(on.LimitChanged())

    def state(self) -> State:
        return self.action.state

    def shown(self) -> str:
        return f"{self.action.attempts} of {self.action.shown_limit(self.policy.retry.limit)}"

    def notices(self) -> list[Effect]:
        return [effect for effect in self.effects if isinstance(effect, NotifyOwner)]

    def merged(self) -> list[Effect]:
        return [effect for effect in self.effects if isinstance(effect, MergeData)]


def life(limit: int = 5, **policy: Any) -> Life:
    return Life(Policy(RetryPolicy(limit=limit, jitter=0.0), **policy))


def pending(**policy: Any) -> Life:
    return life(**policy)


def retrying(**policy: Any) -> Life:
    it = life(**policy)
    it.fail()
    return it


def attempting(**policy: Any) -> Life:
    it = life(**policy)
    it.start()
    return it


def waiting(**policy: Any) -> Life:
    it = attempting(**policy)
    it.taken()
    return it


def todo(**policy: Any) -> Life:
    it = waiting(**policy)
    it.meet(on.FailureReceived("decided", "Vendor unknown"))
    return it


def timed_out(**policy: Any) -> Life:
    it = waiting(**policy)
    assert it.action.deadline is not None
    it.now = it.action.deadline
    it.meet(on.DeadlinePassed())
    return it


def in_progress(**policy: Any) -> Life:
    it = todo(**policy)
    it.meet(on.Took("ann"))
    return it


def closed(**policy: Any) -> Life:
    it = waiting(**policy)
    it.meet(on.SuccessReceived("decided"))
    return it


def exhausted(**policy: Any) -> Life:
    it = life(**policy)
    it.fail(it.policy.retry.limit)
    return it


Reach = Callable[..., Life]
UNDECIDED: list[Reach] = [pending, retrying, attempting, waiting]
DECIDED: list[Reach] = [todo, timed_out, in_progress, closed, exhausted]


def by_name(reach: Reach) -> str:
    return reach.__name__
