"""Rules 10 and 11 of docs/lifecycle.md: the retry limit changes."""

from __future__ import annotations

import pytest
from connectord.lifecycle import events as on
from connectord.lifecycle.action import Resolution, State
from helpers.lives import EXHAUSTED, Reach, by_name, closed, exhausted, in_progress, life, timed_out, todo, waiting
from helpers.values import replace

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
