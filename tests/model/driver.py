"""The real daemon under simulated time, step by step from code that is not asynchronous."""

from __future__ import annotations

import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Any, TypeVar

import trio
import trio.testing
from connectord.adapters import Call, NotConnected, Outcome, Rejected, Succeeded, Taken
from connectord.errors import RequestError
from connectord.testing.simulated_clock import SimulatedClock
from helpers.simulated_daemon import SimulatedDaemon, triggered_daemon, write_configuration

from model.rules import RefusedByRules, Response, Settings

T = TypeVar("T")


class DaemonEnded(AssertionError):
    """The daemon ended by itself, which no rule asks for."""


@dataclass
class Flight:
    """An attempt that waits for the test to say what it comes to."""

    call: Call
    ended: trio.Event = field(default_factory=trio.Event)
    outcome: Outcome | NotConnected | None = None


@dataclass
class Snapshot:
    """What the control socket says at one moment."""

    now: int
    shown: dict[str, dict[str, Any]]
    histories: dict[str, list[dict[str, Any]]]
    attempts: dict[str, list[dict[str, Any]]]
    cases: dict[str, dict[str, Any]]
    notifications: list[dict[str, Any]]

    def next_try(self, action_id: str, number: int) -> int | None:
        """See :class:`model.rules.Choices`."""
        attempts = self.attempts[action_id]
        if len(attempts) >= number:
            return at_ms(attempts[number - 1]["started_at"])
        return at_ms(self.shown[action_id]["due_at"])


def at_ms(text: str | None) -> Any:
    """Milliseconds since the epoch."""
    if text is None:
        return None
    moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


