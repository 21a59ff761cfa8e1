"""The trio client against a server that misbehaves."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from connectord.client import AsyncClient, Submit
from connectord.errors import (
    BadRequest,
    ControlError,
    DaemonUnreachable,
    TryAgain,
    UnexpectedAnswer,
    WaitTimedOut,
    WrongState,
)
from helpers.scripted_daemon import STATUS, Peer, Serve, action, event


async def test_answers_may_come_in_any_order(serve: Serve) -> None:
    async def backwards(peer: Peer) -> None:
        requests = [await peer.read() for _ in range(20)]
        for request in reversed(requests):
            assert request is not None
            await peer.send(id=request["id"], result=action(request["params"]["id"]))

    shown: dict[str, str] = {}
    async with serve(backwards) as path, AsyncClient(path) as client, trio.open_nursery() as nursery:

        async def show(action_id: str) -> None:
            shown[action_id] = (await client.show(action_id)).id

        for number in range(20):
            nursery.start_soon(show, f"A{number}")
    assert shown == {f"A{number}": f"A{number}" for number in range(20)}


async def test_a_cancelled_request_leaves_the_connection_usable(serve: Serve) -> None:
    asked, answered = trio.CancelScope(), trio.Event()

    async def slow_to_the_first(peer: Peer) -> None:
        first = await peer.need("show")
        asked.cancel()
        second = await peer.need("status")
        await peer.send(id=first, result=action("late"))
        await peer.send(id=second, result=STATUS)
        answered.set()
        await Peer.answer(peer)

    async with serve(slow_to_the_first) as path, AsyncClient(path) as client:
        with asked:
            await client.show("late")
        assert asked.cancelled_caught
        assert (await client.status()).version == "9"
        await answered.wait()
        assert (await client.show("B")).id == "B"


async def test_a_request_cancelled_while_its_line_is_under_way_leaves_whole_lines(serve: Serve) -> None:
    go = trio.Event()
    lengths: list[int] = []

    async def reads_late(peer: Peer) -> None:
        await go.wait()
        while (request := await peer.read()) is not None:
            lengths.append(len(str(request)))
            await peer.send(id=request["id"], result=action("A") if request["method"] == "submit" else STATUS)

    async with serve(reads_late) as path, AsyncClient(path) as client:
        async with trio.open_nursery() as nursery:
            # more than the socket takes: one line is half out when the requests are cancelled, the other not begun
            for _ in range(2):
                nursery.start_soon(partial(client.submit, "erp", data={"much": "x" * 900_000}))
                await trio.testing.wait_all_tasks_blocked(0.05)
            nursery.cancel_scope.cancel()
        go.set()
        assert (await client.status()).version == "9"
    assert [length > 900_000 for length in lengths] == [True, False]


async def test_the_connections_end_fails_every_request_under_way(serve: Serve) -> None:
    async def read_three_and_go(peer: Peer) -> None:
        for _ in range(3):
            await peer.read()

    failures: list[ControlError] = []
    async with serve(read_three_and_go, Peer.answer) as path, AsyncClient(path) as client:
        async with trio.open_nursery() as nursery:

            async def show() -> None:
                with pytest.raises(DaemonUnreachable, match="closed the connection") as caught:
                    await client.show("A")
                failures.append(caught.value)

            for _ in range(3):
                nursery.start_soon(show)
        assert len({id(failure) for failure in failures}) == 3
        # the next call connects anew
        assert (await client.status()).version == "9"


@pytest.mark.parametrize("line", [b"{", b"\xff", b"[]", b'"text"', b'{"id":1,"error":"no"}', b"[" * 100_000])
async def test_a_broken_line_ends_the_connection(serve: Serve, line: bytes) -> None:
    async def broken(peer: Peer) -> None:
        await peer.need("status")
        await peer.stream.send_all(line + b"\n")
        await trio.sleep_forever()

    async with serve(broken, Peer.answer) as path, AsyncClient(path) as client:
        with pytest.raises(DaemonUnreachable, match="does not speak JSON-RPC"):
            await client.status()
        assert (await client.status()).version == "9"


async def test_an_answer_in_pieces_is_put_together(serve: Serve) -> None:
    async def piecemeal(peer: Peer) -> None:
        await peer.send_in_pieces(7, id=await peer.need("show"), result=action("Ä"))
        await peer.read()

    async with serve(piecemeal) as path, AsyncClient(path) as client:
        assert (await client.show("Ä")).id == "Ä"


async def test_half_an_answer_is_none(serve: Serve) -> None:
    async def half(peer: Peer) -> None:
        await peer.need("status")
        await peer.stream.send_all(b'{"jsonrpc":"2.0","id":1,"result":{')

    async with serve(half) as path, AsyncClient(path) as client:
        with pytest.raises(DaemonUnreachable, match="before it answered"):
            await client.status()


async def test_what_the_daemon_says_of_the_connection_fails_what_is_under_way(serve: Serve) -> None:
    async def full(peer: Peer) -> None:
        await peer.send(id=None, error={"code": -32005, "message": "256 connections are open already; try again"})

    async with serve(full, Peer.answer) as path, AsyncClient(path) as client:
        with pytest.raises(TryAgain, match="256 connections"):
            await client.status()
        assert (await client.status()).version == "9"


async def test_an_answer_of_another_shape_is_told_and_the_connection_goes_on(serve: Serve) -> None:
    async def other(peer: Peer) -> None:
        await peer.send(id=await peer.need("show"), result={"id": "A"})
        await peer.send(id=await peer.need("show"), result=action("A", new={"member": 1}))
        await peer.read()

    async with serve(other) as path, AsyncClient(path) as client:
        with pytest.raises(UnexpectedAnswer, match="show: "):
            await client.show("A")
        assert (await client.show("A")).id == "A"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"n": math.nan}, "not JSON"),
        ({"n": object()}, "submit: .*object"),
        ({"text": "\ud800"}, "submit: "),
        ({"text": "x" * 1024 * 1024}, "at most 1048576 bytes"),
    ],
)
async def test_what_cannot_be_sent_is_refused_before_it_is(serve: Serve, data: dict[str, Any], reason: str) -> None:
    async with serve(Peer.answer) as path, AsyncClient(path) as client:
        with pytest.raises(BadRequest, match=reason):
            await client.submit("erp", data=data)
        with pytest.raises(BadRequest, match=reason.replace("submit", "submit_many")):
            await client.submit_many([Submit(system="erp", data=data)])
        assert (await client.status()).version == "9"


async def test_the_blocks_own_exception_comes_out_as_it_is(serve: Serve) -> None:
    async with serve(Peer.answer) as path:
        with pytest.raises(ZeroDivisionError):
            async with AsyncClient(path):
                _ = 1 / 0


async def test_leaving_fails_what_other_tasks_still_await(serve: Serve) -> None:
    async def silent(peer: Peer) -> None:
        while await peer.read() is not None:
            pass

    async with serve(silent) as path, trio.open_nursery() as nursery:

        async def status(client: AsyncClient) -> None:
            with pytest.raises(DaemonUnreachable, match="closed by this client"):
                await client.status()

        async with AsyncClient(path) as client:
            nursery.start_soon(status, client)
            await trio.testing.wait_all_tasks_blocked(0.02)
        with pytest.raises(DaemonUnreachable, match="async with AsyncClient"):
            await client.status()


async def test_the_block_can_be_cancelled(serve: Serve) -> None:
    scope = trio.CancelScope()

    async def silent(peer: Peer) -> None:
        await peer.read()
        scope.cancel()
        await trio.sleep_forever()

    async with serve(silent) as path:
        with scope:
            async with AsyncClient(path) as client:
                await client.status()
        assert scope.cancelled_caught


async def test_nobody_there_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(DaemonUnreachable, match="no daemon answers at .*: No such file"):
        async with AsyncClient(tmp_path / "none.sock"):
            pass
    with pytest.raises(DaemonUnreachable, match="async with AsyncClient"):
        await AsyncClient(tmp_path / "none.sock").wait("A")


async def test_a_watch_that_is_refused_is_refused_on_entering(serve: Serve) -> None:
    async def refuses(peer: Peer) -> None:
        watch_id = await peer.need("watch")
        await peer.send(id=watch_id, error={"code": -32602, "message": "watch: no"})
        await peer.read()
        await peer.read()

    async with serve(Peer.answer, refuses) as path, AsyncClient(path) as client:
        with pytest.raises(BadRequest, match="watch: no"):
            async with client.watch(state="lost"):
                raise AssertionError("not refused")


async def test_a_watch_keeps_what_comes_before_it_has_begun_and_tells_its_end(serve: Serve) -> None:
    async def early(peer: Peer) -> None:
        watch_id = await peer.need("watch")
        status_id = await peer.need("status")
        await peer.tell(event("A", "pending", 1))
        await peer.send(id=status_id, result=STATUS)
        await peer.tell(event("A", "closed", 2) | {"new": 1})
        await peer.send(id=watch_id, error={"code": -32005, "message": "too slow"})
        await peer.read()

    async with serve(Peer.answer, early) as path, AsyncClient(path) as client, client.watch() as events:
        assert [(await anext(events)).seq, (await anext(events)).seq] == [1, 2]
        with pytest.raises(TryAgain, match="too slow"):
            await anext(events)


async def test_a_watch_ends_with_the_connection(serve: Serve) -> None:
    async def goes(peer: Peer) -> None:
        await peer.begin_watch()

    async with serve(Peer.answer, goes) as path, AsyncClient(path) as client, client.watch() as events:
        with pytest.raises(DaemonUnreachable):
            await anext(events)


async def test_a_cancelled_look_at_a_watch_loses_nothing(serve: Serve) -> None:
    go = trio.Event()

    async def in_two_pieces(peer: Peer) -> None:
        await peer.begin_watch()
        line = json.dumps({"jsonrpc": "2.0", "method": "event", "params": event("A", "todo", 7)}).encode() + b"\n"
        await peer.stream.send_all(line[:40])
        await go.wait()
        await peer.stream.send_all(line[40:])
        await peer.read()

    async with serve(Peer.answer, in_two_pieces) as path, AsyncClient(path) as client, client.watch() as events:
        with trio.move_on_after(0.05) as limit:
            await anext(events)
        assert limit.cancelled_caught
        go.set()
        assert (await anext(events)).seq == 7


async def test_a_reader_that_does_not_read_holds_up_the_daemon_not_the_memory(serve: Serve) -> None:
    sent = 0

    async def floods(peer: Peer) -> None:
        nonlocal sent
        await peer.begin_watch()
        for number in range(50_000):
            await peer.tell(event("A", "pending", number))
            sent += 1

    async with serve(Peer.answer, floods) as path, AsyncClient(path) as client, client.watch():
        before = -1
        while sent != before:
            before = sent
            await trio.sleep(0.2)
    assert sent < 10_000


async def test_all_waiting_shares_one_watch(serve: Serve) -> None:
    states: dict[str, str] = {}
    all_shown, closed = trio.Event(), trio.Event()

    async def calls(peer: Peer) -> None:
        while (request := await peer.read()) is not None:
            action_id = request["params"]["id"]
            states.setdefault(action_id, "waiting")
            await peer.send(id=request["id"], result=action(action_id, states[action_id]))
            if len(states) == 300:
                all_shown.set()

    async def watch(peer: Peer) -> None:
        await peer.begin_watch()
        await all_shown.wait()
        for number in range(300):
            states[f"A{number}"] = "closed"
            await peer.tell(event(f"A{number}", "closed", number))
        await peer.tell(event("of nobody", "closed"))
        assert await peer.read() is None
        closed.set()

    outcomes: dict[str, str] = {}
    async with serve(calls, watch) as path, AsyncClient(path) as client:
        async with trio.open_nursery() as nursery:

            async def wait(action_id: str) -> None:
                outcomes[action_id] = (await client.wait(action_id)).state

            for number in range(299):
                nursery.start_soon(wait, f"A{number}")
            while len(states) < 299:
                await trio.sleep(0.01)
            nursery.start_soon(wait, "A299")  # the watch has begun long since
        # the last one to wait closes the watch
        await closed.wait()
    assert outcomes == {f"A{number}": "closed" for number in range(300)}


async def test_what_happens_between_looking_and_hearing_is_not_missed(serve: Serve) -> None:
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

    told, heard = trio.Event(), trio.Event()
    async with serve(calls, watch) as path, AsyncClient(path) as client:
        assert (await client.wait("A")).state == "in_progress"


async def test_waiting_goes_on_after_a_watch_that_was_cut_off(serve: Serve) -> None:
    async def calls(peer: Peer) -> None:
        await peer.send(id=await peer.need("show"), result=action("A", "waiting"))
        shown.set()
        await peer.send(id=await peer.need("show"), result=action("A", "todo"))
        await peer.read()

    async def cut_off(peer: Peer) -> None:
        watch_id = await peer.begin_watch()
        await shown.wait()
        await peer.send(id=watch_id, error={"code": -32005, "message": "too slow"})
        await peer.read()

    async def again(peer: Peer) -> None:
        await peer.begin_watch()
        await peer.read()

    shown = trio.Event()
    async with serve(calls, cut_off, again) as path, AsyncClient(path) as client:
        assert (await client.wait("A")).state == "todo"


async def test_waiting_after_a_cut_goes_on_at_the_number_and_misses_no_state_in_between(serve: Serve) -> None:
    async def calls(peer: Peer) -> None:
        await peer.send(id=await peer.need("show"), result=action("A", "waiting"))
        shown.set()
        # by now it is in another state again: only the stream knew
        await peer.send(id=await peer.need("show"), result=action("A", "in_progress"))
        await peer.read()

    async def cut_off(peer: Peer) -> None:
        watch_id = await peer.begin_watch()
        await shown.wait()
        await peer.send(id=watch_id, error={"code": -32005, "message": "too slow", "data": {"resume_after": 7}})
        await peer.read()

    async def again(peer: Peer) -> None:
        await peer.begin_watch(after=7)
        await peer.tell(event("A", "todo", seq=8))
        await peer.read()

    shown = trio.Event()
    async with serve(calls, cut_off, again) as path, AsyncClient(path) as client:
        assert (await client.wait("A", states=["todo"])).state == "in_progress"


async def test_waiting_looks_anew_where_the_number_to_go_on_at_is_not_kept_any_more(serve: Serve) -> None:
    async def calls(peer: Peer) -> None:
        await peer.send(id=await peer.need("show"), result=action("A", "waiting"))
        shown.set()
        await peer.send(id=await peer.need("show"), result=action("A", "todo"))
        await peer.read()

    async def cut_off(peer: Peer) -> None:
        watch_id = await peer.begin_watch()
        await shown.wait()
        await peer.send(id=watch_id, error={"code": -32005, "message": "too slow", "data": {"resume_after": 7}})
        await peer.read()

    async def pruned(peer: Peer) -> None:
        watch_id = await peer.need("watch", after=7)
        await peer.send(id=watch_id, error={"code": -32002, "message": "gone", "data": {"resume_after": 99}})
        await peer.read()

    async def again(peer: Peer) -> None:
        await peer.begin_watch()
        await peer.read()

    shown = trio.Event()
    async with serve(calls, cut_off, pruned, again) as path, AsyncClient(path) as client:
        assert (await client.wait("A")).state == "todo"


async def test_waiting_fails_when_the_daemon_goes_and_can_begin_anew(serve: Serve) -> None:
    async def calls(peer: Peer) -> None:
        for _ in range(2):
            await peer.send(id=await peer.need("show"), result=action("A", "waiting"))
        shown.set()
        await peer.send(id=await peer.need("show"), result=action("A", "closed"))
        await peer.read()

    async def goes(peer: Peer) -> None:
        await peer.begin_watch()
        await shown.wait()

    async def stays(peer: Peer) -> None:
        await peer.begin_watch()
        await peer.read()

    shown = trio.Event()
    async with serve(calls, goes, stays) as path, AsyncClient(path) as client:
        async with trio.open_nursery() as nursery:

            async def wait() -> None:
                with pytest.raises(DaemonUnreachable):
                    await client.wait("A")

            nursery.start_soon(wait)
            nursery.start_soon(wait)
        assert (await client.wait("A")).state == "closed"


async def test_waiting_has_an_end(serve: Serve) -> None:
    state = "waiting"

    async def calls(peer: Peer) -> None:
        while (request := await peer.read()) is not None:
            await peer.send(id=request["id"], result=action("A", state, resolution="done_successfully"))

    async def watch(peer: Peer) -> None:
        await peer.begin_watch()
        await peer.read()

    async with serve(calls, watch, watch) as path, AsyncClient(path) as client:
        with pytest.raises(WaitTimedOut, match=r"A is not closed or todo after 0\.5 s"):
            await client.wait("A", timeout=0.5)
        state = "closed"
        with pytest.raises(WrongState, match=r"A is closed \(done_successfully\) and will not be todo any more"):
            await client.wait("A", states=["todo"])


async def test_pages_are_followed_to_the_last(serve: Serve) -> None:
    asked: list[dict[str, Any]] = []

    async def pages(peer: Peer) -> None:
        for ids, following in ((["C", "B"], "B"), (["A"], None)):
            request = await peer.read()
            assert request is not None
            asked.append(request["params"])
            result = {"actions": [action(action_id) for action_id in ids], "next": following}
            await peer.send(id=request["id"], result=result)
        await peer.read()

    async with serve(pages) as path, AsyncClient(path) as client:
        assert [item.id async for item in client.iter_actions(system="erp", limit=2)] == ["C", "B", "A"]
    assert asked == [{"system": "erp", "limit": 2}, {"system": "erp", "limit": 2, "after": "B"}]
