"""Rules 7 to 9, 12 to 14 and 16 of docs/lifecycle.md: failed connections, when the next try is, retries by hand.

Which answers count as a failed connection (12) is tested with the adapter.
"""

from __future__ import annotations

import pytest
from connectord.lifecycle import events as on
from connectord.lifecycle.action import Resolution, State, replace
from connectord.lifecycle.effects import (
    AttemptOutcome,
    EndAttempt,
    OpenAttempt,
)
from connectord.lifecycle.policy import Policy, RetryPolicy
from connectord.lifecycle.retry import RETRY_AFTER_CAP_MS
from helpers.lives import (
    EXHAUSTED,
    HOUR,
    MINUTE,
    SECOND,
    T0,
    Life,
    Reach,
    attempting,
    by_name,
    closed,
    exhausted,
    in_progress,
    life,
    pending,
    retrying,
    timed_out,
    todo,
    waiting,
)

# -- rules 7 to 9: failed connections ------------------------------------------------------------------------------


def test_rule_07_a_failed_connection_is_tried_again_up_to_the_limit() -> None:
    it = life(limit=5)
    for number in range(1, 5):
        it.fail()
        assert it.state() is State.PENDING
        assert it.action.due_at is not None
        assert it.action.due_at > it.now
        assert it.action.error_at == it.now
        assert it.action.error_message == "connect timeout after 10 s"
        assert it.shown() == f"{number} of 5"
    assert it.notices() == []


@pytest.mark.parametrize("decide_it", [on.SuccessReceived("d"), on.FailureReceived("d", "no"), on.TakenBySystem(2)])
def test_rule_07_the_error_message_goes_once_the_system_was_reached(decide_it: on.Event) -> None:
    it = retrying()
    it.start()
    it.meet(decide_it)
    assert it.action.error_at is None
    assert it.action.error_message is None


def test_rule_08_a_manual_retry_runs_now_and_counts() -> None:
    it = life(limit=3)
    it.fail()
    it.now += SECOND
    it.meet(on.RetryRequested())
    assert it.action.due_at == it.now
    after = it.start()
    assert it.now == T0 + SECOND
    assert after.effects == (OpenAttempt(2, manual=True),)
    it.end_failed()
    assert it.shown() == "2 of 3"
    assert it.start().effects == (OpenAttempt(3, manual=False),)
    it.end_failed()
    assert it.state() is State.CLOSED


def test_rule_08_only_the_one_try_is_manual() -> None:
    it = retrying()
    it.meet(on.RetryRequested())
    it.fail()
    assert not it.action.manual


def test_rule_08_asking_twice_is_one_try() -> None:
    it = retrying()
    it.meet(on.RetryRequested())
    it.now += SECOND
    it.meet(on.RetryRequested())
    assert it.action.due_at == it.now - SECOND
    it.fail()
    assert it.action.attempts == 2
    assert it.action.due_at is not None
    assert it.action.due_at > it.now


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_rule_09_the_last_failed_try_closes_and_notifies(limit: int) -> None:
    it = life(limit=limit)
    after = it.fail(limit)
    assert it.state() is State.CLOSED
    assert it.action.resolution is Resolution.NOT_DONE_SUCCESSFULLY
    assert it.action.closed_at == it.now
    assert it.action.error_at == it.now
    assert it.shown() == f"{limit} of {limit}"
    assert after.row.rules == "9"
    assert it.notices() == [EXHAUSTED]


def test_rule_09_a_manual_retry_can_be_the_last_try() -> None:
    it = life(limit=2)
    it.fail()
    it.meet(on.RetryRequested())
    it.fail()
    assert it.state() is State.CLOSED
    assert it.notices() == [EXHAUSTED]


def test_rule_09_the_last_try_may_still_succeed() -> None:
    it = life(limit=2)
    it.fail()
    it.start()
    it.taken()
    assert it.state() is State.WAITING
    assert it.notices() == []


# -- rules 12 and 13: when the next try is -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("retry_after_ms", "wait_ms"),
    [
        (None, 30 * SECOND),
        (0, 30 * SECOND),
        (10 * SECOND, 30 * SECOND),
        (31 * SECOND, 31 * SECOND),
        (2 * HOUR, 2 * HOUR),
        (RETRY_AFTER_CAP_MS, RETRY_AFTER_CAP_MS),
        (RETRY_AFTER_CAP_MS + 1, RETRY_AFTER_CAP_MS),
        (365 * 24 * HOUR, RETRY_AFTER_CAP_MS),
    ],
)
def test_rule_12_retry_after_is_obeyed_up_to_its_cap(retry_after_ms: int | None, wait_ms: int) -> None:
    it = life()
    it.start()
    it.end_failed(retry_after_ms)
    assert it.action.due_at == T0 + wait_ms


def test_rule_12_retry_after_holds_for_one_try_only() -> None:
    it = life()
    it.start()
    it.end_failed(2 * HOUR)
    it.fail()
    assert it.action.due_at == it.now + MINUTE


