"""Asking a system: probes after an attempt whose outcome is unknown (rule 14), and the schedule of polls (rule 4)."""

from __future__ import annotations

import pytest
from connectord.lifecycle import events as on
from connectord.lifecycle.action import Action, Reason, Resolution, State
from connectord.lifecycle.effects import Notice, NotifyOwner
from connectord.lifecycle.limits import LimitEffect, limit_effect
from connectord.lifecycle.policy import AllocationRule, Assignee, Policy, PollPolicy, RetryPolicy
from connectord.lifecycle.retry import RETRY_AFTER_CAP_MS, next_poll_at, poll_delay_ms
from connectord.lifecycle.steps import Moment, begin_polling, postpone_poll
from connectord.lifecycle.transitions import Transition, decide
from connectord.lifecycle.wording import connection_error_text
from helpers.values import replace
from hypothesis import given
from hypothesis import strategies as st

T0 = 1_764_000_000_000
SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
RETRY = RetryPolicy(limit=3, delay_ms=30_000, jitter=0.0)
PROBES = Policy(RETRY, probe=True, allocation=(AllocationRule(Assignee(queue="look")),))
POLLS = Policy(RETRY, poll=PollPolicy(jitter=0.0))


def attempting(attempts: int = 1) -> Action:
    return Action("01J", "billing", T0, state=State.ATTEMPTING, attempts=attempts, scheduled_at=T0)


def meet(action: Action, event: on.Event, policy: Policy = PROBES, now: int = T0) -> Transition:
    return decide(action, event, Moment(now, policy))


def interrupted(attempts: int = 1) -> Action:
    return meet(attempting(attempts), on.AttemptInterrupted(attempts)).action


# -- when a probe is due ---------------------------------------------------------------------------------------------


def test_rule_14_an_interrupted_attempt_is_asked_about_at_once() -> None:
    after = meet(attempting(), on.AttemptInterrupted(1))
    it = after.action
    assert (it.state, it.probe, it.due_at, it.scheduled_at, it.attempts) == (State.PENDING, True, T0, T0, 1)
    assert after.row.rules == "14"


def test_rule_14_the_last_try_is_asked_about_before_rule_9_acts() -> None:
    after = meet(attempting(3), on.AttemptInterrupted(3))
    assert (after.action.state, after.action.probe) == (State.PENDING, True)


@pytest.mark.parametrize("unknown", [False, True])
def test_rule_14_only_a_failure_that_may_have_got_through_is_asked_about(unknown: bool) -> None:
    after = meet(attempting(), on.ConnectionFailed(1, "no answer", outcome_unknown=unknown)).action
    assert after.probe is unknown
    assert after.due_at == (T0 if unknown else T0 + 30 * SECOND)
    assert after.scheduled_at == T0 + 30 * SECOND
    assert after.backoff_step == 1


def test_rule_12_a_probe_obeys_the_retry_after_of_the_failure() -> None:
    event = on.ConnectionFailed(1, "no answer", 2 * MINUTE, outcome_unknown=True)
    after = meet(attempting(), event).action
    assert after.due_at == after.scheduled_at == T0 + 2 * MINUTE


@pytest.mark.parametrize("event", [on.AttemptInterrupted(1), on.ConnectionFailed(1, "no", outcome_unknown=True)])
def test_rule_14_without_a_probe_nothing_is_asked(event: on.Event) -> None:
    assert not meet(attempting(), event, Policy(RETRY)).action.probe


@pytest.mark.parametrize("attempts", [1, 3])
def test_rule_14_no_attempt_begins_while_the_system_is_to_be_asked(attempts: int) -> None:
    before = interrupted(attempts)
    after = meet(before, on.AttemptStarted())
    assert (after.action, after.effects, after.row.history) == (before, (), False)


def test_rule_14_an_adapter_that_can_no_longer_probe_tries_again() -> None:
    after = meet(interrupted(), on.AttemptStarted(), Policy(RETRY)).action
    assert (after.state, after.attempts, after.probe) == (State.ATTEMPTING, 2, False)
    after = meet(interrupted(3), on.AttemptStarted(), Policy(RETRY)).action
    assert after.resolution is Resolution.NOT_DONE_SUCCESSFULLY


# -- what a probe finds ----------------------------------------------------------------------------------------------


def test_rule_14_taken_counts_as_if_the_attempt_had_brought_it() -> None:
    after = meet(interrupted(3), on.ProbeFoundTaken(3, "job 7"), now=T0 + SECOND)
    it = after.action
    assert (it.state, it.reference, it.deadline) == (State.WAITING, "job 7", T0 + SECOND + 4 * HOUR)
    assert (it.due_at, it.scheduled_at, it.error_at, it.probe) == (None, None, None, False)
    assert after.effects == ()
    assert after.row.rules == "14,1"


def test_rule_19_taken_is_closed_where_no_response_is_expected() -> None:
    policy = replace(PROBES, response_expected=False)
    after = meet(interrupted(), on.ProbeFoundTaken(1, "job 7"), policy).action
    assert (after.resolution, after.reference) == (Resolution.DONE_SUCCESSFULLY, "job 7")


