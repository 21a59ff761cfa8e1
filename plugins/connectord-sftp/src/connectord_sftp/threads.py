"""Work that blocks, in a thread that never outlives whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import outcome
import trio

T = TypeVar("T")


async def run_stoppable(work: Callable[[], T], stop: Callable[[], None], limiter: trio.CapacityLimiter) -> T:
    """What ``work`` returns, from a thread.

    If this is cancelled ``stop`` is called, which must not block and must make ``work`` end soon; its end is awaited.
    """
    done = False

    async def stop_when_cancelled() -> None:
        try:
            await trio.sleep_forever()
        finally:
            if not done:
                stop()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop_when_cancelled)
        # captured, so that what a stopped thread raises does not come beside the cancellation
        result = await trio.to_thread.run_sync(outcome.capture, work, limiter=limiter)
        done = True
        nursery.cancel_scope.cancel()
    return result.unwrap()
