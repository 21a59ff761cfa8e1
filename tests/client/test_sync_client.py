"""The blocking client against a server that misbehaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
import trio
from connectord.client import Client
from connectord.errors import (
    BadRequest,
    DaemonUnreachable,
    DoesNotExist,
    NotPermitted,
    TryAgain,
    UnexpectedAnswer,
    WaitTimedOut,
    WrongState,
)
from helpers.scripted_daemon import STATUS, Peer, Serve, action, event

T = TypeVar("T")


async def blocking(function: Callable[[], T]) -> T:
    return await trio.to_thread.run_sync(function)


async def test_a_call_gives_what_the_daemon_says_typed(serve: Serve) -> None:
    async def script(peer: Peer) -> None:
        request = await peer.read()
        assert request is not None
        assert (request["method"], request["params"]) == ("submit", {"system": "erp", "case": "C-1", "data": {"n": 1}})
        await peer.send_in_pieces(5, id=request["id"], result=action("Ä", "pending", new={"member": 1}))
        await peer.read()

    async with serve(script) as path:

        def call() -> None:
            with Client(path) as client:
                submitted = client.submit("erp", case="C-1", data={"n": 1})
                assert (submitted.id, submitted.state) == ("Ä", "pending")

        await blocking(call)


async def test_refusals_are_exceptions_and_the_connection_goes_on(serve: Serve) -> None:
    async def script(peer: Peer) -> None:
        for code in (-32001, -32003):
            await peer.send(id=await peer.need("show"), error={"code": code, "message": "no"})
        await peer.send(id=await peer.need("show"), result={"id": "A"})
        await peer.answer()

    async with serve(script) as path:

        def call() -> None:
            with Client(path) as client:
                with pytest.raises(DoesNotExist):
                    client.show("A")
                with pytest.raises(NotPermitted):
                    client.show("A")
                with pytest.raises(UnexpectedAnswer, match="show: "):
                    client.show("A")
                assert client.show("A").id == "A"

        await blocking(call)


async def test_a_slow_answer_is_unreachable_and_is_not_taken_for_the_next(serve: Serve) -> None:
    async def slow(peer: Peer) -> None:
        await peer.need("show")
        assert await peer.read() is None

    async with serve(slow, Peer.answer) as path:

        def call() -> None:
            with Client(path, timeout_seconds=0.1) as client:
                with pytest.raises(DaemonUnreachable, match=r"no answer from .* within 0\.1 s"):
                    client.show("A")
                client.timeout_seconds = 20
                assert client.show("B").id == "B"

        await blocking(call)


async def test_an_answer_that_drips_has_the_same_end(serve: Serve) -> None:
    async def drips(peer: Peer) -> None:
        await peer.need("show")
        with trio.move_on_after(10):
            while True:
                await peer.stream.send_all(b" ")
                await trio.sleep(0.05)

    async with serve(drips) as path:

        def call() -> None:
            unreachable = pytest.raises(DaemonUnreachable, match=r"within 0\.2 s")
            with Client(path, timeout_seconds=0.2) as client, unreachable:
                client.show("A")

        await blocking(call)


@pytest.mark.parametrize("line", [b"{\n", b"\xff\n", b"[]\n", b'{"jsonrpc":"2.0","id":1,"result":{', b""])
async def test_a_broken_answer_ends_the_connection_and_the_next_call_connects_anew(serve: Serve, line: bytes) -> None:
    async def broken(peer: Peer) -> None:
        await peer.read()
        await peer.stream.send_all(line)

    async with serve(broken, Peer.answer) as path:

        def call() -> None:
            with Client(path) as client:
                with pytest.raises(DaemonUnreachable, match="does not speak JSON-RPC|before it answered"):
                    client.status()
                assert client.status().version == "9"

        await blocking(call)


async def test_a_daemon_that_was_started_again_is_not_noticed(serve: Serve) -> None:
    gone = trio.Event()

    async def answers_once(peer: Peer) -> None:
        await peer.send(id=await peer.need("status"), result=STATUS)
        await peer.stream.aclose()
        gone.set()

    async with serve(answers_once, Peer.answer) as path:

        def call() -> None:
            with Client(path) as client:
                assert client.status().version == "9"
                trio.from_thread.run(gone.wait)
                assert client.show("A").id == "A"

        await blocking(call)


async def test_what_the_daemon_says_of_the_connection_is_the_answer(serve: Serve) -> None:
    async def full(peer: Peer) -> None:
        await peer.read()
        await peer.send(id=None, error={"code": -32005, "message": "256 connections are open already; try again"})
        assert await peer.read() is None  # nothing more is said on a connection that the daemon is about to close

    async def too_long(peer: Peer) -> None:
        assert len(await peer.stream.receive_some(1000)) == 1000
        await peer.send(id=None, error={"code": -32600, "message": "a line may have at most 1048576 bytes"})

    async with serve(full, too_long, Peer.answer) as path:

        def call() -> None:
            with Client(path) as client:
                with pytest.raises(TryAgain, match="256 connections"):
                    client.status()
                with pytest.raises(BadRequest, match="at most 1048576 bytes"):
                    client.submit("erp", data={"text": "x" * 1024 * 1024})
                with pytest.raises(BadRequest, match="submit: .*object"):
                    client.submit("erp", data={"n": object()})
                assert client.status().version == "9"

        await blocking(call)


def test_nobody_there_is_unreachable(tmp_path: Path) -> None:
    client = Client(tmp_path / "none.sock")
    with pytest.raises(DaemonUnreachable, match="no daemon answers at .*: No such file"), client:
        pass
    with pytest.raises(DaemonUnreachable, match="with Client"):
        client.status()


async def test_a_watch_that_is_refused_is_refused_on_entering(serve: Serve) -> None:
    async def refuses(peer: Peer) -> None:
        await peer.send(id=await peer.need("watch"), error={"code": -32602, "message": "watch: no"})
        while await peer.read() is not None:
            pass

    async with serve(Peer.answer, refuses) as path:

        def call() -> None:
            with Client(path) as client, pytest.raises(BadRequest, match="watch: no"), client.watch(state="lost"):
                raise AssertionError("not refused")

        await blocking(call)


async def test_a_watch_keeps_what_comes_before_it_has_begun_and_tells_its_end(serve: Serve) -> None:
    async def early(peer: Peer) -> None:
        watch_id, status_id = await peer.need("watch"), await peer.need("status")
        await peer.tell(event("A", "pending", 1))
        await peer.send(id=status_id, result=STATUS)
        await peer.tell(event("A", "closed", 2) | {"new": 1})
        await peer.send(id=watch_id, error={"code": -32005, "message": "too slow"})
        await peer.read()

    async def goes(peer: Peer) -> None:
        await peer.begin_watch()

    async def ends(peer: Peer) -> None:
        await peer.send(id=await peer.begin_watch(), result=None)
        await peer.read()

    async with serve(Peer.answer, early, goes, ends) as path:

        def call() -> None:
            with Client(path) as client:
                with client.watch() as events:
                    assert [next(events).seq, next(events).seq] == [1, 2]
                    with pytest.raises(TryAgain, match="too slow"):
                        next(events)
                with client.watch() as events, pytest.raises(DaemonUnreachable):
                    next(events)
                with client.watch() as events:
                    assert list(events) == []
                assert client.status().version == "9"

        await blocking(call)


async def test_a_reader_that_does_not_read_holds_up_the_daemon_not_the_memory(serve: Serve) -> None:
    sent = 0

    async def floods(peer: Peer) -> None:
        nonlocal sent
        await peer.begin_watch()
        for number in range(50_000):
            await peer.tell(event("A", "pending", number))
            sent += 1

    async def until_held_up() -> None:
        before = -1
        while sent != before:
            before = sent
            await trio.sleep(0.2)

    async with serve(Peer.answer, floods) as path:

        def call() -> None:
            with Client(path) as client, client.watch():
                trio.from_thread.run(until_held_up)

        await blocking(call)
    assert sent < 10_000


async def test_what_happens_between_looking_and_hearing_is_not_missed(serve: Serve) -> None:
    told, heard = trio.Event(), trio.Event()

    async def calls(peer: Peer) -> None:
        show_id = await peer.need("show")
        told.set()
        await heard.wait()
        await peer.send(id=show_id, result=action("A", "waiting"))  # as it was before
        await peer.send(id=await peer.need("show"), result=action("A", "in_progress"))
        await peer.read()

    async def watch(peer: Peer) -> None:
        await peer.begin_watch()
        await told.wait()
        await peer.tell(event("A", "todo", 1), event("A", "in_progress", 2))
        heard.set()
        await peer.read()

    async with serve(calls, watch) as path:

        def call() -> None:
            with Client(path) as client:
                assert client.wait("A").state == "in_progress"

        await blocking(call)


async def test_waiting_has_an_end(serve: Serve) -> None:
    async def calls(peer: Peer) -> None:
        for state in ("waiting", "waiting", "closed"):
            await peer.send(id=await peer.need("show"), result=action("A", state, resolution="done_successfully"))
        await peer.read()

    async def watch(peer: Peer) -> None:
        await peer.begin_watch()
        await peer.read()

    async def goes(peer: Peer) -> None:
        await peer.begin_watch()

    async with serve(calls, watch, goes, watch) as path:

        def call() -> None:
            with Client(path) as client:
                with pytest.raises(WaitTimedOut, match=r"A is waiting after 0\.05 s"):
                    client.wait("A", timeout=0.05)
                with pytest.raises(DaemonUnreachable):
                    client.wait("A", timeout=5)
                with pytest.raises(WrongState, match=r"A is closed \(done_successfully\) and will not be todo"):
                    client.wait("A", states=["todo"])

        await blocking(call)


async def test_pages_are_followed_to_the_last(serve: Serve) -> None:
    async def pages(peer: Peer) -> None:
        for ids, following in ((["C", "B"], "B"), (["A"], None)):
            result = {"actions": [action(action_id) for action_id in ids], "next": following}
            await peer.send(id=await peer.need("list"), result=result)
        await peer.read()

    async with serve(pages) as path:

        def call() -> None:
            with Client(path) as client:
                assert [item.id for item in client.iter_actions(limit=2)] == ["C", "B", "A"]

        await blocking(call)
