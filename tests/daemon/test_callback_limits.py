"""The callback listener with too many at once, and when it is drained."""

from __future__ import annotations

import errno
import socket

import pytest
import structlog
import trio
import trio.lowlevel
import trio.testing
from connectord.callbacks import (
    Limits,
    open_callback_listeners,
    serve_callbacks,
)
from connectord.callbacks.connection import DRAIN_READING_SECONDS
from connectord.callbacks.limits import BadTokens
from connectord.streams import DirectListener, DirectStream
from helpers.callback_listener import (
    BAD_TOKEN,
    KEY,
    FakeHandler,
    Reply,
    Served,
    begin_draining,
    connected,
    listening,
    make_service,
    read_all,
    read_replies,
    read_reply,
    request,
)

# --- limits in number -----------------------------------------------------------------------------------------------


async def test_too_many_bad_tokens_are_429_and_good_ones_go_on() -> None:
    clock = [1000.0]
    async with listening(limits=Limits(guesses_per_minute=3), now=lambda: clock[0]) as served:

        async def guess() -> Reply:
            (reply,) = await served.exchange(request(token=BAD_TOKEN))
            return reply

        assert [(await guess()).status for _ in range(3)] == [404, 404, 404]
        clock[0] += 20.5
        reply = await guess()
        assert reply.status == 429
        assert reply.headers["retry-after"] == "40"
        assert [reply.status for reply in await served.exchange(request())] == [200]
        clock[0] += 39
        assert (await guess()).headers["retry-after"] == "1"
        clock[0] += 1
        assert (await guess()).status == 404


def test_the_table_of_addresses_is_bounded_and_forgets_the_oldest() -> None:
    table = BadTokens(lambda: 0.0, most_addresses=3)
    for address in ("a", "b", "c"):
        assert table.count(address, 1) == 0
    assert table.count("a", 1) == 60
    assert table.count("d", 1) == 0  # b goes, which was seen longest ago
    assert len(table) == 3
    assert table.count("a", 1) == 60
    assert table.count("b", 1) == 0
    assert len(table) == 3


async def test_one_connection_too_many_is_refused_without_reading_where_all_are_at_work() -> None:
    handler = FakeHandler(gate=trio.Event())
    assert handler.gate is not None
    with structlog.testing.capture_logs() as logs:
        async with listening(handler, Limits(max_connections=2, place_patience_seconds=0.1)) as served:
            with trio.fail_after(10):
                first, second = await served.connect(), await served.connect()
                for stream in (first, second):
                    await stream.send_all(request())
                await trio.testing.wait_all_tasks_blocked(0.01)
                for _ in range(5):
                    async with await served.connect() as stream:
                        (reply,) = read_replies(await read_all(stream))
                        assert reply.status == 503
                        assert reply.headers["retry-after"] == "5"
                        assert reply.headers["connection"] == "close"
                handler.gate.set()
                for stream in (first, second):  # those that are in are served on
                    assert (await read_reply(stream)).status == 200
                assert [reply.status for reply in await served.exchange(request())] == [200]
        warnings = [entry for entry in logs if entry["log_level"] == "warning"]
    assert [entry["event"] for entry in warnings] == ["callback_connections_exhausted"]
    await first.aclose()
    await second.aclose()


async def test_a_burst_of_connections_beyond_the_limit_is_answered_without_a_refusal() -> None:
    statuses: list[int] = []
    async with listening(limits=Limits(max_connections=4)) as served:

        async def call_back() -> None:
            statuses.extend(reply.status for reply in await served.exchange(request()))

        with trio.fail_after(20):
            async with trio.open_nursery() as callers:
                for _ in range(100):
                    callers.start_soon(call_back)
    assert statuses == [200] * 100


