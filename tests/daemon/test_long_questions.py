"""A question about very many rows holds up no short one."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import trio
from connectord.adapters import Adapter, Call, Outcome
from connectord.callers import Caller, Role
from connectord.config import load_config
from connectord.store.base import LimitCounts
from connectord.store.executors import InlineExecutor
from connectord.store.sqlite_reader import SqliteReader
from connectord.supervisor import Daemon, Surroundings
from helpers.world import NoNetwork


class NoSystem(Adapter):
    """An adapter that is never called."""

    name = "none"

    async def trigger(self, call: Call) -> Outcome:
        raise AssertionError


CONFIGURATION = """
[daemon]
state_directory = "{0}"
control_socket = "{0}/control.sock"
[callbacks]
bind = "127.0.0.1:0"
[systems.sys]
adapter = "none"
retry.limit = {1}
"""


async def test_a_reload_that_counts_for_long_holds_up_no_list_and_no_card(tmp_path: Path) -> None:
    counting, go_on = threading.Event(), threading.Event()

    class SlowCounts(SqliteReader):
        def limit_counts(self, system: str, before: int | None, after: int | None) -> LimitCounts:
            counting.set()
            assert go_on.wait(20)
            return super().limit_counts(system, before, after)

    file = tmp_path / "connectord.toml"
    file.write_text(CONFIGURATION.format(tmp_path, 5), encoding="utf-8")
    adapters = {"none": NoSystem}
    surroundings = Surroundings(
        adapters=adapters, environ={}, network=NoNetwork(), open_reader=SlowCounts, writing=InlineExecutor()
    )
    daemon = Daemon(load_config(file, adapters=adapters, environ={}), surroundings)
    async with trio.open_nursery() as nursery:
        await nursery.start(daemon.run)
        file.write_text(CONFIGURATION.format(tmp_path, 4), encoding="utf-8")
        async with trio.open_nursery() as asking:
            asking.start_soon(partial(daemon.reload, Caller("test", Role.ADMIN), plan=False))
            await trio.to_thread.run_sync(counting.wait, 20)
            with trio.fail_after(10):
                assert await daemon.read(lambda store: store.record("01J")) is None
            assert not go_on.is_set()
            go_on.set()
        daemon.request_stop(now=True)
