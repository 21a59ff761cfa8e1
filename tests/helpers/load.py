"""Load on a real daemon that may die at any moment, and a record of everything that was acknowledged."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio
from connectord.errors import DaemonUnreachable, RequestFailed
from connectord.testing.daemon_process import DaemonProcess
from connectord.testing.fake_system import FakeSystem

from helpers.audit import Audit, action_of, audit

PLAYS = (
    "succeed",
    "succeed",
    "fail",
    "answer",
    "flaky",
    "reject",
    "hang",
    "late",
    "twice",
    "early",
    "unavailable",
    "silent",
)
OVERLOADED = -32005
LIMITS = (2, 3, 4, 5)
_PAUSE_SECONDS = 0.05


@dataclass(slots=True)
class Load:
    """Submits, retries by hand and reloads until it is told to stop. What was not acknowledged is asked for again."""

    daemon: DaemonProcess
    fake: FakeSystem
    port: int
    rng: random.Random
    timeout: str = "3s"
    acknowledged: dict[str, str] = field(default_factory=dict)
    """By key, the action."""
    conflicts: list[str] = field(default_factory=list)
    limits: dict[str, dict[str, int]] = field(default_factory=dict)
    """By the configuration's digest, the retry limits."""
    refusals: list[RequestFailed] = field(default_factory=list)
    retried: int = 0
    reloads: int = 0
    asked: int = 0
    stopping: bool = False
    _pending: list[str] = field(default_factory=list)

    def configure(self, limit: int) -> None:
        """Write a configuration with this retry limit."""
        text = (
            self.daemon.head(self.port)
            + f'[notify]\nvia = "webhook"\nurl = "http://127.0.0.1:{self.fake.port}/notices"\n'
            + f'[retry]\nlimit = {limit}\ndelay = "100ms"\njitter = 0.0\nmax_delay = "400ms"\n'
            + f'[systems.erp]\nadapter = "http"\ntimeout = "{self.timeout}"\nconcurrency = 32\n'
            + f'[systems.erp.http]\nurl = "{self.fake.url}"\nread_timeout = "1s"\n'
        )
        self.limits[hashlib.sha256(text.encode()).hexdigest()] = {"erp": limit}
        # as an editor does it: whoever reads at this moment reads the old text or the new one
        fresh = self.daemon.config_file.with_suffix(".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.rename(self.daemon.config_file)

    async def run(self, submitters: int = 3, pause_seconds: float = 0.01) -> None:
        """Put load on it until :attr:`stopping` is set; then end with everything acknowledged."""
        async with trio.open_nursery() as nursery:
            for _ in range(submitters):
                nursery.start_soon(self._submit, pause_seconds)
            nursery.start_soon(self._retry)
            nursery.start_soon(self._reload)

    async def submit(self, data: dict[str, Any]) -> dict[str, Any]:
        """One action more, which is not asked for again. Raises :class:`RequestFailed` where it is refused."""
        action = {**self.make(), "data": data}
        answer: dict[str, Any] = await self.daemon.call("submit", **action)
        self.acknowledge([action], [answer])
        return answer

    async def settle(self, seconds: float = 300.0) -> None:
        """Wait until nothing is pending, under way, or waiting."""
        with trio.fail_after(seconds):
            while True:
                status = await self.daemon.call("status")
                counts = status["counts"]
                live = sum(counts.get(state, 0) for state in ("pending", "attempting", "waiting"))
                if not live and not status["notifications"]["undelivered"]:
                    return
                await trio.sleep(0.1)

    def compare(self, database: Path) -> Audit:
        """Look through the database, once the daemon has stopped, and compare it with what happened outside."""
        found = audit(database, self.limits)
        taken = {action_of(url) for url, status in self.fake.callback_answers if status in (200, 202)}
        found.problems += found.compare(
            acknowledged=self.acknowledged.values(), taken=taken, requests=self.fake.tries()
        )
        found.problems += self.conflicts
        found.problems += [
            f"the key {key} was acknowledged as {action}, and belongs to {found.keys.get(key)}"
            for key, action in self.acknowledged.items()
            if found.keys.get(key) != action
        ]
        found.problems += [
            f"{seen.body['action']['id']} was attempted with the idempotency key {seen.idempotency_key}"
            for seen in self.fake.seen
            if seen.idempotency_key != seen.body["action"]["id"]
        ]
        if len(found.ids) > self.asked:
            found.problems.append(f"{len(found.ids)} actions, but only {self.asked} were asked for")
        return found

    async def _submit(self, pause_seconds: float) -> None:
        while not self.stopping:
            count = self.rng.choice((1, 1, 1, 2, 5))
            actions = [self.make() for _ in range(count)]
            while True:
                try:
                    if count == 1:
                        answers = [await self.daemon.call("submit", **actions[0])]
                    else:
                        answers = (await self.daemon.call("submit_many", actions=actions))["actions"]
                except DaemonUnreachable:
                    await trio.sleep(_PAUSE_SECONDS)
                except RequestFailed as error:
                    self.note(error)
                    await trio.sleep(_PAUSE_SECONDS)
                else:
                    self.acknowledge(actions, answers)
                    break
            await trio.sleep(pause_seconds)

    def make(self) -> dict[str, Any]:
        """An action that nobody has submitted yet."""
        self.asked += 1
        play = self.rng.choice(PLAYS)
        data = {"play": play, "times": self.rng.randint(1, 3), "seconds": round(self.rng.uniform(0.05, 0.8), 3)}
        return {
            "system": "erp",
            "key": f"k-{self.asked}",
            "case": f"C-{self.asked % 50}",
            "owner": "owner@example.com",
            "data": data,
        }

    def acknowledge(self, actions: Sequence[dict[str, Any]], answers: Sequence[dict[str, Any]]) -> None:
        """Note what was answered to a submission."""
        for action, answer in zip(actions, answers, strict=True):
            known = self.acknowledged.setdefault(action["key"], answer["id"])
            if known != answer["id"]:
                self.conflicts.append(f"{action['key']} is {known} and {answer['id']}")
            self._pending.append(answer["id"])
        del self._pending[:-200]

    def note(self, error: Exception) -> None:
        """Note a refusal."""
        if isinstance(error, RequestFailed):
            self.refusals.append(error)

    async def _retry(self) -> None:
        while not self.stopping:
            await trio.sleep(0.03)
            if self._pending:
                try:
                    await self.daemon.call("retry", id=self.rng.choice(self._pending))
                    self.retried += 1
                except (DaemonUnreachable, RequestFailed):
                    continue

    async def _reload(self) -> None:
        while not self.stopping:
            await trio.sleep(self.rng.uniform(0.1, 0.5))
            self.configure(self.rng.choice(LIMITS))
            try:
                await self.daemon.call("reload")
                self.reloads += 1
            except (DaemonUnreachable, RequestFailed):
                continue
