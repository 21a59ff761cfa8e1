"""Rules 1 to 6 and 15 of docs/lifecycle.md: what a response, its absence and people make of an action."""

from __future__ import annotations

import pytest
from connectord.lifecycle import events as on
from connectord.lifecycle.action import Action, Reason, Resolution, State
from connectord.lifecycle.effects import (
    AttemptOutcome,
    Effect,
    EndAttempt,
    KeepLateResponse,
    MergeData,
)
from connectord.lifecycle.policy import AllocationRule, Assignee, Policy
from connectord.lifecycle.steps import Moment
from connectord.lifecycle.transitions import decide
from helpers.lives import (
    BY_HAND,
    DECIDED,
    HOUR,
    SECOND,
    T0,
    UNDECIDED,
    Reach,
    attempting,
    by_name,
    in_progress,
    life,
    pending,
    retrying,
    timed_out,
    todo,
    waiting,
)

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


def test_rule_15_only_what_comes_too_late_to_decide_is_late() -> None:
    action = Action("01J", "billing", T0, due_at=T0, scheduled_at=T0)
    success = on.SuccessReceived("a", {})
    decided = decide(action, success, Moment(T0, Policy()))
    assert not decided.late
    assert not decide(decided.action, success, Moment(T0, Policy())).late
    assert decide(decided.action, on.FailureReceived("b", "no", {}), Moment(T0, Policy())).late
