"""The rules of docs/lifecycle.md, one by one, on lives that are played event by event.

Rules that other parts of the daemon keep are tested there: which answers count as a failed connection (12) with the
adapter, one action per key (17) and one transaction per change (18) with the ledger and the store.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest
from connectord.errors import Refused
from connectord.lifecycle import events as on
from connectord.lifecycle.action import Action, Reason, Resolution, State
from connectord.lifecycle.effects import (
    AttemptOutcome,
    Effect,
    EndAttempt,
    KeepLateResponse,
    MergeData,
    Notice,
    NotifyOwner,
    OpenAttempt,
)
from connectord.lifecycle.policy import AllocationRule, Assignee, Policy, RetryPolicy
from connectord.lifecycle.retry import RETRY_AFTER_CAP_MS
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


# -- rules 1 to 6: responses ---------------------------------------------------------------------------------------


def test_rule_01_taken_without_an_answer_is_waiting() -> None:
    it = attempting()
    after = it.taken()
    assert it.state() is State.WAITING
    assert after.row.rules == "1"
    assert after.effects == (EndAttempt(1, AttemptOutcome.TAKEN, None),)


@pytest.mark.parametrize("attempt", [None, 1])
@pytest.mark.parametrize("reach", [attempting, waiting], ids=by_name)
def test_rule_02_success_closes_by_itself_and_merges_its_data(reach: Reach, attempt: int | None) -> None:
    it = reach()
    after = it.meet(on.SuccessReceived("d", {"invoice_no": "R-17"}, attempt))
    assert it.state() is State.CLOSED
    assert it.action.resolution is Resolution.DONE_SUCCESSFULLY
    assert it.action.closed_at == it.now
    assert MergeData({"invoice_no": "R-17"}) in after.effects
    assert it.notices() == []


def test_rule_02_an_answer_in_the_attempt_itself_ends_the_attempt() -> None:
    after = attempting().meet(on.SuccessReceived("d", attempt=1))
    assert EndAttempt(1, AttemptOutcome.SUCCEEDED, None) in after.effects


@pytest.mark.parametrize("attempt", [None, 1])
@pytest.mark.parametrize("reach", [attempting, waiting], ids=by_name)
def test_rule_03_rejection_is_todo_with_the_systems_reason(reach: Reach, attempt: int | None) -> None:
    it = reach(allocation=(AllocationRule(Assignee(queue="exceptions")),))
    it.meet(on.FailureReceived("d", "Vendor unknown", {"hint": 1}, attempt))
    assert it.state() is State.TODO
    assert it.action.reason is Reason.UPDATED_BY_INTEGRATION
    assert it.action.rejected_reason == "Vendor unknown"
    assert it.action.resolution is None
    assert it.action.assignee == Assignee(queue="exceptions")
    assert it.merged() == [MergeData({"hint": 1})]


@pytest.mark.parametrize(("late_by", "state"), [(-1, State.WAITING), (0, State.TODO), (HOUR, State.TODO)])
def test_rule_04_no_response_in_time_is_todo_timeout(late_by: int, state: State) -> None:
    it = waiting(timeout_ms=4 * HOUR)
    it.now = T0 + 4 * HOUR + late_by
    it.meet(on.DeadlinePassed())
    assert it.state() is state
    assert it.action.reason is (Reason.TIMEOUT if state is State.TODO else None)
    assert it.action.rejected_reason is None


QUEUE, PERSON = Assignee(queue="late-answers"), Assignee(user="ann")


@pytest.mark.parametrize(
    ("rules", "assignee"),
    [
        ((AllocationRule(QUEUE, reason="timeout"), AllocationRule(PERSON)), QUEUE),
        ((AllocationRule(PERSON), AllocationRule(QUEUE, reason="timeout")), PERSON),
        ((AllocationRule(QUEUE, reason="updated_by_integration"), AllocationRule(PERSON)), PERSON),
        ((AllocationRule(QUEUE, system="other"), AllocationRule(PERSON, system="billing")), PERSON),
        ((AllocationRule(QUEUE, reason="timeout", system="other"), AllocationRule(PERSON)), PERSON),
    ],
)
def test_rule_04_the_first_allocation_rule_that_matches_wins(
    rules: tuple[AllocationRule, ...], assignee: Assignee
) -> None:
    assert timed_out(allocation=rules).action.assignee == assignee


@pytest.mark.parametrize("reach", [todo, timed_out], ids=by_name)
def test_rule_04_nothing_is_left_unassigned(reach: Reach) -> None:
    other = AllocationRule(QUEUE, system="other")
    assert reach(allocation=(other,)).action.assignee is not None


def test_rule_05_take_and_hand_back() -> None:
    it = todo(allocation=(AllocationRule(Assignee(queue="exceptions")),))
    it.meet(on.Took("ann"))
    assert it.state() is State.IN_PROGRESS
    assert it.action.assignee == Assignee(user="ann")
    it.meet(on.Released())
    assert it.state() is State.TODO
    assert it.action.assignee == Assignee(queue="exceptions")


@pytest.mark.parametrize("to", [Assignee(queue="q2"), Assignee(user="bob")], ids=str)
@pytest.mark.parametrize("reach", [todo, timed_out, in_progress], ids=by_name)
def test_rule_05_hand_on(reach: Reach, to: Assignee) -> None:
    it = reach()
    reason = it.action.reason
    it.meet(on.Assigned(queue=to.queue, user=to.user))
    assert it.state() is State.TODO
    assert it.action.assignee == to
    assert it.action.reason is reason


@pytest.mark.parametrize(
    ("successful", "resolution", "notices"),
    [(True, Resolution.DONE_SUCCESSFULLY, []), (False, Resolution.NOT_DONE_SUCCESSFULLY, [BY_HAND])],
)
@pytest.mark.parametrize("reach", [todo, timed_out, in_progress], ids=by_name)
def test_rule_05_close_by_hand(reach: Reach, successful: bool, resolution: Resolution, notices: list[Effect]) -> None:
    it = reach()
    it.meet(on.Completed(successful, {"by": "hand"}, "a note"))
    assert it.state() is State.CLOSED
    assert it.action.resolution is resolution
    assert it.merged() == [MergeData({"by": "hand"})]
    assert it.notices() == notices


@pytest.mark.parametrize("reach", [pending, retrying, waiting], ids=by_name)
def test_rule_05_cancelled_by_hand_notifies_the_owner(reach: Reach) -> None:
    it = reach()
    it.meet(on.Cancelled("wrong case"))
    assert it.state() is State.CLOSED
    assert it.action.resolution is Resolution.NOT_DONE_SUCCESSFULLY
    assert it.notices() == [BY_HAND]


@pytest.mark.parametrize("reach", [todo, timed_out, in_progress], ids=by_name)
def test_rule_06_the_owner_is_not_notified_of_rules_3_and_4(reach: Reach) -> None:
    assert reach().notices() == []


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


# -- rules 10 and 11: the limit changes ----------------------------------------------------------------------------


def test_rule_10a_closed_stays_closed_and_shows_the_raised_limit() -> None:
    it = exhausted(limit=5)
    assert it.shown() == "5 of 5"
    it.change_limit(7)
    assert it.shown() == "5 of 7"
    assert it.state() is State.CLOSED
    assert it.refused(on.AttemptStarted())
    assert it.refused(on.RetryRequested())
    assert it.notices() == [EXHAUSTED]
    it.change_limit(3)
    assert it.shown() == "5 of 5"


def test_rule_10b_goes_on_by_itself_until_the_raised_limit() -> None:
    it = life(limit=5)
    it.fail(4)
    due_at = it.action.due_at
    it.change_limit(7)
    assert it.state() is State.PENDING
    assert it.action.due_at == due_at
    assert it.shown() == "4 of 7"
    it.fail(2)
    assert it.shown() == "6 of 7"
    assert it.state() is State.PENDING
    it.fail()
    assert it.shown() == "7 of 7"
    assert it.state() is State.CLOSED
    assert it.notices() == [EXHAUSTED]


@pytest.mark.parametrize("lowered", [4, 3, 1])
def test_rule_10c_lowered_to_what_was_tried_closes_at_once(lowered: int) -> None:
    it = life(limit=10)
    it.fail(4)
    it.change_limit(lowered)
    assert it.state() is State.CLOSED
    assert it.action.resolution is Resolution.NOT_DONE_SUCCESSFULLY
    assert it.action.closed_at == it.now
    assert it.shown() == "4 of 10"
    assert it.notices() == [EXHAUSTED]


def test_rule_10c_a_manual_retry_that_is_due_does_not_save_it() -> None:
    it = life(limit=10)
    it.fail(4)
    it.meet(on.RetryRequested())
    it.change_limit(4)
    assert it.state() is State.CLOSED


def test_rule_10_lowered_but_not_to_what_was_tried_goes_on() -> None:
    it = life(limit=10)
    it.fail(4)
    it.change_limit(6)
    assert it.state() is State.PENDING
    assert it.shown() == "4 of 10"
    it.fail()
    assert it.shown() == "5 of 6"
    it.fail()
    assert it.shown() == "6 of 6"
    assert it.state() is State.CLOSED


def test_rule_10_not_tried_yet_is_never_closed_by_a_limit() -> None:
    it = life(limit=10)
    it.change_limit(1)
    assert it.state() is State.PENDING
    assert it.shown() == "0 of 1"


@pytest.mark.parametrize(
    ("at_failure", "today", "shown"),
    [
        (None, None, None),
        (None, 5, 5),
        (5, None, 5),
        (5, 5, 5),
        (5, 7, 7),
        (10, 4, 10),
        (1, 2, 2),
        (2, 1, 2),
    ],
)
def test_rule_10_the_larger_limit_is_shown(at_failure: int | None, today: int | None, shown: int | None) -> None:
    assert replace(life().action, limit_at_failure=at_failure).shown_limit(today) == shown


@pytest.mark.parametrize(
    ("changes", "shown"),
    [([7], "4 of 7"), ([7, 5], "4 of 5"), ([8, 6], "4 of 6"), ([7, 6, 9], "4 of 9")],
)
def test_rule_10_only_limits_at_a_failure_are_remembered(changes: list[int], shown: str) -> None:
    it = life(limit=5)
    it.fail(4)
    for limit in changes:
        it.change_limit(limit)
    assert it.state() is State.PENDING
    assert it.shown() == shown


@pytest.mark.parametrize(
    ("before", "during", "state", "shown"),
    [
        (10, 4, State.CLOSED, "4 of 4"),
        (10, 2, State.CLOSED, "4 of 4"),
        (10, 5, State.PENDING, "4 of 5"),
        (4, 7, State.PENDING, "4 of 7"),
    ],
)
def test_rule_11_a_change_during_an_attempt_decides_when_it_ends(
    before: int, during: int, state: State, shown: str
) -> None:
    it = life(limit=before)
    it.fail(3)
    it.start()
    it.change_limit(during)
    assert it.state() is State.ATTEMPTING
    assert it.notices() == []
    it.end_failed()
    assert it.state() is state
    assert it.notices() == ([EXHAUSTED] if state is State.CLOSED else [])
    if during >= 4:
        assert it.shown() == shown


def test_rule_11_an_attempt_that_succeeds_is_not_closed_by_a_lowered_limit() -> None:
    it = life(limit=10)
    it.fail(3)
    it.start()
    it.change_limit(2)
    it.taken()
    assert it.state() is State.WAITING
    assert it.notices() == []


@pytest.mark.parametrize("reach", [waiting, todo, timed_out, in_progress, closed], ids=by_name)
@pytest.mark.parametrize("limit", [1, 9])
def test_rule_11_a_change_after_the_attempt_changes_only_what_is_shown(reach: Reach, limit: int) -> None:
    it = reach(limit=5)
    before = it.action
    after = it.change_limit(limit)
    assert it.action == before
    assert after.effects == ()
    assert it.shown() == f"1 of {limit}"


def test_rule_11_no_attempt_begins_beyond_a_limit_that_was_lowered_unseen() -> None:
    it = life(limit=10)
    it.fail(4)
    it.policy = replace(it.policy, retry=replace(it.policy.retry, limit=4))
    it.start()
    assert it.state() is State.CLOSED
    assert it.shown() == "4 of 10"
    assert it.notices() == [EXHAUSTED]


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


# -- rule 15: responses in any state -------------------------------------------------------------------------------


@pytest.mark.parametrize("reach", UNDECIDED, ids=by_name)
def test_rule_15_success_decides_before_a_decision(reach: Reach) -> None:
    it = reach()
    it.meet(on.SuccessReceived("d", {"a": 1}))
    assert (it.action.state, it.action.resolution) == (State.CLOSED, Resolution.DONE_SUCCESSFULLY)
    assert it.merged() == [MergeData({"a": 1})]
    assert it.refused(on.AttemptStarted())
    assert it.notices() == []


@pytest.mark.parametrize("reach", UNDECIDED, ids=by_name)
def test_rule_15_rejection_decides_before_a_decision(reach: Reach) -> None:
    it = reach()
    it.meet(on.FailureReceived("d", "no", {"a": 1}))
    assert (it.action.state, it.action.reason) == (State.TODO, Reason.UPDATED_BY_INTEGRATION)
    assert it.action.rejected_reason == "no"
    assert it.merged() == [MergeData({"a": 1})]
    assert it.refused(on.AttemptStarted())
    assert it.notices() == []


def test_rule_15_an_earlier_try_that_got_through_decides_while_another_is_under_way() -> None:
    it = life()
    it.fail()
    it.start()
    it.meet(on.SuccessReceived("d", attempt=1))
    assert it.state() is State.CLOSED


@pytest.mark.parametrize(
    ("brings", "outcome"),
    [
        (on.TakenBySystem(1), AttemptOutcome.TAKEN),
        (on.ConnectionFailed(1, "reset", 60_000), AttemptOutcome.NOT_CONNECTED),
        (on.AttemptInterrupted(1), AttemptOutcome.INTERRUPTED),
        (on.SuccessReceived("other", {"b": 2}, 1), AttemptOutcome.SUCCEEDED),
        (on.FailureReceived("other", "no", {"b": 2}, 1), AttemptOutcome.REJECTED),
    ],
)
@pytest.mark.parametrize(
    "decided_by", [on.SuccessReceived("d"), on.FailureReceived("d", "no")], ids=["success", "failure"]
)
@pytest.mark.parametrize("limit", [1, 5])
def test_rule_15_what_the_attempt_under_way_brings_is_recorded_and_changes_nothing(
    limit: int, decided_by: on.Event, brings: on.Event, outcome: AttemptOutcome
) -> None:
    it = attempting(limit=limit)
    it.meet(decided_by)
    before = it.action
    after = it.meet(brings)
    assert it.action == before
    ends = [effect for effect in after.effects if isinstance(effect, EndAttempt)]
    assert [(end.number, end.outcome) for end in ends] == [(1, outcome)]
    assert it.merged() == []
    assert it.notices() == []


@pytest.mark.parametrize("event", [on.TakenBySystem(1), on.ConnectionFailed(1, "x"), on.AttemptInterrupted(1)])
def test_rule_15_news_of_another_attempt_is_recorded_with_it(event: on.Event) -> None:
    it = life()
    it.fail()
    it.start()
    before = it.action
    after = it.meet(event)
    assert it.action == before
    assert [effect.number for effect in after.effects if isinstance(effect, EndAttempt)] == [1]


@pytest.mark.parametrize(
    ("event", "kept"),
    [
        (on.SuccessReceived("late", {"a": 1}), KeepLateResponse("late", "success", None, {"a": 1})),
        (on.FailureReceived("late", "no", {"a": 1}), KeepLateResponse("late", "failure", "no", {"a": 1})),
    ],
    ids=["success", "failure"],
)
@pytest.mark.parametrize("reach", DECIDED, ids=by_name)
def test_rule_15_a_late_response_is_kept_and_changes_nothing(
    reach: Reach, event: on.Event, kept: KeepLateResponse
) -> None:
    it = reach()
    before = it.action
    after = it.meet(event)
    assert it.action == before
    assert after.effects == (kept,)


@pytest.mark.parametrize("reach", UNDECIDED, ids=by_name)
@pytest.mark.parametrize(
    "response",
    [on.SuccessReceived("d", {"a": 1}), on.FailureReceived("d", "no", {"a": 1})],
    ids=["success", "failure"],
)
def test_rule_15_the_same_response_again_changes_nothing(reach: Reach, response: on.Event) -> None:
    it = reach()
    it.meet(response)
    before = it.action
    it.now += SECOND
    after = it.meet(response)
    assert it.action == before
    assert after.effects == ()
    assert not after.row.history


def test_rule_15_the_same_response_again_while_a_person_has_it() -> None:
    it = in_progress()
    before = it.action
    assert it.meet(on.FailureReceived("decided", "Vendor unknown")).effects == ()
    assert it.action == before


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


# -- rule 18: history ----------------------------------------------------------------------------------------------


def test_rule_18_every_change_of_state_goes_into_the_history_with_its_rule() -> None:
    it = life(limit=3)
    told = [
        it.start(),
        it.end_failed(),
        it.start(),
        it.taken(),
        it.meet(on.FailureReceived("d", "no")),
        it.meet(on.Took("ann")),
        it.meet(on.Completed(successful=False)),
    ]
    assert all(after.row.history and after.row.why for after in told)
    assert [after.row.rules for after in told] == ["14", "7", "14", "1", "3", "5", "5"]
    for before, after in pairwise(told):
        assert before.row.to is after.row.state


# -- rules 19 to 21: a system's own ways ---------------------------------------------------------------------------


def test_rule_19_taken_is_closed_where_no_response_is_expected() -> None:
    it = attempting(response_expected=False)
    after = it.taken()
    assert (it.action.state, it.action.resolution) == (State.CLOSED, Resolution.DONE_SUCCESSFULLY)
    assert after.effects == (EndAttempt(1, AttemptOutcome.TAKEN, None),)
    assert after.row.rules == "19"


def test_rule_19_a_rejection_and_a_failed_connection_still_count() -> None:
    rejected = attempting(response_expected=False)
    rejected.meet(on.FailureReceived("d", "no", attempt=1))
    assert rejected.action.state is State.TODO
    failed = attempting(response_expected=False)
    failed.end_failed()
    assert failed.action.state is State.PENDING


def test_rule_20_on_timeout_close_closes_unsuccessfully_and_quietly() -> None:
    it = waiting(on_timeout="close", timeout_ms=HOUR)
    it.now += HOUR - 1
    it.meet(on.DeadlinePassed())
    assert it.state() is State.WAITING
    it.now += 1
    after = it.meet(on.DeadlinePassed())
    assert (it.action.state, it.action.resolution) == (State.CLOSED, Resolution.NOT_DONE_SUCCESSFULLY)
    assert it.action.reason is Reason.TIMEOUT
    assert after.row.why == "no response returned"
    assert after.row.history
    assert it.notices() == []


def test_rule_20_todo_is_the_default() -> None:
    assert Policy().on_timeout == "todo"
    assert timed_out().action.state is State.TODO


def test_rule_21_the_clock_starts_when_the_system_has_taken_the_action() -> None:
    it = life(timeout_ms=HOUR)
    it.fail(2)
    it.start()
    it.now += 20 * SECOND
    assert it.action.deadline is None
    it.taken()
    assert it.action.deadline == it.now + HOUR


@pytest.mark.parametrize(("extends", "extended_by"), [(True, 10 * MINUTE), (False, 0)])
def test_rule_21_a_heartbeat_is_shown_and_may_start_the_clock_again(extends: bool, extended_by: int) -> None:
    it = waiting(timeout_ms=HOUR, heartbeat_extends=extends)
    it.now += 10 * MINUTE
    after = it.meet(on.HeartbeatReceived("beat", "half way", 50.0))
    assert it.state() is State.WAITING
    assert it.action.deadline == T0 + HOUR + extended_by
    assert it.action.progress_at == it.now
    assert (it.action.progress_text, it.action.progress_percent) == ("half way", 50.0)
    assert after.effects == ()
    it.now = T0 + HOUR
    it.meet(on.DeadlinePassed())
    assert it.state() is (State.WAITING if extends else State.TODO)


@pytest.mark.parametrize("extends", [True, False])
def test_rule_21_every_heartbeat_counts_also_one_like_the_last(extends: bool) -> None:
    it = waiting(timeout_ms=HOUR, heartbeat_extends=extends)
    for _ in range(3):
        it.now += 10 * MINUTE
        it.meet(on.HeartbeatReceived("beat"))
    assert it.action.progress_at == it.now
    assert it.action.deadline == T0 + HOUR + (30 * MINUTE if extends else 0)


@pytest.mark.parametrize("extends", [True, False])
@pytest.mark.parametrize("reach", [pending, retrying, attempting], ids=by_name)
def test_rule_21_a_heartbeat_before_the_clock_runs_is_only_shown(reach: Reach, extends: bool) -> None:
    it = reach(heartbeat_extends=extends)
    before = it.action
    it.meet(on.HeartbeatReceived("beat", "early", 1.0))
    assert (it.action.state, it.action.deadline, it.action.due_at) == (before.state, None, before.due_at)
    assert it.action.progress_text == "early"


@pytest.mark.parametrize("reach", DECIDED, ids=by_name)
def test_rule_21_a_late_heartbeat_changes_nothing(reach: Reach) -> None:
    it = reach(heartbeat_extends=True)
    before = it.action
    after = it.meet(on.HeartbeatReceived("beat", "still here", 99.0))
    assert it.action == before
    assert [type(effect) for effect in after.effects] == [KeepLateResponse]


def test_rule_15_only_what_comes_too_late_to_decide_is_late() -> None:
    action = Action("01J", "billing", T0, due_at=T0, scheduled_at=T0)
    success = on.SuccessReceived("a", {})
    decided = decide(action, success, Moment(T0, Policy()))
    assert not decided.late
    assert not decide(decided.action, success, Moment(T0, Policy())).late
    assert decide(decided.action, on.FailureReceived("b", "no", {}), Moment(T0, Policy())).late
