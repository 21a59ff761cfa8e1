"""One timer that ends exchanges: each at its own time, and none that is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
import trio
import trio.testing
from connectord.http_out.watch import ExchangeWatch


class Recorded:
    """Stands for a connection; when it was closed."""

    def __init__(self) -> None:
        self.closed_at: list[float] = []

    def close(self) -> None:
        self.closed_at.append(trio.current_time())


def begin(watch: ExchangeWatch, deadline: float) -> tuple[Any, Recorded]:
    connection = Recorded()
    watched = watch.limit(cast("Any", connection), deadline)
    return watched.__enter__(), connection


@pytest.fixture
async def watch(nursery: trio.Nursery) -> ExchangeWatch:
    made = ExchangeWatch()
    nursery.start_soon(made.run)
    await trio.testing.wait_all_tasks_blocked()
    assert made.is_running
    return made


@pytest.mark.parametrize("deadlines", [(3.0, 5.0), (5.0, 3.0), (3.0, 3.0)])
async def test_each_ends_at_its_time_and_once(
    watch: ExchangeWatch, autojump_clock: trio.testing.MockClock, deadlines: Sequence[float]
) -> None:
    begun = [begin(watch, deadline) for deadline in deadlines]
    await trio.sleep(20)
    for (watched, connection), deadline in zip(begun, deadlines, strict=True):
        assert watched.cancelled_caught
        assert connection.closed_at == pytest.approx([deadline], abs=0.001)


async def test_a_time_may_be_moved_either_way(watch: ExchangeWatch, autojump_clock: trio.testing.MockClock) -> None:
    (sooner, first), (later, second) = begin(watch, 10.0), begin(watch, 10.0)
    await trio.sleep(1)
    sooner.deadline = 4.0
    later.deadline = 17.0
    await trio.sleep(20)
    assert first.closed_at == pytest.approx([4.0], abs=0.001)
    assert second.closed_at == pytest.approx([17.0], abs=0.001)


async def test_what_is_over_is_left_alone(watch: ExchangeWatch, autojump_clock: trio.testing.MockClock) -> None:
    watched, connection = begin(watch, 3.0)
    await trio.sleep(1)
    watched.__exit__(None, None, None)
    await trio.sleep(20)
    assert not watched.cancelled_caught
    assert connection.closed_at == []


async def test_many_times_close_together_cost_a_look_in_a_hundredth_of_a_second(
    watch: ExchangeWatch, autojump_clock: trio.testing.MockClock
) -> None:
    begun = [begin(watch, 1 + number / 1000) for number in range(100)]
    await trio.sleep(20)
    times = [connection.closed_at[0] for _, connection in begun]
    assert len(set(times)) <= 11
    assert all(-1e-9 <= at - (1 + number / 1000) <= 0.0101 for number, at in enumerate(times))


async def test_nobody_looks_any_more_when_it_has_ended(autojump_clock: trio.testing.MockClock) -> None:
    made = ExchangeWatch()
    assert not made.is_running
    with trio.move_on_after(1):
        await made.run()
    assert not made.is_running
