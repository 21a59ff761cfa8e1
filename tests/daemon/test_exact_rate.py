"""``rate`` holds in every window of its length, whatever comes when: whole lanes under simulated time."""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace
from pathlib import Path

import trio
import trio.testing
from connectord.adapters import Call, NotConnected, Outcome, Succeeded
from connectord.config import Rate
from connectord.lifecycle.policy import RetryPolicy
from helpers.world import world
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

steps = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(1, 40)),
        st.tuples(st.just("sleep"), st.floats(0, 2.5)),
        st.tuples(st.just("pause"), st.floats(0, 2.5)),
        st.tuples(st.just("rate"), st.integers(1, 12)),
    ),
    max_size=12,
)


@given(steps, st.integers(1, 12), st.floats(0, 1.5), st.integers(0, 3))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_never_more_in_any_second_than_the_rate_says(
    steps: list[tuple[str, float]], count: int, seconds: float, failures: int
) -> None:
    """Also right after a pause, with retries among them, and with another rate: the higher of the two holds then."""
    begun: list[float] = []
    rates = [(-10.0, count)]

    async def work(call: Call) -> Outcome:
        begun.append(trio.current_time())
        await trio.sleep(seconds)
        if call.attempt <= failures:
            raise NotConnected("HTTP 503")
        return Succeeded()

    async def live() -> None:
        retry = RetryPolicy(limit=5, delay_ms=300, factor=1.0, jitter=0.0)
        with tempfile.TemporaryDirectory() as directory:
            async with world(Path(directory), work, retry=retry, rate=Rate(count, 1000), concurrency=64) as here:
                for what, value in steps:
                    match what:
                        case "submit":
                            await here.submit(int(value))
                        case "sleep":
                            await trio.sleep(value)
                        case "pause":
                            here.lane.set_paused(True)
                            await trio.sleep(value)
                            here.lane.set_paused(False)
                        case "rate":
                            rates.append((trio.current_time(), int(value)))
                            here.lane.reconfigure(replace(here.lane.config, rate=Rate(int(value), 1000)))
                await trio.sleep(5)

    trio.run(live, clock=trio.testing.MockClock(autojump_threshold=0))
    ends = [since for since, _ in rates[1:]] + [math.inf]
    for index, at in enumerate(begun):
        window = [earlier for earlier in begun[: index + 1] if earlier > at - 1 + 1e-6]
        in_force = [most for (since, most), end in zip(rates, ends, strict=True) if since <= at and end > at - 1]
        assert len(window) <= max(in_force), (window, rates)


async def test_a_lowered_rate_counts_what_went_out_before(tmp_path: Path, autojump_clock: object) -> None:
    async def work(call: Call) -> Outcome:
        return Succeeded()

    async with world(tmp_path, work, rate=Rate(20, 1000)) as here:
        await here.submit(60)
        await trio.sleep(0.5)
        assert len(here.calls) == 20
        here.lane.reconfigure(replace(here.lane.config, rate=Rate(5, 1000)))
        await trio.sleep(0.4)
        assert len(here.calls) == 20
        await trio.sleep(0.5)
        assert len(here.calls) == 25