class EagerListener(trio.abc.Listener[DirectStream]):
    """Has always another caller, who says nothing."""

    def __init__(self) -> None:
        self.callers: list[socket.socket] = []

    async def accept(self) -> DirectStream:
        ours, theirs = socket.socketpair()
        self.callers.append(theirs)
        return DirectStream(ours)

    async def aclose(self) -> None:
        for caller in self.callers:
            caller.close()
        await trio.lowlevel.checkpoint()


async def test_who_was_accepted_counts_before_its_task_has_run() -> None:
    # which of the tasks that are ready runs first is chance, and the door is one of them
    for _ in range(20):
        eager = EagerListener()
        async with trio.open_nursery() as nursery:

            async def serve(task_status: trio.TaskStatus[None], eager: EagerListener = eager) -> None:
                limits = Limits(max_connections=4, place_patience_seconds=1000.0).in_force
                await serve_callbacks([eager], key=KEY, handler=FakeHandler(), limits=limits, task_status=task_status)

            await nursery.start(serve)
            await trio.testing.wait_all_tasks_blocked()
            assert len(eager.callers) == 4
            nursery.cancel_scope.cancel()


async def test_who_is_refused_after_sending_can_read_why() -> None:
    handler = FakeHandler(gate=trio.Event())
    async with listening(handler, Limits(max_connections=1, place_patience_seconds=0.1)) as served:
        with trio.fail_after(10):
            async with await served.connect() as first:
                await first.send_all(request())
                await handler.begun.wait()
                for _ in range(20):
                    assert [reply.status for reply in await served.exchange(request(), eof=False)] == [503]


class FlakyListener(trio.abc.Listener[DirectStream]):
    """Fails to accept once."""

    def __init__(self, listener: DirectListener, number: int) -> None:
        self.listener = listener
        self.number: int | None = number

    async def accept(self) -> DirectStream:
        if self.number is not None:
            number, self.number = self.number, None
            raise OSError(number, "no more")
        return await self.listener.accept()

    async def aclose(self) -> None:
        await self.listener.aclose()


async def test_running_out_of_file_descriptors_does_not_end_the_listener() -> None:
    (listener,) = await open_callback_listeners("127.0.0.1", 0)
    port = listener.socket.getsockname()[1]
    async with trio.open_nursery() as nursery:

        async def serve(task_status: trio.TaskStatus[None]) -> None:
            flaky = FlakyListener(DirectListener(listener), errno.EMFILE)
            await serve_callbacks([flaky], key=KEY, handler=FakeHandler(), task_status=task_status)

        await nursery.start(serve)
        served = Served(port, FakeHandler(), trio.Event(), trio.Event())
        assert [reply.status for reply in await served.exchange(request())] == [200]
        nursery.cancel_scope.cancel()


# --- draining -------------------------------------------------------------------------------------------------------


async def test_draining_closes_what_is_idle_and_finishes_what_is_under_way() -> None:
    gate = trio.Event()
    async with listening() as served:
        with trio.fail_after(10):
            idle, busy, half = await served.connect(), await served.connect(), await served.connect()
            await idle.send_all(request())
            assert (await read_reply(idle)).status == 200
            await half.send_all(request())
            assert (await read_reply(half)).status == 200
            served.handler.gate = gate
            served.handler.begun = trio.Event()
            await half.send_all(request()[:-1])
            await busy.send_all(request())
            await served.handler.begun.wait()
            served.drain.set()
            assert await read_all(idle) == b""
            await idle.aclose()
            with pytest.raises(OSError, match="all attempts to connect"):
                await served.connect()
            assert not served.stopped.is_set()
            gate.set()
            for stream, rest in ((busy, b""), (half, request()[-1:])):
                if rest:
                    await stream.send_all(rest)
                (reply,) = read_replies(await read_all(stream))
                assert reply.status == 200
                assert reply.headers["connection"] == "close"
                await stream.aclose()
            await served.stopped.wait()
    assert len(served.handler.calls) == 4


