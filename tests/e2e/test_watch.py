"""The stream of changes of a real daemon: resumed over a restart, with a reader that stops, and on the command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from connectord.errors import RequestFailed
from connectord.ledger.watchers import RING
from connectord.testing.daemon_process import DaemonProcess


class Stream:
    """One connection on which ``watch`` was called. It reads only when it is asked to."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = b""

    async def watch(self, **params: Any) -> None:
        message = {"jsonrpc": "2.0", "id": 1, "method": "watch", "params": params}
        await self._stream.send_all(json.dumps(message).encode() + b"\n")

    async def read(self) -> dict[str, Any]:
        """The next message."""
        with trio.fail_after(20):
            while b"\n" not in self._buffer:
                chunk = await self._stream.receive_some(65536)
                if not chunk:
                    raise trio.EndOfChannel
                self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    async def events(self, count: int) -> list[dict[str, Any]]:
        """The next ``count`` changes."""
        return [(await self.read())["params"] for _ in range(count)]

    async def rest(self) -> list[dict[str, Any]]:
        """The changes that are still on their way from a daemon that has ended."""
        events = []
        try:
            while True:
                events += await self.events(1)
        except (trio.EndOfChannel, trio.BrokenResourceError):
            return events


@asynccontextmanager
async def connected(daemon: DaemonProcess) -> AsyncIterator[Stream]:
    async with await trio.open_unix_socket(str(daemon.socket)) as stream:
        yield Stream(stream)


def seqs(events: list[dict[str, Any]]) -> list[int]:
    return [event["seq"] for event in events]


async def test_a_stream_goes_on_after_a_restart_without_a_gap(
    daemon: DaemonProcess, configure: Callable[..., None]
) -> None:
    await daemon.start()
    await daemon.call("pause", system="depot")
    begin = (await daemon.call("status"))["last_seq"]
    async with connected(daemon) as stream:
        await stream.watch(after=begin)
        await daemon.call("submit_many", actions=[{"system": "depot", "case": "C-1"}] * 5)
        told = await stream.events(3)  # it is gone before the others are told
    done = await daemon.call("submit", system="erp", data={"play": "answer"})
    await daemon.until(done["id"], "closed")
    async with connected(daemon) as stream:
        await stream.watch(after=told[-1]["seq"])
        told += await stream.events(4)
        daemon.kill()
        told += await stream.rest()
    await daemon.start()
    async with connected(daemon) as stream:
        await stream.watch(after=told[-1]["seq"])
        await daemon.call("submit", system="depot", case="C-2")
        told += await stream.events(begin + 9 - told[-1]["seq"])
    assert seqs(told) == list(range(begin + 1, begin + 10))
    assert [event["to"] for event in told] == ["pending"] * 6 + ["attempting", "closed", "pending"]
    assert [event["case"] for event in told] == ["C-1"] * 5 + [None] * 3 + ["C-2"]
    assert {event["system"] for event in told[5:8]} == {"erp"}
    history = (await daemon.call("history", id=done["id"]))["history"]
    assert history == [{key: event[key] for key in history[0]} for event in told[5:8]]
    async with connected(daemon) as stream:
        await stream.watch(after=0, filters={"case": "C-2", "system": "depot", "state": "pending"})
        assert await stream.events(1) == told[-1:]


async def test_a_reader_that_stops_gets_the_rest_and_then_the_error_and_goes_on(
    daemon: DaemonProcess, configure: Callable[..., None]
) -> None:
    await daemon.start()
    await daemon.call("pause", system="depot")
    await daemon.call("submit", system="depot")
    begin = (await daemon.call("status"))["last_seq"]
    total = 3 * RING
    async with connected(daemon) as slow, connected(daemon) as fast:
        for stream in (slow, fast):
            # `watch` has no answer that says that it listens: what it tells of before does
            await stream.watch(after=begin - 1, filters={"system": "depot"})
            assert seqs(await stream.events(1)) == [begin]
        for _ in range(total // 512):
            await daemon.call("submit_many", actions=[{"system": "depot"}] * 512)
            await fast.events(512)
        told = []
        while "params" in (message := await slow.read()):
            told.append(message["params"])
        assert message["error"]["code"] == -32005
        assert "too slow" in message["error"]["message"]
        resume_after = message["error"]["data"]["resume_after"]
        assert seqs(told) == list(range(begin + 1, resume_after + 1))
        assert len(told) < total - RING
        await slow.watch(after=resume_after)
        told += await slow.events(total - len(told))
        assert seqs(told) == list(range(begin + 1, begin + total + 1))


async def test_a_number_out_of_the_history_is_refused_and_nothing_else_happens(
    daemon: DaemonProcess, configure: Callable[..., None]
) -> None:
    await daemon.start()
    for after, filters in ((1, {}), (2**53 + 1, {}), (-1, {}), (0, {"state": "done"})):
        with pytest.raises(RequestFailed) as caught:
            await daemon.call("watch", after=after, filters=filters)
        if after == 1:
            assert "the newest is 0" in str(caught.value)
            assert caught.value.data == {"state": None, "reason": str(caught.value), "resume_after": 0}
        else:
            assert caught.value.code == -32602


@asynccontextmanager
async def watching(daemon: DaemonProcess, *args: str) -> AsyncIterator[trio.Process]:
    """``connectorctl watch`` in a process of its own."""
    command = [sys.executable, "-m", "connectord.cli.control", "--socket", str(daemon.socket), "watch", *args]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def lines(process: trio.Process, count: int) -> list[str]:
    assert process.stdout is not None
    text = b""
    with trio.fail_after(20):
        while text.count(b"\n") < count:
            text += await process.stdout.receive_some()
    return text.decode().splitlines()


async def ended(process: trio.Process) -> tuple[int, str]:
    assert process.stderr is not None
    text = b""
    with trio.fail_after(20):
        async for chunk in process.stderr:
            text += chunk
        return await process.wait(), text.decode()


async def test_the_command_says_how_to_go_on(daemon: DaemonProcess, configure: Callable[..., None]) -> None:
    await daemon.start()
    await daemon.call("pause", system="depot")
    await daemon.call("submit_many", actions=[{"system": "depot"}] * 3)
    async with watching(daemon, "--after", "1", "--system", "depot") as process:
        first, second = await lines(process, 2)
        assert ("seq=2" in first.split(), "seq=3" in second.split()) == (True, True)
        assert await daemon.stop() == 0
        code, said = await ended(process)
        assert code == 3
        assert said.splitlines()[-1] == "connectorctl: to go on: connectorctl watch --after 3 --system depot"
    await daemon.start()
    async with watching(daemon, "--after", "3", "--system", "depot", "--json") as process:
        await daemon.call("submit", system="depot")
        (line,) = await lines(process, 1)
        assert json.loads(line)["seq"] == 4
        process.send_signal(signal.SIGINT)
        assert await ended(process) == (0, "")
    async with watching(daemon, "--after", "99") as process:
        code, said = await ended(process)
        assert code == 1
        assert "there is no change 99 yet: the newest is 4" in said
        assert said.splitlines()[-1] == "connectorctl: to go on: connectorctl watch --after 4"
