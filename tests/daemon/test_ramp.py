"""The ramp, and the share of retries, as values."""

from __future__ import annotations

from connectord.config import Rate
from connectord.lanes.admission import Admission, share_of_retries
from connectord.lanes.ramp import FEW, Ramp
from hypothesis import given
from hypothesis import strategies as st


def test_it_doubles_with_every_round_until_all_are_allowed() -> None:
    ramp, rounds = Ramp(), []
    ramp.begin(1)
    while (allowed := ramp.allowed) is not None:
        rounds.append(allowed)
        for _ in range(allowed):
            ramp.reached(16)
    assert rounds == [1, 2, 4, 8]
    assert ramp.room is None


def test_one_round_of_failures_halves_it_once_and_it_grows_more_slowly_from_there() -> None:
    ramp = Ramp()
    ramp.begin(16)
    for _ in range(16):
        ramp.failed(began_at=1.0, now=2.0)
    assert ramp.allowed == 8
    ramp.failed(began_at=2.5, now=3.0)
    assert ramp.allowed == 4
    for _ in range(8):
        ramp.reached(64)
    assert ramp.allowed == 5


def test_after_a_start_a_failure_takes_back_two_places_and_none_of_the_first() -> None:
    ramp = Ramp()
    ramp.begin_untroubled()
    for now in range(10):
        ramp.failed(float(now), float(now))
    assert ramp.allowed == FEW
    for _ in range(3):
        ramp.reached(16)
    ramp.failed(10.0, 10.0)
    assert ramp.allowed == FEW + 1
    ramp.begin(1)
    ramp.reached(16)
    ramp.failed(11.0, 11.0)
    assert ramp.allowed == 1


def test_after_a_start_a_quarter_of_failures_does_not_keep_it_from_its_end() -> None:
    ramp, tries = Ramp(), 0
    ramp.begin_untroubled()
    while ramp.allowed is not None:
        tries += 1
        if tries % 4 == 0:
            ramp.failed(float(tries), float(tries))
        else:
            ramp.reached(16)
    assert tries <= 48


@given(st.lists(st.booleans(), max_size=200), st.integers(1, 64))
def test_at_least_one_is_allowed_and_never_more_than_there_are(steps: list[bool], concurrency: int) -> None:
    ramp = Ramp()
    ramp.begin(1)
    for now, well in enumerate(steps):
        if well:
            ramp.reached(concurrency)
        else:
            ramp.failed(float(now), float(now))
        assert ramp.allowed is None or 1 <= ramp.allowed <= concurrency


@given(st.integers(2, 100), st.floats(0, 1), st.integers(0, 100), st.booleans())
def test_retries_have_their_share_and_no_more(total: int, budget: float, retries: int, last: bool) -> None:
    first = share_of_retries(total, budget, retries, retry_came_last=last)
    assert 0 <= first <= total
    if budget < 1:
        assert retries + first <= max(total * budget, 1) or first == 0
    if budget == 0:
        assert first == 0


@given(st.integers(2, 100), st.floats(0.01, 0.99))
def test_neither_retries_nor_new_actions_starve(total: int, budget: float) -> None:
    share = share_of_retries(total, budget, 0, retry_came_last=False)
    assert 1 <= share < total


def test_the_only_place_is_taken_in_turns() -> None:
    assert [share_of_retries(1, 0.5, 0, retry_came_last=last) for last in (False, True)] == [1, 0]


async def test_the_share_is_of_what_the_ramp_allows_and_of_the_rate(autojump_clock: object) -> None:
    admission = Admission(16, Rate(10, 1000), 0.5)
    assert admission.reserve_attempts(64) == 10
    assert admission.retries_first() == 5
    admission.ramp.begin(4)
    assert admission.retries_first() == 2
    admission.begin_attempts(3, retries=2, more_wait=False)
    assert admission.reserve_attempts(64) == 7
    assert admission.retries_first() == 0
    admission.end_attempt(retry=True)
    assert admission.retries_first() == 1
