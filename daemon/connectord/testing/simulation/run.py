"""Running one seed: trio's scheduler, the clock and every draw come from it, so the same seed is the same run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
import trio

from connectord.testing.simulation.observer import Violation
from connectord.testing.simulation.scheduling import run_scheduled
from connectord.testing.simulation.trace import Trace
from connectord.testing.simulation.world import World


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a seed. ``digest`` is the same whenever the seed is run."""

    seed: int
    aim: str
    digest: str
    violation: Violation | None
    actions: int
    commits: int
    lives: int


def run_seed(seed: int, tell: Callable[[str], None] | None = None) -> Outcome:
    """Run one seed to its end, or to the first violation; ``tell`` gets every line of the trace."""
    outcomes: list[Outcome] = []
    with _quiet_logs():
        run_scheduled(seed, _run, seed, tell, outcomes)
    return outcomes[0]


async def _run(seed: int, tell: Callable[[str], None] | None, outcomes: list[Outcome]) -> None:
    trace = Trace(tell)
    async with trio.open_nursery() as nursery:
        world = World(seed, trace, nursery)
        await world.run()
    world.disk.close()
    observer = world.observer
    actions = len(observer.mirror.actions)
    outcomes.append(
        Outcome(seed, world.plan.aim, trace.digest, observer.violation, actions, observer.commits, world.lives)
    )


@contextmanager
def _quiet_logs() -> Iterator[None]:
    """The trace says what happens; the daemon's own log would cost more than the daemon."""
    before = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.ReturnLoggerFactory(),
    )
    try:
        yield
    finally:
        structlog.configure(**before)
