"""Whoever waits for an answer is told for how long; a stream of changes is no such wait."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from connectord.cli.progress import show_waiting
from connectord.control.client import ControlClient
from connectord.errors import DaemonUnreachable
from helpers.scripted_daemon import Peer, event, serving


async def test_a_long_wait_is_told_and_ends_with_0(tmp_path: Path) -> None:
    told: list[float] = []

    async def slow(peer: Peer) -> None:
        request_id = await peer.need("status")
        while len(told) < 2:
            await trio.sleep(0.02)
        await peer.send(id=request_id, result={"fine": True})

    async with serving(tmp_path, slow) as path:
        assert await trio.to_thread.run_sync(ask, path, told, 30.0) == {"fine": True}
    assert told[-1] == 0.0
    assert 0 < told[0] < told[1]


async def test_the_time_limit_stays_what_it_is(tmp_path: Path) -> None:
    told: list[float] = []

    async def silent(peer: Peer) -> None:
        await peer.need("status")
        await trio.sleep_forever()

    async with serving(tmp_path, silent) as path:
        with pytest.raises(DaemonUnreachable, match=r"within 0\.5 s"):
            await trio.to_thread.run_sync(ask, path, told, 0.5)
    assert told[-1] == 0.0


def ask(path: Path, told: list[float], timeout: float) -> Any:
    with ControlClient(path, timeout, while_waiting=told.append) as client:
        return client.call("status")


async def test_a_stream_is_no_wait(tmp_path: Path) -> None:
    told: list[float] = []

    async def later(peer: Peer) -> None:
        await peer.need("watch")
        await trio.sleep(0.5)
        await peer.tell(event("A", "closed"))
        await trio.sleep_forever()

    def first(path: Path) -> str:
        with ControlClient(path, while_waiting=told.append) as client:
            return next(client.notifications()).params["action"]

    async with serving(tmp_path, later) as path:
        assert await trio.to_thread.run_sync(first, path) == "A"
    assert told == []


def test_short_waits_are_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    show_waiting(0.2)
    assert capsys.readouterr().err == ""
    show_waiting(3.0)
    show_waiting(0)
    assert capsys.readouterr().err == "\r\x1b[Kwaiting for the daemon  3 s\r\x1b[K"
