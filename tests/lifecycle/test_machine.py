"""One action under random events and a policy that changes at random, checked against bookkeeping of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from connectord.errors import Refused
from connectord.lifecycle import events as on
from connectord.lifecycle.action import Action, State
from connectord.lifecycle.effects import EndAttempt, KeepLateResponse, MergeData, Notice, NotifyOwner, OpenAttempt
from connectord.lifecycle.policy import AllocationRule, Assignee, CaseOwner, Group, Policy, PollPolicy, RetryPolicy
from connectord.lifecycle.retry import RETRY_AFTER_CAP_MS
from connectord.lifecycle.steps import Moment
from connectord.lifecycle.transitions import Transition, decide
from helpers.values import replace
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

T0 = 1_764_000_000_000

limits = st.integers(1, 9)
digests = st.sampled_from(["d1", "d2", "d3"])
data: st.SearchStrategy[Mapping[str, Any]] = st.sampled_from([{}, {"a": 1}, {"b": [2]}])
numbers = st.integers(1, 9)
maybe_number = st.none() | numbers
waits = st.none() | st.integers(0, 3 * 24 * 3_600_000)
policies = st.builds(
    Policy,
    retry=st.builds(
        RetryPolicy,
        limit=limits,
        delay_ms=st.integers(1, 60_000),
        factor=st.floats(1.0, 10.0),
        max_delay_ms=st.integers(1, 3_600_000),
        jitter=st.floats(0.0, 1.0),
    ),
    timeout_ms=st.integers(1, 600_000),
    response_expected=st.booleans(),
    on_timeout=st.sampled_from(["todo", "close"]),
    heartbeat_extends=st.booleans(),
    allocation=st.lists(
        st.builds(
            AllocationRule,
            assignee=st.sampled_from([Assignee(queue="q"), Assignee(user="u"), CaseOwner(), Group("g", ("u", "v"))]),
            reason=st.sampled_from([None, "timeout", "updated_by_integration"]),
            system=st.sampled_from([None, "billing", "other"]),
        ),
        max_size=2,
    ).map(tuple),
    poll=st.none()
    | st.builds(
        PollPolicy,
        interval_ms=st.integers(1, 60_000),
        factor=st.floats(1.0, 10.0),
        max_interval_ms=st.integers(60_000, 3_600_000),
        jitter=st.floats(0.0, 1.0),
    ),
    probe=st.booleans(),
)
# Grouped, so that hypothesis leaves whole groups out of some lives and those last longer.
news: st.SearchStrategy[on.Event] = st.one_of(
    st.just(on.AttemptStarted()),
    st.builds(on.TakenBySystem, numbers),
    st.builds(on.ConnectionFailed, numbers, st.just("refused"), waits, st.booleans()),
    st.builds(on.AttemptInterrupted, numbers),
    st.just(on.DeadlinePassed()),
    st.builds(on.HeartbeatReceived, digests, st.none() | st.just("at work"), st.none() | st.floats(0, 100)),
)
probes: st.SearchStrategy[on.Event] = st.one_of(
    st.builds(on.ProbeFoundTaken, numbers),
    st.builds(on.ProbeFoundNothing, numbers),
    st.builds(on.ProbeUnclear, numbers, st.just("two of them")),
    st.builds(on.ProbeFailed, numbers, st.just("refused"), waits),
)
responses: st.SearchStrategy[on.Event] = st.one_of(
    st.builds(on.SuccessReceived, digests, data, maybe_number),
    st.builds(on.FailureReceived, digests, st.just("no"), data, maybe_number),
)
handwork: st.SearchStrategy[on.Event] = st.one_of(
    st.builds(on.Took, st.sampled_from(["ann", "bob"])),
    st.just(on.Released()),
    st.builds(on.Assigned, queue=st.just("q2")),
    st.builds(on.Assigned, user=st.just("ann")),
)
endings: st.SearchStrategy[on.Event] = st.one_of(
    st.builds(on.Completed, st.booleans(), data),
    st.just(on.Cancelled("wrong case")),
)


class OneAction(RuleBasedStateMachine):
    """The machine's own books: attempts begun, the limit at the last failure, whether it ended, who was told."""

    def __init__(self) -> None:
        super().__init__()
        self.now = T0
        self.draw = 0.0
        self.policy = Policy()
        self.action = Action("01J", "billing", T0, owner="olga", due_at=T0, scheduled_at=T0)
        self.begun = 0
        self.limit_at_failure: int | None = None
        self.ended: Action | None = None
        self.decided_by_response: str | None = None
        self.exhausted_notices = 0
        self.scheduled_at = T0

    @initialize(policy=policies, failures=st.integers(0, 5), then=st.sampled_from(["due", "asked", "taken", "todo"]))
    def submit_and_come_as_far_as(self, policy: Policy, failures: int, then: str) -> None:
        # without a head start most lives would be decided before their first retry, question or hand
        self.policy = policy
        for _ in range(failures):
            self._try_and_fail(None)
        if then == "due" or self.action.state is not State.PENDING:
            return
        self.the_attempt_begins_when_due()
        if then == "asked":
            self.the_attempt_is_interrupted()
        else:
            self.the_system_takes_it()
        if then == "todo":
            self.fire(on.FailureReceived("d0", "no", {}, None))

    # -- what can happen ---------------------------------------------------------------------------------------

    @rule(ms=st.integers(0, 900_000), draw=st.floats(0.0, 1.0))
    def time_passes(self, ms: int, draw: float) -> None:
        self.now += ms
        self.draw = draw

    @rule(limit=limits, seen=st.booleans())
    def the_limit_is_changed(self, limit: int, seen: bool) -> None:
        self.policy = replace(self.policy, retry=replace(self.policy.retry, limit=limit))
        if seen:
            self.fire(on.LimitChanged())

    @rule(policy=policies)
    def the_policy_is_changed_unseen(self, policy: Policy) -> None:
        self.policy = policy

    @precondition(lambda self: self.action.state is State.PENDING)
    @rule(limit=limits)
    def the_limit_is_changed_unseen_and_the_try_is_due(self, limit: int) -> None:
        self.the_limit_is_changed(limit=limit, seen=False)
        self._try_and_fail(None)

    @precondition(lambda self: self.action.state is State.PENDING)
    @rule(by_hand=st.booleans(), retry_after_ms=waits)
    def a_whole_try_fails(self, by_hand: bool, retry_after_ms: int | None) -> None:
        if by_hand:
            self.fire(on.RetryRequested())
        self._try_and_fail(retry_after_ms)

    @precondition(lambda self: self.action.state is State.PENDING)
    @rule()
    def the_attempt_begins_when_due(self) -> None:
        assert self.action.due_at is not None
        self.now = max(self.now, self.action.due_at)
        self.fire(on.AttemptStarted())

    @precondition(lambda self: self.action.state is State.ATTEMPTING)
    @rule(retry_after_ms=waits, unknown=st.booleans())
    def the_attempt_fails(self, retry_after_ms: int | None, unknown: bool) -> None:
        self.fire(on.ConnectionFailed(self.action.attempts, "refused", retry_after_ms, unknown))

    @precondition(lambda self: self.action.state is State.ATTEMPTING)
    @rule()
    def the_attempt_is_interrupted(self) -> None:
        self.fire(on.AttemptInterrupted(self.action.attempts))

    @precondition(lambda self: self.action.state is State.ATTEMPTING)
    @rule()
    def the_system_takes_it(self) -> None:
        self.fire(on.TakenBySystem(self.action.attempts))

    @precondition(lambda self: self.action.probe)
    @rule(event=probes)
    def the_probe_is_answered(self, event: on.Event) -> None:
        self.fire(msgspec.structs.replace(event, about=self.action.attempts))

    @rule(event=probes)
    def any_probe_is_answered(self, event: on.Event) -> None:
        self.fire(event)

    @rule()
    def a_person_asks_for_a_retry(self) -> None:
        self.fire(on.RetryRequested())

    @rule(event=news)
    def any_news_comes(self, event: on.Event) -> None:
        self.fire(event)

    @rule(event=responses)
    def a_response_comes(self, event: on.Event) -> None:
        self.fire(event)

    @rule(event=handwork)
    def a_person_works_on_it(self, event: on.Event) -> None:
        self.fire(event)

    @rule(event=endings)
    def a_person_ends_it(self, event: on.Event) -> None:
        self.fire(event)

    def _try_and_fail(self, retry_after_ms: int | None) -> None:
        if self.action.due_at is not None:
            self.now = max(self.now, self.action.due_at)
            self.fire(on.AttemptStarted())
        if self.action.state is State.ATTEMPTING:
            self.fire(on.ConnectionFailed(self.action.attempts, "refused", retry_after_ms))

    # -- the books ---------------------------------------------------------------------------------------------

    def fire(self, event: on.Event) -> None:
        before = self.action
        after = self._decide(event)
        if after is None:
            assert not isinstance(event, on.LimitChanged | on.SuccessReceived | on.FailureReceived)
            return
        assert after.row.state is before.state
        assert after.row.to is after.action.state
        self._check_attempts(before, event, after)
        self._check_responses(before, event, after)
        self._check_notices(before, event, after)
        self.action = after.action
        if self.ended is None and self.action.state is State.CLOSED:
            self.ended = self.action

    def _decide(self, event: on.Event) -> Transition | None:
        refused = None
        try:
            return decide(self.action, event, Moment(self.now, self.policy, self.draw))
        except Refused as error:
            refused = error
        assert refused.state == self.action.state
        assert refused.reason
        return None

    def _check_attempts(self, before: Action, event: on.Event, after: Transition) -> None:
        limit = self.policy.retry.limit
        opened = [effect for effect in after.effects if isinstance(effect, OpenAttempt)]
        if opened:
            assert isinstance(event, on.AttemptStarted)
            assert before.state is State.PENDING
            assert self.ended is None
            assert self.begun < limit
            self.begun += 1
            assert opened == [OpenAttempt(self.begun, before.manual)]
        assert after.action.attempts == self.begun
        own_end = isinstance(event, on.ConnectionFailed | on.AttemptInterrupted) and event.attempt == self.begun
        if own_end and before.state is State.ATTEMPTING:
            self.limit_at_failure = limit
            unknown = isinstance(event, on.AttemptInterrupted) or getattr(event, "outcome_unknown", False)
            assert after.action.probe == (unknown and self.policy.probe)
            goes_on = after.action.probe or self.begun < limit
            assert after.action.state is (State.PENDING if goes_on else State.CLOSED)
            assert after.action.error_at == self.now
            assert not after.action.manual
        if not own_end and before.state is State.ATTEMPTING:
            assert after.action.state is not State.PENDING
        if before.state is State.ATTEMPTING and after.action.state is State.PENDING:
            self._check_schedule(before, event, after.action.scheduled_at)
            wish = min(getattr(event, "retry_after_ms", None) or 0, RETRY_AFTER_CAP_MS)
            assert after.action.due_at == (self.now + wish if after.action.probe else after.action.scheduled_at)
        if isinstance(event, on.ProbeFoundNothing) and after.action.state is State.PENDING and before.probe:
            self.scheduled_at = after.action.scheduled_at or 0
        if isinstance(event, on.RetryRequested):
            assert before.state is State.PENDING
            assert before.due_at is not None
            assert after.action.due_at == min(before.due_at, self.now)
            assert after.action.manual
        ends = [effect.number for effect in after.effects if isinstance(effect, EndAttempt)]
        number = getattr(event, "attempt", None)
        assert ends == ([] if number is None else [number])

    def _check_schedule(self, before: Action, event: on.Event, due_at: int | None) -> None:
        assert due_at is not None
        retry = self.policy.retry
        if isinstance(event, on.ConnectionFailed):
            wish = min(event.retry_after_ms or 0, RETRY_AFTER_CAP_MS)
            assert due_at >= self.now + wish
            if before.manual:
                assert due_at == max(self.scheduled_at, self.now + wish)
            else:
                shortest = min(retry.delay_ms, retry.max_delay_ms)
                assert due_at >= self.now + shortest
                assert due_at <= self.now + max(wish, retry.max_delay_ms * (1 + retry.jitter))
        else:
            assert due_at == self.now
        self.scheduled_at = due_at

    def _check_responses(self, before: Action, event: on.Event, after: Transition) -> None:
        late = [effect for effect in after.effects if isinstance(effect, KeepLateResponse)]
        merged = [effect for effect in after.effects if isinstance(effect, MergeData)]
        if not isinstance(event, on.SuccessReceived | on.FailureReceived):
            assert not merged or isinstance(event, on.Completed)
            return
        if before.state in (State.PENDING, State.ATTEMPTING, State.WAITING):
            assert late == []
            assert self.decided_by_response is None
            self.decided_by_response = event.digest
            expected = State.CLOSED if isinstance(event, on.SuccessReceived) else State.TODO
            assert after.action.state is expected
            assert merged == ([MergeData(event.data)] if event.data else [])
        else:
            assert after.action == before
            assert merged == []
            assert len(late) == (event.digest != self.decided_by_response)

    def _check_notices(self, before: Action, event: on.Event, after: Transition) -> None:
        notices = [effect.notice for effect in after.effects if isinstance(effect, NotifyOwner)]
        closing = before.state is not State.CLOSED and after.action.state is State.CLOSED
        by_itself = isinstance(
            event,
            on.AttemptStarted | on.ConnectionFailed | on.AttemptInterrupted | on.LimitChanged | on.ProbeFoundNothing,
        )
        by_hand = isinstance(event, on.Cancelled) or (isinstance(event, on.Completed) and not event.successful)
        if closing and by_itself:
            assert self.begun >= self.policy.retry.limit
            assert notices == [Notice.ATTEMPTS_EXHAUSTED]
        elif closing and by_hand:
            assert notices == [Notice.CLOSED_BY_HAND]
        else:
            assert notices == []
        if isinstance(event, on.LimitChanged) and before.state is State.PENDING:
            asked_first = before.probe and self.policy.probe
            assert closing == (self.begun >= self.policy.retry.limit and not asked_first)
        self.exhausted_notices += notices.count(Notice.ATTEMPTS_EXHAUSTED)

    # -- what always holds -------------------------------------------------------------------------------------

    @invariant()
    def closed_stays_closed_as_it_was(self) -> None:
        if self.ended is not None:
            assert self.action == self.ended

    @invariant()
    def fields_fit_the_state(self) -> None:
        it = self.action
        assert (it.due_at is not None) == (it.state is State.PENDING)
        assert (it.deadline is not None) == (it.state is State.WAITING)
        assert (it.closed_at is not None) == (it.state is State.CLOSED)
        assert (it.resolution is not None) == (it.state is State.CLOSED)
        if it.state in (State.TODO, State.IN_PROGRESS):
            assert it.reason is not None
            assert it.assignee is not None
        if it.state is State.IN_PROGRESS:
            assert it.user is not None
        if it.state in (State.PENDING, State.ATTEMPTING, State.WAITING):
            assert it.reason is None
            assert it.assignee is None
        if it.manual:
            assert it.state in (State.PENDING, State.ATTEMPTING)
        assert not it.probe or it.state is State.PENDING
        assert it.next_poll_at is None or it.state is State.WAITING

    @invariant()
    def the_limit_shown_is_the_larger_one(self) -> None:
        known = [limit for limit in (self.limit_at_failure, self.policy.retry.limit) if limit is not None]
        assert self.action.shown_limit(self.policy.retry.limit) == max(known)
        assert self.action.shown_limit(None) == self.limit_at_failure

    @invariant()
    def the_owner_hears_of_rule_9_at_most_once(self) -> None:
        assert self.exhausted_notices <= (self.ended is not None)


OneAction.TestCase.settings = settings(
    max_examples=400,
    stateful_step_count=40,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
test_one_action = OneAction.TestCase
