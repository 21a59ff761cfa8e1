"""How attempts and polls share places and rate."""

from __future__ import annotations

import trio
from connectord.config import Rate
from connectord.lanes.admission import Admission, free_for_attempts, free_for_polls
from connectord.lanes.rate import KINDS, Kind, RateWindow
from hypothesis import given
from hypothesis import strategies as st

totals = st.integers(1, 40)
counts = st.integers(0, 50)


@given(totals, counts, counts, st.booleans(), st.booleans())
def test_never_more_than_there_is(total: int, attempts: int, polls: int, contended: bool, last: bool) -> None:
    for free_for in (free_for_attempts, free_for_polls):
        free = free_for(total, attempts, polls, contended=contended, polls_came_last=last)
        assert 0 <= free <= max(total - attempts - polls, 0)
        if not contended:
            assert free == max(total - attempts - polls, 0)


@given(totals, st.data())
def test_while_both_want_a_place_that_is_free_exactly_one_of_them_or_both_may_have_it(
    total: int, data: st.DataObject
) -> None:
    attempts = data.draw(st.integers(0, total - 1))
    polls = data.draw(st.integers(0, total - 1 - attempts))
    last = data.draw(st.booleans())
    some = free_for_attempts(total, attempts, polls, contended=True, polls_came_last=last)
    others = free_for_polls(total, attempts, polls, contended=True, polls_came_last=last)
    assert some + others >= 1
    assert some + others <= total - attempts - polls


@given(st.integers(2, 40), st.lists(st.sampled_from(["attempt", "poll", "end attempt", "end poll"]), max_size=200))
def test_both_have_their_share_however_long_the_other_wants_more(total: int, steps: list[str]) -> None:
    attempts = polls = 0
    share = max(total // 4, 1)
    for step in steps:
        if step == "attempt" and free_for_attempts(total, attempts, polls, contended=True, polls_came_last=False):
            attempts += 1
        elif step == "poll" and free_for_polls(total, attempts, polls, contended=True, polls_came_last=False):
            polls += 1
        elif step == "end attempt" and attempts:
            attempts -= 1
        elif step == "end poll" and polls:
            polls -= 1
        assert polls <= share
        assert attempts <= total - share


def test_the_only_place_is_taken_in_turns() -> None:
    for polls_came_last in (False, True):
        free = [
            free_for(1, 0, 0, contended=True, polls_came_last=polls_came_last)
            for free_for in (free_for_attempts, free_for_polls)
        ]
        assert free == ([1, 0] if polls_came_last else [0, 1])


async def test_what_is_reserved_is_nobody_elses(autojump_clock: object) -> None:
    admission = Admission(4, Rate(3, 1000))
    assert admission.reserve_attempts(64) == 3
    assert admission.reserve_polls(64) == 0
    admission.begin_attempts(1, more_wait=False)
    assert admission.reserve_polls(64) == 2
    admission.begin_polls(2, more_wait=False)
    for kind in ("first", "poll", "poll"):
        admission.note_begin(kind)
    assert admission.reserve_attempts(64) == 0
    for _ in range(2):
        admission.end_poll()
    # the places are free, and the rate is used up
    assert admission.rate_used_up
    assert admission.reserve_attempts(64) == 0
    await trio.sleep(1)
    assert not admission.rate_used_up
    assert admission.reserve_attempts(64) == 3


async def test_a_lowered_concurrency_lets_nobody_in_until_there_is_room(autojump_clock: object) -> None:
    admission = Admission(8, None)
    assert admission.reserve_attempts(64) == 8
    admission.begin_attempts(8, more_wait=True)
    admission.configure(1, None)
    assert admission.reserve_attempts(64) == admission.reserve_polls(64) == 0


@given(
    st.lists(st.tuples(st.floats(0, 0.4), st.floats(0, 0.1), st.sampled_from(KINDS)), max_size=100), st.integers(1, 10)
)
def test_the_window_is_exact_over_every_second(steps: list[tuple[float, float, Kind]], count: int) -> None:
    window, now, starts = RateWindow(count, 1.0), 0.0, []
    for pause, late, kind in steps:
        now += pause
        if window.used(now) < count:
            window.let_in(kind, 1)
            # what is let in begins a little later, and counts all the while
            now += late
            window.begin(kind, now)
            starts.append(now)
        else:
            wait = window.wait_seconds(now)
            assert wait is not None
            assert 0 < wait <= 1.0
    assert all(after - before >= 1.0 - 1e-9 for before, after in zip(starts, starts[count:], strict=False))
