"""Rules 18 to 21 of docs/lifecycle.md: the history, and a system's own ways.

One transaction per change (18) is tested with the ledger and the store, one action per key (17), too.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from connectord.lifecycle import events as on
from connectord.lifecycle.action import Reason, Resolution, State
from connectord.lifecycle.effects import (
    AttemptOutcome,
    EndAttempt,
    KeepLateResponse,
)
from connectord.lifecycle.policy import Policy
from helpers.lives import (
    DECIDED,
    HOUR,
    MINUTE,
    SECOND,
    T0,
    Reach,
    attempting,
    by_name,
    life,
    pending,
    retrying,
    timed_out,
    waiting,
)

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
