"""Running one seed: trio's scheduler, the clock and every draw come from it, so the same seed is the same run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
import trio
import trio.testing
from trio._core import _run as scheduler

from connectord.testing.simulation.observer import Violation
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
    with _deterministic(seed), _quiet_logs():
        trio.run(_run, seed, tell, outcomes, clock=trio.testing.MockClock(autojump_threshold=0))
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
def _deterministic(seed: int) -> Iterator[None]:
    """Let trio's scheduler draw from the seed. trio has no public switch for it; hypothesis uses this one, too."""
    internals: Any = scheduler
    before = internals._ALLOW_DETERMINISTIC_SCHEDULING  # noqa: SLF001
    internals._ALLOW_DETERMINISTIC_SCHEDULING = True  # noqa: SLF001
    internals._r.seed(seed)  # noqa: SLF001
    try:
        yield
    finally:
        internals._ALLOW_DETERMINISTIC_SCHEDULING = before  # noqa: SLF001


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