def test_rule_13_delay_factor_and_cap() -> None:
    it = Life(Policy(RetryPolicy(limit=8, delay_ms=30_000, factor=2.0, max_delay_ms=5 * MINUTE, jitter=0.0)))
    waits = []
    for _ in range(7):
        it.fail()
        assert it.action.due_at is not None
        waits.append((it.action.due_at - it.now) // SECOND)
    assert waits == [30, 60, 120, 240, 300, 300, 300]


def test_rule_13_the_delay_counts_from_the_failure() -> None:
    it = life()
    it.start()
    it.now += 10 * SECOND
    it.end_failed()
    assert it.action.due_at == T0 + 40 * SECOND


def test_rule_13_a_very_long_life_stays_at_the_cap() -> None:
    it = Life(Policy(RetryPolicy(limit=3000, delay_ms=1, max_delay_ms=HOUR, jitter=0.0)))
    it.fail(2500)
    assert it.action.due_at == it.now + HOUR


@pytest.mark.parametrize(("draw", "wait_ms"), [(0.0, 30_000), (0.5, 31_500), (1.0, 33_000)])
def test_rule_13_jitter_only_adds(draw: float, wait_ms: int) -> None:
    it = Life(Policy(RetryPolicy(jitter=0.1)), draw=draw)
    it.fail()
    assert it.action.due_at is not None
    assert it.action.due_at - it.now == pytest.approx(wait_ms, abs=1)
    assert it.action.due_at - it.now >= 30_000


def test_rule_13_a_manual_retry_does_not_move_the_schedule() -> None:
    it = life(limit=9)
    it.fail(2)
    scheduled = it.action.due_at
    assert scheduled == it.now + MINUTE
    for _ in range(2):
        it.now += 10 * SECOND
        it.meet(on.RetryRequested())
        it.start()
        it.now += SECOND
        it.end_failed()
        assert it.action.due_at == scheduled
    it.fail()
    assert it.now == scheduled
    # the third automatic delay, as if nobody had asked for anything
    assert it.action.due_at == it.now + 2 * MINUTE
    assert it.shown() == "5 of 9"


def test_rule_13_retry_after_wins_over_the_schedule_when_a_manual_retry_fails() -> None:
    it = life()
    it.fail()
    it.meet(on.RetryRequested())
    it.start()
    it.end_failed(2 * HOUR)
    assert it.action.due_at == it.now + 2 * HOUR


def test_rule_13_a_shorter_retry_after_does_not_bring_the_schedule_forward() -> None:
    it = life()
    it.fail()
    scheduled = it.action.due_at
    it.now += SECOND
    it.meet(on.RetryRequested())
    it.start()
    it.end_failed(5 * SECOND)
    assert it.action.due_at == scheduled


def test_rule_13_a_manual_retry_before_the_first_try_leaves_that_where_it_was() -> None:
    it = life()
    it.action = replace(it.action, due_at=T0 + HOUR, scheduled_at=T0 + HOUR)
    it.meet(on.RetryRequested())
    it.fail()
    assert it.now == T0
    assert it.action.due_at == T0 + HOUR
    it.fail()
    assert it.action.due_at == T0 + HOUR + 30 * SECOND


def test_rule_13_a_manual_try_that_outlasts_the_schedule_is_not_followed_by_one_in_the_past() -> None:
    it = life()
    it.fail()
    it.now += 29 * SECOND
    it.meet(on.RetryRequested())
    it.start()
    it.now += 10 * SECOND
    it.end_failed()
    assert it.action.due_at is not None
    assert it.action.due_at >= it.now


# -- rule 14: interruptions ----------------------------------------------------------------------------------------


def test_rule_14_an_attempt_is_opened_with_the_change_that_begins_it() -> None:
    it = life()
    for number in (1, 2, 3):
        assert it.start().effects == (OpenAttempt(number, manual=False),)
        assert it.action.attempts == number
        it.end_failed()


def test_rule_14_interrupted_counts_and_is_due_at_once() -> None:
    it = life(limit=5)
    it.fail(2)
    it.start()
    it.now += HOUR
    after = it.meet(on.AttemptInterrupted(3))
    assert [type(effect) for effect in after.effects] == [EndAttempt]
    assert isinstance(after.effects[0], EndAttempt)
    assert after.effects[0].outcome is AttemptOutcome.INTERRUPTED
    assert it.state() is State.PENDING
    assert it.action.due_at == it.now
    assert it.shown() == "3 of 5"


def test_rule_14_interrupted_at_the_limit_closes_by_rule_9() -> None:
    it = life(limit=3)
    it.fail(2)
    it.start()
    it.meet(on.AttemptInterrupted(3))
    assert it.state() is State.CLOSED
    assert it.action.resolution is Resolution.NOT_DONE_SUCCESSFULLY
    assert it.notices() == [EXHAUSTED]


def test_rule_14_the_limit_in_force_at_an_interruption_is_shown() -> None:
    it = life(limit=5)
    it.start()
    it.meet(on.AttemptInterrupted(1))
    it.change_limit(3)
    assert it.shown() == "1 of 5"


# -- rule 16: refused retries --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reach", "says"),
    [
        (attempting, "attempt is under way"),
        (waiting, "system has the action"),
        (todo, "To Do"),
        (timed_out, "To Do"),
        (in_progress, "In Progress"),
        (closed, "closed"),
        (exhausted, "closed"),
    ],
)
def test_rule_16_a_manual_retry_is_refused_with_the_reason(reach: Reach, says: str) -> None:
    assert says in reach().refused(on.RetryRequested())


@pytest.mark.parametrize("reach", [closed, exhausted], ids=by_name)
def test_rule_16_a_closed_action_points_to_rerun(reach: Reach) -> None:
    assert "rerun" in reach().refused(on.RetryRequested())


@pytest.mark.parametrize("reach", [pending, retrying], ids=by_name)
def test_rule_16_a_pending_action_can_be_retried(reach: Reach) -> None:
    it = reach()
    it.meet(on.RetryRequested())
    assert it.action.due_at == it.now