async def test_draining_with_nobody_there_returns_at_once() -> None:
    async with listening() as served:
        with trio.fail_after(10):
            served.drain.set()
            await served.stopped.wait()


async def test_who_has_just_connected_gets_a_moment_to_send(autojump_clock: trio.testing.MockClock) -> None:
    handler = FakeHandler()
    service = make_service(handler)
    service.draining = True
    async with connected(handler=handler, service=service) as memory:
        await trio.sleep(0.5)
        await memory.say(request())
        reply = await read_reply(memory.client)
        assert reply.status == 200
        assert reply.headers["connection"] == "close"
    began = trio.current_time()
    async with connected(service=service) as memory:
        assert await read_all(memory.client) == b""
        assert trio.current_time() - began == pytest.approx(1)


async def test_a_request_that_comes_just_as_draining_begins_is_answered(
    autojump_clock: trio.testing.MockClock,
) -> None:
    handler = FakeHandler()
    service = make_service(handler)
    async with connected(handler=handler, service=service) as memory:
        await memory.say(request())
        assert (await read_reply(memory.client)).status == 200
        await trio.testing.wait_all_tasks_blocked()
        await memory.say(request())
        begin_draining(service, memory.connection)  # before the connection's task has run
        reply = await read_reply(memory.client)
        assert reply.status == 200
        assert reply.headers["connection"] == "close"
    assert len(handler.calls) == 2


async def test_a_busy_connection_may_send_one_more_request_while_draining(
    autojump_clock: trio.testing.MockClock,
) -> None:
    service = make_service(FakeHandler())
    async with connected(service=service) as memory:
        await memory.say(request())
        assert (await read_reply(memory.client)).status == 200
        begin_draining(service, memory.connection)
        await trio.sleep(0.2)
        await memory.say(request())
        reply = await read_reply(memory.client)
        assert (reply.status, reply.headers["connection"]) == (200, "close")


@pytest.mark.parametrize("sent", [request()[:-1], request()[:20]], ids=["body", "head"])
async def test_half_a_request_gets_503_at_the_end_of_draining(
    autojump_clock: trio.testing.MockClock, sent: bytes
) -> None:
    handler = FakeHandler()
    service = make_service(handler)
    async with connected(handler=handler, service=service) as memory:
        await memory.say(request())
        assert (await read_reply(memory.client)).status == 200
        began = trio.current_time()
        await memory.say(sent)
        await trio.testing.wait_all_tasks_blocked()
        begin_draining(service, memory.connection)
        reply = await read_reply(memory.client)
        assert (reply.status, reply.headers["connection"]) == (503, "close")
        assert reply.headers["retry-after"] == "5"
        assert trio.current_time() - began == pytest.approx(DRAIN_READING_SECONDS)
    assert len(handler.calls) == 1


async def test_draining_while_an_answer_is_sent_closes_after_it(autojump_clock: trio.testing.MockClock) -> None:
    handler = FakeHandler()
    service = make_service(handler)
    async with connected(handler=handler, service=service, pair=trio.testing.lockstep_stream_pair) as memory:
        await memory.say(request())
        await trio.testing.wait_all_tasks_blocked()
        assert len(handler.calls) == 1
        service.draining = True
        memory.connection.drain()
        assert (await read_reply(memory.client)).status == 200
        assert await read_all(memory.client) == b""
        assert trio.current_time() == pytest.approx(0)


async def test_cancelling_closes_everything() -> None:
    handler = FakeHandler(gate=trio.Event())
    (listener,) = await open_callback_listeners("127.0.0.1", 0)
    port = listener.socket.getsockname()[1]
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:

            async def serve() -> None:
                await serve_callbacks([listener], key=KEY, handler=handler)

            nursery.start_soon(serve)
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await stream.send_all(request())
            await handler.begun.wait()
            nursery.cancel_scope.cancel()
        assert await read_all(stream) == b""
        await stream.aclose()
    assert listener.socket.fileno() == -1
