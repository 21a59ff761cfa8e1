"""A notifier beside a ledger whose every action fails at once (rule 9), and what a test asks of the outbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from connectord.adapters import Call, NotConnected, Outcome
from connectord.config import NotifySettings
from connectord.lifecycle.policy import RetryPolicy
from connectord.network import SystemNetwork
from connectord.notifier import Notifier
from connectord.store.base import OutboxRecord

from helpers.world import World, world


async def refuse(call: Call) -> Outcome:
    raise NotConnected("connection refused")


class Owners:
    """A world in which every action fails at once, and a notifier beside it."""

    def __init__(self, here: World, settings: NotifySettings) -> None:
        self.world = here
        self.settings = settings
        self.notifier = Notifier(here.ledger, here.clock, SystemNetwork(), lambda: self.settings)

    async def give_up(self, count: int = 1, **params: Any) -> list[str]:
        """So many actions that fail; returns once their owners' notifications are in the outbox."""
        before = len(self.records())
        ids = await self.world.submit(count, **params)
        with trio.fail_after(20):
            while len(self.records()) < before + count:
                await trio.sleep(0.01)
        return ids

    def outbox(self) -> list[tuple[int, str | None, bool]]:
        """Tries, last error, and whether nothing is left to do, the oldest first."""
        return [(record.tries, record.last_error, record.delivered_at is not None) for record in self.records()]

    def records(self) -> list[OutboxRecord]:
        """The outbox, the oldest first."""
        return list(reversed(self.world.reader.notifications(undelivered=False, owner=None, before=None, limit=10_000)))

    async def until(self, count: int, *, tries: int = 1) -> list[tuple[int, str | None, bool]]:
        """Wait until ``count`` notifications were tried so often."""
        with trio.fail_after(20):
            while sum(row[0] >= tries for row in self.outbox()) < count:
                await trio.sleep(0.01)
        return self.outbox()

    async def delivered(self, count: int = 1) -> None:
        with trio.fail_after(20):
            while sum(row[2] for row in self.outbox()) < count:
                await trio.sleep(0.01)


@asynccontextmanager
async def notifying(tmp_path: Path, settings: NotifySettings, *, running: bool = True) -> AsyncIterator[Owners]:
    async with world(tmp_path, refuse, retry=RetryPolicy(limit=1)) as here, trio.open_nursery() as nursery:
        owners = Owners(here, settings)
        if running:
            nursery.start_soon(owners.notifier.run)
        yield owners
        nursery.cancel_scope.cancel()


def be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every pause between tries longer than a test, and every round too, however slow the machine is."""
    module = "connectord.notifier.notifier"
    monkeypatch.setattr(f"{module}.FIRST_DELAY_MS", 3_600_000)
    monkeypatch.setattr(f"{module}.CHANNEL_FIRST_PAUSE_MS", 3_600_000)
    monkeypatch.setattr(f"{module}.CHANNEL_LONGEST_PAUSE_MS", 3_600_000)
    monkeypatch.setattr(f"{module}.ROUND_SECONDS", 600.0)


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every pause between tries a short one."""
    module = "connectord.notifier.notifier"
    monkeypatch.setattr(f"{module}.FIRST_DELAY_MS", 20)
    monkeypatch.setattr(f"{module}.CHANNEL_FIRST_PAUSE_MS", 20)
    monkeypatch.setattr(f"{module}.CHANNEL_LONGEST_PAUSE_MS", 50)
