"""While the kernel's queue for the daemon's socket is full, a connection waits its turn, as with any other server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trio
from connectord.client.trio_connection import connect
from connectord.control.client import ControlClient
from connectord.errors import DaemonUnreachable

SHORT_SECONDS = 0.3


class FullSocket:
    """A listening socket whose queue is full until :meth:`make_room`."""

    def __init__(self, path: Path, opened: ExitStack) -> None:
        self.path = str(path)
        self._opened = opened
        self._listening = opened.enter_context(socket.socket(socket.AF_UNIX))
        self._listening.bind(self.path)
        self._listening.listen(0)
        while True:
            caller = opened.enter_context(socket.socket(socket.AF_UNIX))
            caller.setblocking(False)
            try:
                caller.connect(self.path)
            except BlockingIOError:
                return

    def make_room(self) -> None:
        self._listening.settimeout(10)
        self._opened.enter_context(self._listening.accept()[0])


@pytest.fixture
def full(tmp_path: Path) -> Iterator[FullSocket]:
    with ExitStack() as opened:
        yield FullSocket(tmp_path / "full.sock", opened)


def enter(path: str, seconds: float) -> None:
    with ControlClient(path, seconds):
        pass


async def test_the_blocking_client_is_let_in_when_there_is_room(full: FullSocket) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, enter, full.path, 10.0)
        await trio.sleep(0.1)
        full.make_room()


async def test_the_blocking_client_says_what_it_waited_for(full: FullSocket) -> None:
    with pytest.raises(DaemonUnreachable, match=r"full\.sock within 0\.3 s: too many others wait; try again"):
        await trio.to_thread.run_sync(enter, full.path, SHORT_SECONDS)


async def test_the_trio_client_is_let_in_when_there_is_room(full: FullSocket) -> None:
    async def open_and_close() -> None:
        async with connect(full.path):
            pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(open_and_close)
        await trio.sleep(0.1)
        full.make_room()


async def test_the_trio_client_says_what_it_waited_for(full: FullSocket, autojump_clock: trio.abc.Clock) -> None:
    with pytest.raises(DaemonUnreachable, match=r"full\.sock within 30 s: too many others wait; try again"):
        async with connect(full.path):
            pass
