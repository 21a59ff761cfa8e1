"""Waiting for a socket that the kernel was told of once: nothing that comes is missed."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import trio
from connectord.readiness import Readiness

MANY = 300


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


async def is_ready(readiness: Readiness) -> bool:
    with trio.move_on_after(0.05):
        await readiness.wait()
        return True
    return False


async def test_it_returns_when_something_came_before_or_comes_meanwhile(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    theirs.send(b"before")
    readiness = Readiness(ours)
    with trio.fail_after(5):
        await readiness.wait()
    assert ours.recv(10) == b"before"
    readiness.drained()
    assert not await is_ready(readiness)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(readiness.wait)
        await trio.testing.wait_all_tasks_blocked()
        theirs.send(b"meanwhile")
    readiness.close()


async def test_what_is_left_is_not_forgotten(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    readiness = Readiness(ours)
    theirs.send(b"abc")
    with trio.fail_after(5):
        for letter in (b"a", b"b", b"c"):
            await readiness.wait()
            assert ours.recv(1) == letter
    readiness.drained()
    assert not await is_ready(readiness)
    readiness.close()


async def test_what_comes_between_reading_and_saying_so_is_told(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    readiness = Readiness(ours)
    theirs.send(b"first")
    await readiness.wait()
    ours.recv(10)
    theirs.send(b"second")
    readiness.drained()
    assert await is_ready(readiness)
    readiness.close()


async def test_the_end_that_came_with_the_last_bytes_stays_there(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    readiness = Readiness(ours)
    theirs.send(b"last")
    theirs.shutdown(socket.SHUT_WR)
    with trio.fail_after(5):
        await readiness.wait()
        assert ours.recv(100) == b"last"
        readiness.drained()
        for _ in range(2):
            await readiness.wait()
            assert ours.recv(100) == b""
            readiness.drained()
    readiness.close()


async def test_every_wait_is_a_checkpoint(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    readiness = Readiness(ours)
    theirs.send(b"x")
    await readiness.wait()
    with trio.testing.assert_checkpoints():
        await readiness.wait()
    with trio.CancelScope() as scope:
        scope.cancel()
        await readiness.wait()
    assert scope.cancelled_caught
    readiness.close()


async def test_a_wait_that_is_cancelled_leaves_the_place_to_another(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    readiness = Readiness(ours)
    assert not await is_ready(readiness)
    theirs.send(b"x")
    assert await is_ready(readiness)
    readiness.close()


async def test_only_one_task_may_wait(pair: tuple[socket.socket, socket.socket]) -> None:
    readiness = Readiness(pair[0])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(readiness.wait)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await readiness.wait()
        pair[1].send(b"x")
    readiness.close()


async def test_closing_wakes_who_waits(pair: tuple[socket.socket, socket.socket]) -> None:
    readiness = Readiness(pair[0])

    async def wait() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await readiness.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        readiness.close()
    readiness.close()
    await wait()


async def test_a_number_that_is_used_again_is_another_socket() -> None:
    ours, theirs = socket.socketpair()
    readiness = Readiness(ours)
    theirs.send(b"x")  # the kernel has something to say of a socket that is gone when it is asked
    number = ours.fileno()
    readiness.close()
    ours.close()
    again, other = socket.socketpair()
    with theirs, again, other:
        assert again.fileno() == number
        fresh = Readiness(again)
        assert not await is_ready(fresh)
        other.send(b"y")
        assert await is_ready(fresh)
        fresh.close()


async def test_many_sockets_are_all_heard() -> None:
    pairs = [socket.socketpair() for _ in range(MANY)]
    readiness = [Readiness(ours) for ours, _ in pairs]
    with trio.fail_after(10):
        for _ in range(3):
            async with trio.open_nursery() as nursery:
                for each in readiness:
                    nursery.start_soon(each.wait)
                await trio.testing.wait_all_tasks_blocked()
                for _, theirs in pairs:
                    theirs.send(b"x")
            for each, (ours, _) in zip(readiness, pairs, strict=True):
                assert ours.recv(10) == b"x"
                each.drained()
    for each, (ours, theirs) in zip(readiness, pairs, strict=True):
        each.close()
        ours.close()
        theirs.close()


def test_another_run_of_trio_begins_anew() -> None:
    async def once() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            readiness = Readiness(ours)
            theirs.send(b"x")
            with trio.fail_after(5):
                await readiness.wait()
            readiness.close()

    trio.run(once)
    trio.run(once)


def test_a_socket_may_be_let_go_after_the_run() -> None:
    ours, theirs = socket.socketpair()
    kept: list[Readiness] = []

    async def once() -> None:
        kept.append(Readiness(ours))
        await trio.lowlevel.checkpoint()

    trio.run(once)
    kept[0].close()
    ours.close()
    theirs.close()