class Driver:
    """A daemon in a thread of its own, whose time stands still between two steps."""

    def __init__(self, directory: Path, systems: Mapping[str, Settings], seed: int) -> None:
        self._directory = directory
        self._systems = dict(systems)
        self._seed = seed
        self._clock = trio.testing.MockClock()
        self._wall: SimulatedClock
        self._daemon: SimulatedDaemon
        self._leave: trio.Event
        self._left: trio.Event
        self._stop: trio.Event
        self._nursery: trio.Nursery
        self._token: trio.lowlevel.TrioToken
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._looked: Snapshot | None = None
        self.flights: dict[str, Flight] = {}
        self._thread = threading.Thread(target=self._run, name="simulated daemon")
        self._thread.start()
        self._ready.wait()
        self._check()

    def close(self) -> None:
        """Stop the daemon, and wait for it."""
        with suppress(trio.RunFinishedError):
            trio.from_thread.run(self._end, trio_token=self._token)
        self._thread.join()
        self._check()

    # -- steps

    @property
    def now(self) -> int:
        """Milliseconds since the epoch."""
        self._check()
        return trio.from_thread.run_sync(self._wall.now_ms, trio_token=self._token)

    def ask(self, method: str, **params: Any) -> Any:
        """What the control socket answers. Raises :class:`RefusedByRules` where it refuses."""

        async def call() -> Any:
            try:
                return await self._daemon.call(method, **params)
            except RequestError as error:
                raise RefusedByRules(type(error).__name__) from error

        return self._do(call)

    def respond(self, action_id: str, response: Response) -> str:
        """A callback; ``taken`` or ``late``."""
        body: dict[str, Any] = {"status": response.status}
        if response.status == "progress":
            body |= {"text": response.reason, "percent": response.percent}
        else:
            body["data"] = response.fields
        if response.status == "failure":
            body["reason"] = response.reason
        return self._do(lambda: self._daemon.respond(action_id, body)).value

    def end_attempt(
        self, action_id: str, outcome: str, *, response: Response | None = None, retry_after_ms: int | None = None
    ) -> None:
        """Let the adapter's call under way come to ``outcome``, or to ``response``."""

        async def end() -> None:
            flight = self.flights[action_id]
            if response is not None and response.status == "success":
                flight.outcome = Succeeded(response.fields)
            elif response is not None:
                flight.outcome = Rejected(response.reason or "", response.fields)
            elif outcome == "taken":
                flight.outcome = Taken()
            else:
                after = None if retry_after_ms is None else retry_after_ms / 1000
                flight.outcome = NotConnected(outcome, retry_after_seconds=after)
            flight.ended.set()

        self._do(end)

    def advance(self, milliseconds: int) -> None:
        """Let time pass."""

        async def sleep() -> None:
            self._clock.autojump_threshold = 0
            await trio.sleep(milliseconds / 1000)
            self._clock.autojump_threshold = inf

        self._do(sleep)

    def reload(self, systems: Mapping[str, Settings]) -> None:
        """Change connectord.toml, and have it applied."""
        self._systems = dict(systems)
        write_configuration(self._directory, configuration(systems))
        self.ask("reload")

    def restart(self, systems: Mapping[str, Settings], away_ms: int) -> int:
        """Stop at once, as a kill would as far as the store is concerned, and start again; when it had stopped."""
        self._systems = dict(systems)

        async def again() -> int:
            self._clock.autojump_threshold = 0
            self._leave.set()
            await self._left.wait()
            stopped_at = self._wall.now_ms()
            await trio.sleep(away_ms / 1000)
            self._clock.autojump_threshold = inf
            await self._nursery.start(self._serve)
            return stopped_at

        return self._do(again)

    def look(self, action_ids: list[str], case_ids: list[str]) -> Snapshot:
        """Everything that the control socket says of these; it is asked once after every step."""
        if self._looked is not None:
            return self._looked

        async def ask() -> Snapshot:
            call = self._daemon.call
            return Snapshot(
                self._wall.now_ms(),
                {each: await call("show", id=each) for each in action_ids},
                {each: (await call("history", id=each))["history"] for each in action_ids},
                {each: (await call("attempts", id=each))["attempts"] for each in action_ids},
                {each: await call("case", id=each) for each in case_ids},
                (await call("notifications", all=True, limit=1000))["notifications"],
            )

        looked = self._looked = self._do(ask)
        return looked

    # -- the thread

    def _do(self, step: Callable[[], Awaitable[T]]) -> T:
        async def settled() -> T:
            await trio.testing.wait_all_tasks_blocked()
            result = await step()
            await trio.testing.wait_all_tasks_blocked()
            return result

        self._check()
        self._looked = None
        try:
            return trio.from_thread.run(settled, trio_token=self._token)
        except (trio.Cancelled, trio.RunFinishedError):
            self._thread.join()
            self._check()
            raise

    def _check(self) -> None:
        if self._failure is not None:
            raise DaemonEnded(f"the daemon ended: {innermost(self._failure)!r}") from self._failure

    def _run(self) -> None:
        trio._core._run._r.seed(self._seed)
        try:
            trio.run(self._main, clock=self._clock)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that asks
            self._failure = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._wall = SimulatedClock()
        self._stop = trio.Event()
        async with trio.open_nursery() as self._nursery:
            await self._nursery.start(self._serve)
            self._ready.set()
            await self._stop.wait()

    async def _end(self) -> None:
        self._clock.autojump_threshold = 0
        self._leave.set()
        await self._left.wait()
        self._stop.set()

    async def _serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        self._leave, self._left = trio.Event(), trio.Event()
        try:
            text = configuration(self._systems)
            async with triggered_daemon(self._directory, text, self._trigger, clock=self._wall) as self._daemon:
                task_status.started()
                await self._leave.wait()
        finally:
            self._left.set()

    async def _trigger(self, call: Call) -> Outcome:
        flight = self.flights[call.action_id] = Flight(call)
        try:
            await flight.ended.wait()
        finally:
            del self.flights[call.action_id]
        if isinstance(flight.outcome, NotConnected):
            raise flight.outcome
        assert flight.outcome is not None
        return flight.outcome


def innermost(error: BaseException) -> BaseException:
    """What the groups around it are about."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def configuration(systems: Mapping[str, Settings]) -> str:
    """The systems as connectord.toml has them."""
    rules = [
        f'[[allocation]]\nsystem = "{name}"\nreason = "timeout"\nqueue = "{each.late_queue}"'
        for name, each in systems.items()
        if each.late_queue is not None
    ]
    return "\n".join(rules + [_system(name, each) for name, each in systems.items()])


def _system(name: str, settings: Settings) -> str:
    return f"""
[systems.{name}]
adapter = "simulated"
concurrency = 100
timeout = "{settings.timeout_ms}ms"
attempt_timeout = "{settings.attempt_timeout_ms}ms"
response_expected = {json.dumps(settings.response_expected)}
on_timeout = "{settings.on_timeout}"
heartbeat_extends = {json.dumps(settings.heartbeat_extends)}
allocation = {{ queue = "{settings.queue}" }}
retry = {{ limit = {settings.limit}, delay = "{settings.delay_ms}ms", factor = {settings.factor}, \
max_delay = "{settings.max_delay_ms}ms", jitter = {settings.jitter} }}
"""
