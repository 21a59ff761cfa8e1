"""One instance of an adapter, from open to close."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import cast

import structlog
import trio

from connectord.adapters import Adapter
from connectord.lanes.calls import Trouble, call_adapter
from connectord.lanes.context import LaneContext

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

    async def open_adapter() -> Adapter:
        adapter = context.new_adapter()
        await adapter.open()
        return adapter

    async def give_up(message: str) -> None:
        context.health.state, context.health.last_error = "fault", message

    call = context.begin_call("open", "", give_up, lambda: None)
    try:
        adapter = await call_adapter(
            open_adapter,
            lambda opened: cast("Adapter", opened),
            adapter=context.adapter_class,
            method="open",
            system=context.name,
            limit_seconds=context.limit_seconds,
        )
    finally:
        context.calls.end(call)
    if isinstance(adapter, Trouble):
        context.health.last_error = f"the adapter could not be opened: {adapter.message}"
        return None
    context.health.state = "ok"
    return Instance(adapter)


async def retire_instance(context: LaneContext, instance: Instance) -> None:
    """Close an instance once its calls have ended, and what ran beside them."""
    await instance.idle()
    instance.beside.cancel()
    await instance.beside_ended.wait()
    trouble = await call_adapter(
        instance.adapter.close,
        lambda answer: None,
        adapter=context.adapter_class,
        method="close",
        system=context.name,
        limit_seconds=CLOSE_SECONDS,
    )
    if trouble is not None:
        log.warning("adapter failed to close", system=context.name, error=trouble.message)
