"""One instance of an adapter, from open to close."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog
import trio

from connectord.adapters import Adapter
from connectord.lanes.context import LaneContext
from connectord.lanes.faults import fault_words, place_of, reraise_cancelled

CLOSE_SECONDS = 10.0

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Instance:
    """An open adapter, the calls of it that are under way, and whether it takes new ones."""

    adapter: Adapter
    ended: bool = False
    """No new call begins; those under way end on this instance."""
    in_flight: int = 0
    beside: trio.CancelScope = field(default_factory=trio.CancelScope)
    """Of what runs beside the calls until the instance is closed."""
    beside_ended: trio.Event = field(default_factory=trio.Event)
    _idle: trio.Event = field(default_factory=trio.Event)
    _waits: set[trio.CancelScope] = field(default_factory=set)

    def end(self) -> None:
        """Begin no new call on this instance."""
        self.ended = True
        for scope in self._waits:
            scope.cancel()

    async def wait(self, condition: Callable[[], Awaitable[object]]) -> None:
        """Wait for the condition, or until the instance has ended. What ends the wait may do so at any await of it."""
        if self.ended:
            return
        with trio.CancelScope() as scope:
            self._waits.add(scope)
            try:
                await condition()
            finally:
                self._waits.discard(scope)

    def begin_call(self) -> None:
        """A call of the adapter begins; :meth:`end_call` must follow."""
        self.in_flight += 1

    def end_call(self) -> None:
        """It has ended."""
        self.in_flight -= 1
        self._idle.set()

    async def idle(self) -> None:
        """Wait until no call is under way."""
        while self.in_flight:
            self._idle = trio.Event()
            await self._idle.wait()


async def open_instance(context: LaneContext) -> Instance | None:
    """A fresh instance, opened; None where the adapter cannot be opened, with the reason in the lane's health."""
    kind = context.adapter_class
    try:
        adapter = context.new_adapter()
        with trio.fail_after(context.limit_seconds):
            await adapter.open()
    except trio.Cancelled:
        raise
    except BaseException as error:  # noqa: BLE001 - a plugin's fault never takes the daemon down
        reraise_cancelled(error)
        context.health.last_error = f"the adapter could not be opened: {fault_words(error, kind, 'open')}"
        return None
    context.health.state = "ok"
    return Instance(adapter)


async def retire_instance(context: LaneContext, instance: Instance) -> None:
    """Close an instance once its calls have ended, and what ran beside them."""
    await instance.idle()
    instance.beside.cancel()
    await instance.beside_ended.wait()
    try:
        with trio.move_on_after(CLOSE_SECONDS):
            await instance.adapter.close()
    except trio.Cancelled:
        raise
    except BaseException as error:  # noqa: BLE001 - as above
        reraise_cancelled(error)
        kind = context.adapter_class
        log.warning(
            "adapter failed to close",
            system=context.name,
            adapter=kind.name,
            at=place_of(error, kind, "close"),
            error=fault_words(error, kind, "close"),
        )
