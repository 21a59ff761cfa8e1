"""A store that cannot be read any more ends the daemon (exit 74), whoever asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio
from connectord.adapters import Call, Outcome, Taken
from connectord.errors import StoreFailed
from connectord.store.executors import InlineExecutor
from helpers.simulated_daemon import simulated_daemon

T = TypeVar("T")
CONFIGURATION = '[systems.sys]\nadapter = "simulated"\n'
SOME_ID = "01M86PTQ1C9MNHQTSQ25YM3SG2"


class BreakingExecutor(InlineExecutor):
    """Reads until the disk is broken."""

    broken = False

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        if self.broken:
            raise StoreFailed("the store failed: disk I/O error")
        return await super().run(function, *args)


def play(call: Call) -> Outcome:
    return Taken()


async def test_a_callback_whose_action_cannot_be_read_ends_the_daemon(tmp_path: Path, autojump_clock: object) -> None:
    reading = BreakingExecutor()
    with pytest.RaisesGroup(StoreFailed, flatten_subgroups=True):
        async with simulated_daemon(tmp_path, CONFIGURATION, play, reading=reading) as daemon:
            reading.broken = True
            with pytest.raises(StoreFailed):
                await daemon.respond(SOME_ID, {"status": "success"})
            await trio.sleep(60)
