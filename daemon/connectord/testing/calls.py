"""Short ways to what a test of an adapter needs: a call, a context, an open instance, one attempt."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, TypeVar

import trio

from connectord.adapters import Adapter, AdapterContext, Call, Network, Outcome
from connectord.network import SystemNetwork

A = TypeVar("A", bound=Adapter)


def make_call(**changes: Any) -> Call:
    """The first attempt at the action ``A-1`` in the system ``billing``, with ``changes`` to the fields of
    :class:`connectord.adapters.Call`."""
    values: dict[str, Any] = {
        "action_id": "A-1",
        "system": "billing",
        "case_id": "C-1001",
        "owner": "ada",
        "attempt": 1,
        "submitted_at": "2026-11-24T12:00:00.000Z",
        "data": {"amount": 12},
        "case_data": {"vendor": "ACME"},
        "callback_url": "https://connectord.example/callback/token",
        "idempotency_key": "A-1",
    }
    return Call(**{**values, **changes})


def make_context(*, system: str = "billing", concurrency: int = 16, network: Network | None = None) -> AdapterContext:
    """What the daemon hands to an adapter; the network is the machine's own unless one is given."""
    return AdapterContext(system, concurrency, network or _network())


@asynccontextmanager
async def open_adapter(
    adapter: type[A], settings: Mapping[str, Any], context: AdapterContext | None = None
) -> AsyncGenerator[A, None]:
    """An open instance with ``settings`` as they stand in connectord.toml, closed when the block ends.

    Raises :class:`pydantic.ValidationError` for settings that the adapter refuses.
    """
    instance = adapter(adapter.Settings.model_validate(settings), context or make_context())
    await instance.open()
    try:
        yield instance
    finally:
        with trio.CancelScope(shield=True):
            await instance.close()


async def run_trigger(
    adapter: type[Adapter], settings: Mapping[str, Any], call: Call | None = None, *, limit_seconds: float = 10.0
) -> Outcome:
    """One attempt on an instance of its own.

    Raises what the adapter raises, :class:`connectord.adapters.NotConnected` above all, and
    :class:`trio.TooSlowError` after ``limit_seconds``.
    """
    async with open_adapter(adapter, settings) as instance:
        with trio.fail_after(limit_seconds):
            return await instance.trigger(call or make_call())


@cache
def _network() -> Network:
    # reading the machine's certificates takes its time, once
    return SystemNetwork()