def test_rule_14_a_taken_action_is_polled_where_it_can_be() -> None:
    policy = replace(PROBES, poll=PollPolicy(jitter=0.0))
    assert meet(interrupted(), on.ProbeFoundTaken(1), policy).action.next_poll_at == T0 + 10 * SECOND


def test_rules_2_and_3_a_response_that_a_probe_finds_decides() -> None:
    done = meet(interrupted(3), on.SuccessReceived("d", {"n": 1})).action
    assert (done.resolution, done.probe) == (Resolution.DONE_SUCCESSFULLY, False)
    todo = meet(interrupted(3), on.FailureReceived("d", "no")).action
    assert (todo.reason, todo.rejected_reason, todo.probe) == (Reason.UPDATED_BY_INTEGRATION, "no", False)


def test_rule_14_not_there_is_tried_again_at_once() -> None:
    after = meet(interrupted(), on.ProbeFoundNothing(1), now=T0 + MINUTE).action
    assert (after.state, after.due_at, after.attempts, after.probe) == (State.PENDING, T0 + MINUTE, 1, False)


def test_rule_13_not_there_after_a_timeout_keeps_the_schedule() -> None:
    asked = meet(attempting(), on.ConnectionFailed(1, "no answer", outcome_unknown=True)).action
    after = meet(asked, on.ProbeFoundNothing(1), now=T0 + SECOND).action
    assert after.due_at == after.scheduled_at == T0 + 30 * SECOND


def test_rule_8_a_manual_retry_asks_now_and_then_tries_now() -> None:
    asked = meet(attempting(), on.ConnectionFailed(1, "no answer", outcome_unknown=True)).action
    later = meet(asked, on.ProbeFailed(1, "refused")).action
    assert later.due_at == T0 + 30 * SECOND
    wanted = meet(later, on.RetryRequested(), now=T0 + SECOND)
    assert (wanted.action.due_at, wanted.action.probe, wanted.row.rules) == (T0 + SECOND, True, "8,14")
    again = meet(wanted.action, on.ProbeFoundNothing(1), now=T0 + 2 * SECOND).action
    assert (again.due_at, again.manual) == (T0 + 2 * SECOND, True)


@pytest.mark.parametrize("limit", [2, 3])
def test_rule_9_not_there_and_no_try_left_closes(limit: int) -> None:
    policy = replace(PROBES, retry=replace(RETRY, limit=limit))
    after = meet(interrupted(3), on.ProbeFoundNothing(3), policy)
    assert after.action.resolution is Resolution.NOT_DONE_SUCCESSFULLY
    assert after.effects == (NotifyOwner(Notice.ATTEMPTS_EXHAUSTED),)


def test_rule_3_unclear_is_for_a_person() -> None:
    after = meet(interrupted(), on.ProbeUnclear(1, "two jobs of that name")).action
    assert (after.state, after.reason, after.rejected_reason, after.queue, after.probe) == (
        State.TODO,
        Reason.UPDATED_BY_INTEGRATION,
        "two jobs of that name",
        "look",
        False,
    )


def test_rule_14_a_probe_that_fails_comes_again_with_backoff_and_costs_no_attempt() -> None:
    action, waits = interrupted(3), []
    for _ in range(4):
        now = action.due_at or 0
        after = meet(action, on.ProbeFailed(3, "refused"), now=now)
        action = after.action
        waits.append((action.due_at or 0) - now)
        assert (action.state, action.attempts, action.error_at, after.row.history) == (State.PENDING, 3, now, False)
    assert waits == [30 * SECOND, 60 * SECOND, 120 * SECOND, 240 * SECOND]


def test_rule_12_a_probe_obeys_retry_after() -> None:
    after = meet(interrupted(), on.ProbeFailed(1, "HTTP 503", 10 * RETRY_AFTER_CAP_MS)).action
    assert after.due_at == T0 + RETRY_AFTER_CAP_MS


def test_rule_4_a_system_that_cannot_be_asked_in_time_is_for_a_person() -> None:
    before = interrupted()
    assert meet(before, on.ProbeFailed(1, "refused"), now=T0 + 4 * HOUR - 1).action.state is State.PENDING
    after = meet(before, on.ProbeFailed(1, "refused"), now=T0 + 4 * HOUR)
    assert (after.action.state, after.action.reason, after.row.rules) == (State.TODO, Reason.TIMEOUT, "14,4")
    assert after.action.rejected_reason == "whether the system got the action could not be found out: refused"


@pytest.mark.parametrize(
    "event",
    [on.ProbeFoundTaken(1), on.ProbeFoundNothing(1), on.ProbeUnclear(1, "?"), on.ProbeFailed(1, "refused")],
    ids=lambda event: type(event).__name__,
)
def test_rule_15_an_answer_about_another_attempt_decides_nothing(event: on.Event) -> None:
    for before in (interrupted(2), replace(interrupted(1), probe=False)):
        after = meet(before, event)
        assert (after.action, after.row.history) == (before, False)


