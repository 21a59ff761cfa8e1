"""The whole daemon in this process, under simulated time, asked without a socket."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import trio
from connectord.adapters import Adapter, Call, Outcome
from connectord.callbacks import CallbackAnswer
from connectord.callers import Role
from connectord.config import load_config
from connectord.control.methods import Caller
from connectord.store.executors import InlineExecutor
from connectord.supervisor import Daemon, Surroundings
from connectord.testing.simulated_clock import SimulatedClock

from helpers.world import NoNetwork

Play = Callable[[Call], Outcome]
Trigger = Callable[[Call], Awaitable[Outcome]]


class SimulatedDaemon:
    """A daemon whose systems do what ``play`` says; nothing of it takes real time."""

    def __init__(self, daemon: Daemon, config_file: Path, clock: SimulatedClock) -> None:
        self.daemon = daemon
        self.config_file = config_file
        self.clock = clock

    async def call(self, method: str, /, who: str = "user:anna", **params: Any) -> Any:
        """What the control socket would answer, as JSON has it."""

        async def nobody(method: str, params: Any) -> None:
            raise AssertionError("nobody listens here")

        result = await self.daemon._methods.dispatch(Caller(who, Role.ADMIN), method, params, nobody)
        return json.loads(msgspec.json.encode(result))

    async def respond(self, action_id: str, document: dict[str, Any]) -> CallbackAnswer:
        """A callback, as it comes after its token was checked."""
        return await self.daemon._taker.handle_callback(action_id, {}, json.dumps(document).encode())


@asynccontextmanager
async def simulated_daemon(
    directory: Path, configuration: str, play: Play, *, clock: SimulatedClock | None = None
) -> AsyncIterator[SimulatedDaemon]:
    """Run a daemon on ``configuration``, whose systems do what ``play`` says after 200 ms; needs an autojump clock."""

    async def trigger(call: Call) -> Outcome:
        await trio.sleep(0.2)
        return play(call)

    async with triggered_daemon(directory, configuration, trigger, clock=clock) as simulated:
        yield simulated


def write_configuration(directory: Path, configuration: str) -> Path:
    """Write connectord.toml of a daemon whose state lies in ``directory``."""
    config_file = directory / "connectord.toml"
    head = f'[daemon]\nstate_directory = "{directory}"\ncontrol_socket = "{directory / "control.sock"}"\n'
    config_file.write_text(f'{head}[callbacks]\nbind = "127.0.0.1:0"\n{configuration}', encoding="utf-8")
    return config_file


@asynccontextmanager
async def triggered_daemon(
    directory: Path, configuration: str, trigger: Trigger, *, clock: SimulatedClock | None = None
) -> AsyncIterator[SimulatedDaemon]:
    """Run a daemon on ``configuration``, whose systems have the adapter ``simulated`` and do what ``trigger`` does.

    One in the same directory, with the ``clock`` of the one before, is the daemon started again.
    """

    class SimulatedAdapter(Adapter):
        name = "simulated"

        async def trigger(self, call: Call) -> Outcome:
            return await trigger(call)

    config_file = write_configuration(directory, configuration)
    adapters = {"simulated": SimulatedAdapter}
    clock = clock or SimulatedClock()
    surroundings = Surroundings(
        adapters=adapters,
        environ={},
        clock=clock,
        rng=random.Random(7),
        network=NoNetwork(),
        writing=InlineExecutor(),
        reading=InlineExecutor(),
    )
    daemon = Daemon(load_config(config_file, adapters=adapters, environ={}), surroundings)
    async with trio.open_nursery() as nursery:
        await nursery.start(daemon.run)
        yield SimulatedDaemon(daemon, config_file, clock)
        daemon.request_stop(now=True)
