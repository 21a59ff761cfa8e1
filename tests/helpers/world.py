"""A ledger and one lane on a real SQLite file, under simulated time, with an adapter that the test programs."""

from __future__ import annotations

import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import trio
from connectord.adapters import Adapter, AdapterSettings, Call, Deliver, Outcome, PollAnswer, ProbeAnswer
from connectord.config import SystemConfig
from connectord.lanes.lane import Lane
from connectord.ledger.ledger import Ledger
from connectord.ledger.policies import PolicyBook
from connectord.ledger.submission import Submission
from connectord.lifecycle.policy import Policy, PollPolicy, RetryPolicy
from connectord.store.base import ActionRecord
from connectord.store.executors import InlineExecutor
from connectord.store.sqlite_reader import SqliteReader
from connectord.store.sqlite_writer import SqliteWriter
from connectord.testing.simulated_clock import SimulatedClock

Trigger = Callable[[Call], Awaitable[Outcome]]
Poll = Callable[[Call], Awaitable[PollAnswer]]
Probe = Callable[[Call], Awaitable[ProbeAnswer]]
Listen = Callable[[Deliver], Awaitable[None]]
Healthcheck = Callable[[], Awaitable[None]]


class NoNetwork:
    """A network that nobody should use."""

    def http_transport(
        self, *, connect_timeout_seconds: float, verify: bool | ssl.SSLContext = True, proxy: str | None = None
    ) -> httpx.AsyncBaseTransport:
        raise AssertionError("no network in this test")


@dataclass
class World:
    """What a test steers and looks at."""

    ledger: Ledger
    lane: Lane
    reader: SqliteReader
    clock: SimulatedClock
    calls: list[tuple[float, Call]] = field(default_factory=list)
    polls: list[tuple[float, Call]] = field(default_factory=list)
    probes: list[tuple[float, Call]] = field(default_factory=list)
    opened: list[float] = field(default_factory=list)
    closed: list[float] = field(default_factory=list)
    policy: Policy = field(default_factory=Policy)

    async def submit(self, count: int = 1, **params: Any) -> list[str]:
        actions = await self.ledger.submit([Submission("sys", **params) for _ in range(count)], "test")
        return [action.id for action in actions]

    def show(self, action_id: str) -> ActionRecord:
        record = self.reader.record(action_id)
        assert record is not None
        return record

    def states(self) -> dict[str, int]:
        return {state: count for (_, state), count in self.ledger.counts.items() if count}


@asynccontextmanager
async def world(
    tmp_path: Path,
    trigger: Trigger,
    *,
    retry: RetryPolicy | None = None,
    on_open: Callable[[], Awaitable[None]] | None = None,
    poll: Poll | None = None,
    probe: Probe | None = None,
    listen: Listen | None = None,
    healthcheck: Healthcheck | None = None,
    polls: PollPolicy | None = None,
    clock: SimulatedClock | None = None,
    **system: Any,
) -> AsyncIterator[World]:
    """Run a ledger and a lane whose adapter does what ``trigger`` does, and has those optional methods that are given.

    A world on the same ``tmp_path``, with the ``clock`` of the one before, is the daemon started again.
    """
    box: list[World] = []

    class ProgrammedAdapter(Adapter):
        name = "programmed"

        async def open(self) -> None:
            box[0].opened.append(trio.current_time())
            if on_open is not None:
                await on_open()

        async def close(self) -> None:
            box[0].closed.append(trio.current_time())

        async def trigger(self, call: Call) -> Outcome:
            box[0].calls.append((trio.current_time(), call))
            return await trigger(call)

    async def programmed_poll(self: Adapter, call: Call) -> PollAnswer:
        assert poll is not None
        box[0].polls.append((trio.current_time(), call))
        return await poll(call)

    async def programmed_probe(self: Adapter, call: Call) -> ProbeAnswer:
        assert probe is not None
        box[0].probes.append((trio.current_time(), call))
        return await probe(call)

    async def programmed_listen(self: Adapter, deliver: Deliver) -> None:
        assert listen is not None
        await listen(deliver)

    async def programmed_healthcheck(self: Adapter) -> None:
        assert healthcheck is not None
        await healthcheck()

    for given, method in (
        (poll, programmed_poll),
        (probe, programmed_probe),
        (listen, programmed_listen),
        (healthcheck, programmed_healthcheck),
    ):
        if given is not None:
            setattr(ProgrammedAdapter, method.__name__.removeprefix("programmed_"), method)

    policy = Policy(
        retry=retry or RetryPolicy(limit=5, delay_ms=30_000, jitter=0.0),
        poll=None if poll is None else polls or PollPolicy(jitter=0.0),
        probe=probe is not None,
    )
    # without a circuit unless a test asks for one: many let hundreds of actions fail
    config = SystemConfig("sys", "programmed", AdapterSettings(), policy=policy, **({"circuit": None} | system))
    clock = clock or SimulatedClock()
    writer = SqliteWriter(tmp_path / "connectord.db")
    reader = SqliteReader(tmp_path / "connectord.db")

    def policies() -> PolicyBook:
        return PolicyBook(1, {"sys": box[0].policy})

    ledger = Ledger(writer, executor=InlineExecutor(), clock=clock, rng=random.Random(7), policies=policies)
    lane = Lane(
        config,
        adapter_class=ProgrammedAdapter,
        ledger=ledger,
        clock=clock,
        network=NoNetwork(),
        callback_url=lambda action_id: f"http://callback/{action_id}",
    )
    box.append(World(ledger, lane, reader, clock, policy=policy))
    async with trio.open_nursery() as nursery:
        await nursery.start(ledger.run)
        await ledger.recover()
        nursery.start_soon(ledger.watch_deadlines)
        nursery.start_soon(ledger.watch_clock)
        nursery.start_soon(lane.run)
        yield box[0]
        nursery.cancel_scope.cancel()
    reader.close()
    writer.close()