def test_rules_10_and_11_a_limit_decides_once_the_probe_has_answered() -> None:
    before = interrupted(2)
    lowered = replace(PROBES, retry=replace(RETRY, limit=1))
    assert limit_effect(before, 3, 1) is LimitEffect.WHEN_ENDED
    assert meet(before, on.LimitChanged(), lowered).action == before
    assert meet(before, on.ProbeFoundNothing(2), lowered).action.state is State.CLOSED
    assert meet(before, on.ProbeFoundTaken(2), lowered).action.state is State.WAITING


def test_the_card_says_that_the_system_is_asked() -> None:
    assert connection_error_text(interrupted(), 3) == (
        "Connection failed at 2025-11-24 16:00:00 (interrupted: the daemon stopped during the attempt). "
        "Tried 1 of 3 times.\nIt may have got through all the same: the system is asked before another try, at "
        "2025-11-24 16:00:00. Ask now: connectorctl retry 01J"
    )


# -- polls -----------------------------------------------------------------------------------------------------------


def waiting(policy: Policy = POLLS) -> Action:
    return meet(attempting(), on.TakenBySystem(1, "job 7"), policy).action


def test_rule_1_taken_sets_the_first_poll_and_keeps_the_reference() -> None:
    assert (waiting().next_poll_at, waiting().reference) == (T0 + 10 * SECOND, "job 7")
    assert waiting(PROBES).next_poll_at is None


def test_polls_back_off_up_to_the_longest_interval() -> None:
    action, gaps, at = waiting(), [], T0
    for _ in range(12):
        now = action.next_poll_at or 0
        gaps.append(now - at)
        action, at = postpone_poll(action, Moment(now, POLLS), None), now
    assert gaps[:4] == [10_000, 15_000, 22_500, 33_750]
    assert gaps[-2:] == [300_000, 300_000]


def test_a_poll_obeys_retry_after_up_to_its_cap() -> None:
    assert postpone_poll(waiting(), Moment(T0, POLLS), HOUR).next_poll_at == T0 + HOUR
    assert postpone_poll(waiting(), Moment(T0, POLLS), 10 * RETRY_AFTER_CAP_MS).next_poll_at == T0 + RETRY_AFTER_CAP_MS


@pytest.mark.parametrize(
    "event", [on.SuccessReceived("d"), on.FailureReceived("d", "no"), on.Cancelled("no"), on.DeadlinePassed()]
)
def test_nobody_is_polled_once_it_is_decided(event: on.Event) -> None:
    after = meet(waiting(), event, POLLS, now=T0 + 5 * HOUR).action
    assert after.next_poll_at is None
    assert postpone_poll(after, Moment(T0, POLLS), None) is after
    assert begin_polling(after, Moment(T0, POLLS)) is after


def test_what_was_taken_before_its_system_was_polled_is_polled_from_now_on() -> None:
    before = waiting(PROBES)
    assert begin_polling(before, Moment(T0 + HOUR, POLLS)).next_poll_at == T0 + HOUR + 10 * SECOND
    assert begin_polling(before, Moment(T0, PROBES)) is before
    polled = waiting()
    assert begin_polling(polled, Moment(T0 + HOUR, POLLS)) is polled


def test_rule_4_one_more_poll_comes_shortly_before_the_deadline() -> None:
    policy = PollPolicy(10_000, 2.0, HOUR, 0.0)
    deadline = T0 + MINUTE
    assert next_poll_at(policy, 2, 0.0, T0, deadline) == T0 + 40 * SECOND
    assert next_poll_at(policy, 3, 0.0, T0, deadline) == deadline - 10 * SECOND
    assert next_poll_at(policy, 3, 0.0, deadline - 10 * SECOND, deadline) > deadline


policies = st.builds(
    PollPolicy,
    interval_ms=st.integers(1, 10**9),
    factor=st.floats(1.0, 100.0),
    max_interval_ms=st.integers(10**9, 10**11),
    jitter=st.floats(0.0, 1.0),
)


@given(policies, st.integers(0, 10**6), st.floats(0.0, 1.0))
def test_a_delay_is_within_its_bounds_and_jitter_only_adds(policy: PollPolicy, step: int, draw: float) -> None:
    delay = poll_delay_ms(policy, step, draw)
    assert policy.interval_ms <= delay <= policy.max_interval_ms * 2
    assert delay >= poll_delay_ms(policy, step, 0.0)
    assert poll_delay_ms(policy, step + 1, draw) >= delay


@given(policies, st.integers(0, 50), st.floats(0.0, 1.0), st.integers(1, 10**11))
def test_the_next_poll_is_ahead_and_no_answer_is_missed_for_long(
    policy: PollPolicy, step: int, draw: float, left_ms: int
) -> None:
    deadline = T0 + left_ms
    at = next_poll_at(policy, step, draw, T0, deadline)
    assert at > T0
    # of the time before the deadline, no more than one interval is left without a question
    assert at <= deadline or left_ms <= policy.interval_ms
