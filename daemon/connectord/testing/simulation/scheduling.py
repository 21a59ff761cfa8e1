"""trio for a simulated world: its scheduler draws from the seed, and does nothing that such a world has no use for.

trio has no public switch for any of this. That it is the same to whoever runs in it is what keeps this small: no task
sees a difference but time.
"""

from __future__ import annotations

import gc
import math
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import trio
import trio.testing
from trio._core import _run as scheduler

POLLED_EVERY = 64
"""Rounds of the loop: a system call for each took a twentieth of a seed's time."""

_internals: Any = scheduler
_IOManager: Any = _internals.TheIOManager

_GARBAGE_THRESHOLDS = (50_000, 20, 100)
"""A seed allocates for ever anew what a short life needs; looking for cycles in it took a tenth of its time."""


def run_scheduled(seed: int, main: Callable[..., Awaitable[object]], *args: object) -> None:
    """A ``trio.run()`` that is the same for one seed, in time that passes only while nobody has anything to do."""
    clock: Any = trio.testing.MockClock(autojump_threshold=0)
    clock.current_time = lambda: clock._virtual_base  # noqa: SLF001 - it stands still, whatever the machine's does
    clock._autojump = lambda: _jump(clock)  # noqa: SLF001
    with _patched_scheduler(), _seldom_collecting():
        draws: random.Random = scheduler._r  # noqa: SLF001
        draws.seed(seed)
        trio.run(main, *args, clock=clock)


def _jump(clock: Any) -> None:
    """To the next deadline; trio's own makes statistics for it first."""
    runner: Any = scheduler.GLOBAL_RUN_CONTEXT.runner
    seconds = runner.deadlines.next_deadline() - clock.current_time()
    if 0 < seconds < math.inf:
        clock.jump(seconds)


class _SeldomPolling(_IOManager):  # type: ignore[misc]
    """Asks the system for events every now and then. None come but a signal, and trio's own word that a run is over."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self._left = POLLED_EVERY

    def get_events(self, timeout: float) -> Any:
        self._left -= 1
        if self._left:
            return []
        self._left = POLLED_EVERY
        return super().get_events(timeout)


class _Instruments(dict[str, Any]):
    """trio asks three times for each step of a task whether somebody listens: a dictionary answers without Python."""

    add_instrument = _internals.Instruments.add_instrument
    remove_instrument = _internals.Instruments.remove_instrument
    call = _internals.Instruments.call

    def __init__(self, incoming: Sequence[trio.abc.Instrument]) -> None:
        super().__init__({"_all": {}})
        for instrument in incoming:
            self.add_instrument(instrument)

    @property
    def data(self) -> _Instruments:
        """What trio's own is a wrapper around."""
        return self


class _DeadlineChange:
    """What trio does with a generator at each begin and end of a cancel scope: a class costs a fifth of it."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Any) -> None:
        self._scope = scope

    def __enter__(self) -> None:
        pass

    def __exit__(self, *raised: object) -> None:
        scope = self._scope
        old = scope._registered_deadline  # noqa: SLF001
        ended = scope._cancel_status is None or scope._cancel_called  # noqa: SLF001
        new = math.inf if ended else scope._deadline  # noqa: SLF001
        if old != new:
            scope._registered_deadline = new  # noqa: SLF001
            deadlines = scheduler.GLOBAL_RUN_CONTEXT.runner.deadlines
            if old != math.inf:
                deadlines.remove(old, scope)
            if new != math.inf:
                deadlines.add(new, scope)


@contextmanager
def _patched_scheduler() -> Iterator[None]:
    patches: list[tuple[Any, str, Any]] = [
        # the scheduler draws from a source that can be seeded; hypothesis uses this switch, too
        (scheduler, "_ALLOW_DETERMINISTIC_SCHEDULING", True),
        (scheduler, "TheIOManager", _SeldomPolling),
        (scheduler, "Instruments", _Instruments),
        (trio.CancelScope, "_might_change_registered_deadline", lambda scope: _DeadlineChange(scope)),
    ]
    before = [getattr(target, name) for target, name, _ in patches]
    for target, name, value in patches:
        setattr(target, name, value)
    try:
        yield
    finally:
        for (target, name, _), value in zip(patches, before, strict=True):
            setattr(target, name, value)


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
