"""Rule 4's allocation as a table: which rule decides, and whom it assigns to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from connectord.lifecycle import events as on
from connectord.lifecycle.action import Action, Reason, State
from connectord.lifecycle.allocation import Background, Needs, foresee, needs_of, next_member
from connectord.lifecycle.effects import Effect, MergeData, TakeTurn
from connectord.lifecycle.policy import AllocationRule, Assignee, CaseOwner, Condition, Group, Policy
from connectord.lifecycle.steps import Moment
from connectord.lifecycle.transitions import TABLE, decide
from helpers.values import replace

T0 = 1_764_000_000_000
QUEUE, PERSON, OWNER = Assignee(queue="q"), Assignee(user="ann"), CaseOwner()
SENIORS = Group("seniors", ("anna", "ben", "eva"))


@dataclass(frozen=True)
class Has:
    """A condition: a member of the document, reached by dots, has this value."""

    path: str
    value: object

    def matches(self, document: Mapping[str, Any]) -> bool:
        found: Any = document
        for key in self.path.split("."):
            found = found.get(key) if isinstance(found, dict) else None
        return bool(found == self.value)


class Remembers:
    """A condition that keeps what it was shown."""

    def __init__(self) -> None:
        self.seen: list[Mapping[str, Any]] = []

    def matches(self, document: Mapping[str, Any]) -> bool:
        self.seen.append(document)
        return False


def waiting(**changes: Any) -> Action:
    action = Action("01J", "billing", T0, case_id="C-1", state=State.WAITING, deadline=T0, attempts=1)
    return replace(action, **changes)


REJECTED = on.FailureReceived("d", "Vendor unknown", {"checked": True, "amount": 2})
BACKGROUND = Background("olga", {"amount": 1, "kept": "yes"}, {"priority": "high", "amount": 0}, {})


def hand_over(
    *rules: AllocationRule, event: on.Event = REJECTED, background: Background = BACKGROUND
) -> tuple[tuple[str | None, str | None], tuple[Effect, ...]]:
    """Queue and user of the action once the event has made it To Do, and the effects."""
    after = decide(waiting(), event, Moment(T0, Policy(allocation=rules), 0.0, background))
    assert after.action.state is State.TODO
    return (after.action.queue, after.action.user), after.effects


DEFAULT = ("default", None)
TO_QUEUE, TO_PERSON = ("q", None), (None, "ann")


@pytest.mark.parametrize(
    ("rules", "event", "place"),
    [
        # nothing matches
        ((), REJECTED, DEFAULT),
        ((AllocationRule(QUEUE, owners=("otto",)),), REJECTED, DEFAULT),
        # the owner
        ((AllocationRule(QUEUE, owners=("olga",)),), REJECTED, TO_QUEUE),
        ((AllocationRule(QUEUE, owners=("otto", "olga")), AllocationRule(PERSON)), REJECTED, TO_QUEUE),
        ((AllocationRule(QUEUE, owners=("otto",)), AllocationRule(PERSON)), REJECTED, TO_PERSON),
        # conditions
        ((AllocationRule(QUEUE, when=Has("id", "01J")),), REJECTED, TO_QUEUE),
        ((AllocationRule(QUEUE, when=Has("id", "02J")), AllocationRule(PERSON)), REJECTED, TO_PERSON),
        ((AllocationRule(QUEUE, when=Has("data.amount", 2)),), REJECTED, TO_QUEUE),
        ((AllocationRule(QUEUE, when=Has("data.amount", 1)),), on.DeadlinePassed(), TO_QUEUE),
        ((AllocationRule(QUEUE, when=Has("case_data.priority", "high")),), on.DeadlinePassed(), TO_QUEUE),
        # all that a rule says must be so
        (
            (AllocationRule(QUEUE, "updated_by_integration", "billing", ("olga",), Has("case", "C-1")),),
            REJECTED,
            TO_QUEUE,
        ),
        ((AllocationRule(QUEUE, "timeout", "billing", ("olga",), Has("case", "C-1")),), REJECTED, DEFAULT),
        ((AllocationRule(QUEUE, None, "crm", ("olga",), Has("case", "C-1")),), REJECTED, DEFAULT),
        ((AllocationRule(QUEUE, None, "billing", ("otto",), Has("case", "C-1")),), REJECTED, DEFAULT),
        ((AllocationRule(QUEUE, None, "billing", ("olga",), Has("case", "C-2")),), REJECTED, DEFAULT),
        # the case's owner
        ((AllocationRule(OWNER),), REJECTED, (None, "olga")),
        ((AllocationRule(OWNER), AllocationRule(QUEUE)), on.DeadlinePassed(), (None, "olga")),
        # a group: the member has it, and it goes back to the group's queue
        ((AllocationRule(SENIORS),), REJECTED, ("seniors", "anna")),
        ((AllocationRule(QUEUE, reason="timeout"), AllocationRule(SENIORS)), REJECTED, ("seniors", "anna")),
    ],
)
def test_rule_04_the_first_rule_that_matches_decides(
    rules: tuple[AllocationRule, ...], event: on.Event, place: tuple[str | None, str | None]
) -> None:
    assert hand_over(*rules, event=event)[0] == place


def test_rule_04_without_an_owner_a_rule_about_one_does_not_match() -> None:
    rules = (AllocationRule(OWNER), AllocationRule(QUEUE, owners=("olga",)), AllocationRule(PERSON))
    assert hand_over(*rules, background=Background())[0] == TO_PERSON


@pytest.mark.parametrize("event", [REJECTED, on.DeadlinePassed()], ids=["rejected", "timed out"])
def test_rule_04_what_a_condition_is_shown(event: on.Event) -> None:
    condition = Remembers()
    hand_over(AllocationRule(QUEUE, when=condition), event=event)
    rejected = event is REJECTED
    response = {"checked": True, "amount": 2} if rejected else {}
    (document,) = condition.seen
    assert document == {
        "id": "01J",
        "system": "billing",
        "case": "C-1",
        "owner": "olga",
        "reason": "updated_by_integration" if rejected else "timeout",
        "rejected_reason": "Vendor unknown" if rejected else None,
        "data": {"amount": 1, "kept": "yes", **response},
        "case_data": {"priority": "high", "amount": 0, **response},
        "response": response,
    }
    # JMESPath tells strings by their exact type
    assert type(document["reason"]) is str


def test_rule_04_a_turn_is_recorded_with_the_change_and_only_if_it_was_used() -> None:
    place, effects = hand_over(AllocationRule(SENIORS))
    assert (place, effects) == (("seniors", "anna"), (MergeData(REJECTED.data), TakeTurn("seniors", "anna")))
    _, effects = hand_over(AllocationRule(QUEUE), AllocationRule(SENIORS))
    assert effects == (MergeData(REJECTED.data),)


@pytest.mark.parametrize(
    ("members", "last", "following"),
    [
        (("anna", "ben", "eva"), None, "anna"),
        (("anna", "ben", "eva"), "anna", "ben"),
        (("anna", "ben", "eva"), "eva", "anna"),
        (("anna",), "anna", "anna"),
        # the group was changed in between
        (("ben", "anna", "eva"), "anna", "eva"),
        (("anna", "zoe", "ben"), "anna", "zoe"),
        (("ben", "eva"), "anna", "ben"),
    ],
)
def test_rule_04_whose_turn_is_next(members: tuple[str, ...], last: str | None, following: str) -> None:
    assert next_member(members, last) == following
    turns = {} if last is None else {"g": last}
    background = Background(turns={**turns, "other": "ben"})
    place, effects = hand_over(AllocationRule(Group("g", members)), background=background)
    assert place == ("g", following)
    assert TakeTurn("g", following) in effects


def test_rule_05_what_a_group_gave_to_a_member_goes_back_to_the_groups_queue() -> None:
    moment = Moment(T0, Policy(allocation=(AllocationRule(SENIORS),)), 0.0, BACKGROUND)
    action = decide(waiting(), REJECTED, moment).action
    for event in (on.Took("anna"), on.Released()):
        action = decide(action, event, moment).action
    assert (action.state, action.assignee) == (State.TODO, Assignee(queue="seniors"))


@pytest.mark.parametrize(
    ("rules", "foreseen"),
    [
        ((), Assignee(queue="default")),
        ((AllocationRule(QUEUE, "updated_by_integration"), AllocationRule(PERSON, system="crm")), Assignee("default")),
        ((AllocationRule(QUEUE, "timeout"), AllocationRule(OWNER)), QUEUE),
        ((AllocationRule(SENIORS),), SENIORS),
        ((AllocationRule(OWNER), AllocationRule(QUEUE)), None),
        ((AllocationRule(QUEUE, owners=("olga",)), AllocationRule(PERSON)), None),
        ((AllocationRule(QUEUE, when=Has("id", "01J")),), None),
        ((AllocationRule(OWNER, system="crm"), AllocationRule(PERSON)), PERSON),
    ],
)
def test_rule_04_what_can_be_foreseen_of_it(rules: tuple[AllocationRule, ...], foreseen: object) -> None:
    assert foresee(waiting(), Reason.TIMEOUT, rules) == foreseen
    if isinstance(foreseen, Assignee):
        # and so it comes, whatever the case is like
        for background in (BACKGROUND, Background()):
            place, _ = hand_over(*rules, event=on.DeadlinePassed(), background=background)
            assert place == (foreseen.queue, foreseen.user)


# -- what has to be known beforehand

ASKS: tuple[tuple[AllocationRule, Needs], ...] = (
    (AllocationRule(QUEUE), Needs()),
    (AllocationRule(PERSON, "timeout", "billing"), Needs()),
    (AllocationRule(QUEUE, owners=("olga",)), Needs(owner=True)),
    (AllocationRule(OWNER), Needs(owner=True)),
    (AllocationRule(QUEUE, when=Has("id", "")), Needs(data=True)),
    (AllocationRule(SENIORS), Needs(groups=("seniors",))),
    (AllocationRule(SENIORS, owners=("a",), when=Has("id", "")), Needs(True, True, ("seniors",))),
    (AllocationRule(SENIORS, system="crm", when=Has("id", "")), Needs()),
)


@pytest.mark.parametrize(("rule", "needs"), ASKS)
def test_only_what_a_rule_asks_for_is_needed(rule: AllocationRule, needs: Needs) -> None:
    assert needs_of(waiting(), on.DeadlinePassed(), [rule]) == needs
    assert bool(needs) is (needs != Needs())


def test_a_rule_for_another_reason_asks_for_nothing() -> None:
    rules = [AllocationRule(SENIORS, "timeout"), AllocationRule(OWNER, "updated_by_integration")]
    assert needs_of(waiting(), on.DeadlinePassed(), rules) == Needs(groups=("seniors",))
    assert needs_of(waiting(), REJECTED, rules) == Needs(owner=True)


ONLY_IN = {on.DeadlinePassed: State.WAITING, on.ProbeUnclear: State.PENDING, on.ProbeFailed: State.PENDING}


def test_exactly_the_events_that_can_hand_an_action_to_people_need_anything() -> None:
    examples: dict[type[on.Event], on.Event] = {
        on.AttemptStarted: on.AttemptStarted(),
        on.TakenBySystem: on.TakenBySystem(1),
        on.ConnectionFailed: on.ConnectionFailed(1, "no"),
        on.AttemptInterrupted: on.AttemptInterrupted(1),
        on.ProbeFoundTaken: on.ProbeFoundTaken(1),
        on.ProbeFoundNothing: on.ProbeFoundNothing(1),
        on.ProbeUnclear: on.ProbeUnclear(1, "who knows"),
        on.ProbeFailed: on.ProbeFailed(1, "no"),
        on.SuccessReceived: on.SuccessReceived("d"),
        on.FailureReceived: REJECTED,
        on.HeartbeatReceived: on.HeartbeatReceived("d"),
        on.DeadlinePassed: on.DeadlinePassed(),
        on.LimitChanged: on.LimitChanged(),
        on.RetryRequested: on.RetryRequested(),
        on.Took: on.Took("ann"),
        on.Released: on.Released(),
        on.Assigned: on.Assigned(queue="q"),
        on.Completed: on.Completed(True),
        on.Cancelled: on.Cancelled("no"),
    }
    assert set(examples) == set(on.EVENTS)
    rules = [AllocationRule(SENIORS, owners=("a",), when=Has("id", ""))]
    people = (State.TODO, State.IN_PROGRESS, State.CLOSED)
    hands_over = {(row.state, row.event) for row in TABLE if row.to is State.TODO and row.state not in people}
    needing = {
        (state, kind)
        for state in State
        for kind, event in examples.items()
        # a deadline is set only while waiting, a system asked about a try only while pending: elsewhere they come to
        # nothing
        if needs_of(waiting(state=state), event, rules) and ONLY_IN.get(kind, state) is state
    }
    assert needing == hands_over


def test_conditions_compare_as_values() -> None:
    condition: Condition = Has("id", "1")
    assert AllocationRule(QUEUE, when=condition) == AllocationRule(QUEUE, when=Has("id", "1"))
    assert AllocationRule(QUEUE, when=condition) != AllocationRule(QUEUE, when=Has("id", "2"))
