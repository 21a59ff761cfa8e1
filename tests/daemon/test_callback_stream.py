"""The stream under a callback's connection: it waits where it must, and tells a broken peer from a closed one."""

from __future__ import annotations

import socket

import pytest
import trio
import trio.testing
from connectord.streams import DirectListener, DirectStream

MUCH = b"x" * 8_000_000


async def connected() -> tuple[DirectStream, trio.SocketStream]:
    [opened] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = opened.socket.getsockname()[1]
    async with DirectListener(opened) as listener:
        theirs = await trio.open_tcp_stream("127.0.0.1", port)
        return await listener.accept(), theirs


async def test_what_the_kernel_does_not_take_at_once_is_sent_all_the_same() -> None:
    ours, theirs = await connected()
    received = 0
    async with ours, theirs, trio.open_nursery() as nursery:
        nursery.start_soon(ours.send_all, MUCH)
        while received < len(MUCH):
            received += len(await theirs.receive_some(65536))


async def test_what_comes_is_received_and_then_the_end() -> None:
    ours, theirs = await connected()
    async with ours, theirs:
        await theirs.send_all(b"hello")
        assert await ours.receive_some(3) == b"hel"
        assert await ours.receive_some() == b"lo"
        await ours.send_eof()
        assert await theirs.receive_some() == b""
        await theirs.send_eof()
        assert await ours.receive_some() == b""


async def test_who_waits_for_a_stream_that_is_closed_is_told_so() -> None:
    ours, theirs = await connected()

    async def wait() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await ours.receive_some()

    async with theirs, trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        await ours.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await ours.receive_some()
    with pytest.raises(trio.ClosedResourceError):
        await ours.send_all(b"x")


async def test_a_peer_that_is_gone_is_a_broken_stream() -> None:
    ours, theirs = await connected()
    async with ours:
        await theirs.aclose()
        with pytest.raises(trio.BrokenResourceError):
            await ours.send_all(MUCH)


async def test_a_listener_tells_who_comes_and_sends_at_once() -> None:
    ours, theirs = await connected()
    async with ours, theirs:
        assert ours.peer == theirs.socket.getsockname()
        assert ours._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_who_waits_at_a_listener_that_is_closed_is_told_so() -> None:
    [opened] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    listener = DirectListener(opened)

    async def wait() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await listener.accept()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        await listener.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await listener.accept()
