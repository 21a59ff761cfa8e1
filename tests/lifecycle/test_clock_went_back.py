"""What waits when the wall clock goes back: no longer than at first, not for ever, and not shorter."""

from __future__ import annotations

from connectord.lifecycle.action import Action, State
from connectord.lifecycle.policy import Policy, PollPolicy
from connectord.lifecycle.steps import Moment, shorten_wait
from hypothesis import given
from hypothesis import strategies as st

BEFORE = 1_000_000_000
TIMEOUT = 14_400_000
POLICY = Policy(timeout_ms=TIMEOUT, poll=PollPolicy(interval_ms=10_000, max_interval_ms=300_000, jitter=0.0))
BACK = st.integers(0, BEFORE)


def act(**fields: int | State | None) -> Action:
    return Action("A", "erp", BEFORE, **fields)  # type: ignore[arg-type]


@given(back=BACK, delay=st.integers(0, 86_400_000))
def test_nothing_waits_longer_than_it_would_have_had_to_at_first(back: int, delay: int) -> None:
    now = BEFORE - back
    retrying = act(attempts=1, error_at=BEFORE, due_at=BEFORE + delay, scheduled_at=BEFORE + delay)
    after = shorten_wait(retrying, Moment(now, POLICY))
    assert after.due_at == after.scheduled_at == now + delay
    waiting = act(state=State.WAITING, attempts=1, deadline=BEFORE + TIMEOUT, next_poll_at=BEFORE + 10_000)
    after = shorten_wait(waiting, Moment(now, POLICY))
    assert after.deadline == now + TIMEOUT
    assert after.next_poll_at is not None
    assert after.next_poll_at <= now + 300_000


@given(back=BACK)
def test_what_was_due_at_once_is_due_now(back: int) -> None:
    moment = Moment(BEFORE - back, POLICY)
    assert shorten_wait(act(due_at=BEFORE), moment).due_at == moment.now
    assert shorten_wait(act(due_at=BEFORE, attempts=1), moment).due_at == moment.now


@given(back=BACK, ahead=st.integers(1, BEFORE))
def test_a_time_that_somebody_named_stays(back: int, ahead: int) -> None:
    planned = act(due_at=BEFORE + ahead)
    assert shorten_wait(planned, Moment(BEFORE - back, POLICY)) is planned


@given(forward=st.integers(0, BEFORE), delay=st.integers(0, 86_400_000))
def test_a_clock_that_did_not_go_back_changes_nothing(forward: int, delay: int) -> None:
    moment = Moment(BEFORE + forward, POLICY)
    for action in (
        act(attempts=1, error_at=BEFORE, due_at=BEFORE + delay, scheduled_at=BEFORE + delay),
        act(state=State.WAITING, attempts=1, deadline=BEFORE + TIMEOUT, next_poll_at=BEFORE + 300_000),
        act(due_at=BEFORE),
        act(state=State.TODO),
    ):
        assert shorten_wait(action, moment) is action


@given(back=st.integers(1, BEFORE), later=st.integers(0, 86_400_000), delay=st.integers(0, 86_400_000))
def test_twice_is_no_longer_than_once(back: int, later: int, delay: int) -> None:
    retrying = act(attempts=1, error_at=BEFORE, due_at=BEFORE + delay, scheduled_at=BEFORE + delay)
    once = shorten_wait(retrying, Moment(BEFORE - back, POLICY))
    twice = shorten_wait(once, Moment(BEFORE - back + later, POLICY))
    assert once.due_at is not None
    assert twice.due_at is not None
    assert twice.due_at <= once.due_at


@given(back=BACK, delay=st.integers(0, 86_400_000))
def test_a_question_without_a_try_after_it_is_asked_no_later(back: int, delay: int) -> None:
    now = BEFORE - back
    probed = act(attempts=1, error_at=BEFORE, due_at=BEFORE + delay, probe=True)
    after = shorten_wait(probed, Moment(now, POLICY))
    assert (after.due_at, after.scheduled_at) == (now + delay, None)
