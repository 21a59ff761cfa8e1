"""The callback listener with peers that go away, are slow, or never end."""

from __future__ import annotations

import socket
from contextlib import suppress

import pytest
import trio
import trio.lowlevel
import trio.testing
from connectord.callbacks import (
    Limits,
)
from helpers.callback_listener import (
    BAD_TOKEN,
    BODY,
    FakeHandler,
    chunked,
    connected,
    listening,
    make_service,
    read_all,
    read_replies,
    read_reply,
    request,
)

# --- peers that go away ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 20, len(request()) - len(BODY), len(request()) - 1])
async def test_half_a_request_is_never_handed_over(cut: int) -> None:
    async with listening() as served:
        assert [reply.status for reply in await served.exchange(request()[:cut])] == [400]
        assert [reply.status for reply in await served.exchange(chunked(b"abc")[:-1])] == [400]
        stream = await served.connect()
        await stream.send_all(request()[:cut])
        await trio.aclose_forcefully(stream)
        assert [reply.status for reply in await served.exchange(request())] == [200]
        assert served.handler.bodies == [BODY]


async def test_a_peer_that_only_connects_gets_nothing() -> None:
    async with listening() as served:
        assert await served.exchange(b"") == []


async def test_a_peer_that_resets_while_handled_does_not_stop_the_handler() -> None:
    gate = trio.Event()
    async with listening(FakeHandler(gate=gate)) as served:
        stream = await served.connect()
        await stream.send_all(request())
        await served.handler.begun.wait()
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")  # close means reset
        await stream.aclose()
        gate.set()
        assert [reply.status for reply in await served.exchange(request())] == [200]
        assert len(served.handler.calls) == 2


async def test_the_answer_arrives_although_the_body_is_still_being_sent() -> None:
    async with listening(limits=Limits(max_body_bytes=1_000_000)) as served:
        with trio.fail_after(10):
            async with await served.connect() as stream:
                await stream.send_all(request(b"x" * 900_000, token=BAD_TOKEN))
                await stream.send_eof()
                (reply,) = read_replies(await read_all(stream))
        assert reply.status == 404


@pytest.mark.parametrize("wire", [request(b"x" * 5_000_000), chunked(b"x" * 5_000_000)], ids=["whole", "chunked"])
async def test_a_body_far_too_large_is_told_and_not_reset(wire: bytes) -> None:
    async with listening(limits=Limits(max_body_bytes=100_000)) as served:
        assert [reply.status for reply in await served.exchange(wire)] == [413]


# --- limits in time (simulated) -------------------------------------------------------------------------------------

TIMES = Limits(
    header_timeout_seconds=10,
    body_timeout_seconds=30,
    idle_timeout_seconds=60,
    write_timeout_seconds=7,
    linger_timeout_seconds=2,
)


async def test_a_connection_that_says_nothing_is_closed(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(TIMES) as memory:
        assert await read_all(memory.client) == b""
        assert trio.current_time() == pytest.approx(10)


async def test_slow_headers_are_cut_however_steadily_they_come(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(TIMES) as memory, trio.open_nursery() as nursery:

        async def drip() -> None:
            with suppress(trio.BrokenResourceError):
                for byte in request():
                    await memory.say(bytes([byte]))
                    await trio.sleep(1)

        nursery.start_soon(drip)
        reply = await read_reply(memory.client)
        assert reply.status == 408
        assert reply.headers["connection"] == "close"
        assert trio.current_time() == pytest.approx(10)
        assert await read_all(memory.client) == b""
        await memory.ended.wait()
        assert trio.current_time() == pytest.approx(12)  # the lingering, as it goes on dripping
        nursery.cancel_scope.cancel()
    assert memory.handler.calls == []


async def test_a_later_requests_headers_have_their_own_time(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(TIMES) as memory:
        await memory.say(request())
        assert (await read_reply(memory.client)).status == 200
        await trio.sleep(55)
        await memory.say(request()[:30])
        await trio.sleep(9)
        await memory.say(request()[30:])
        assert (await read_reply(memory.client)).status == 200
        await memory.say(request()[:30])
        assert (await read_reply(memory.client)).status == 408
        assert trio.current_time() == pytest.approx(74)


@pytest.mark.parametrize("wire", [request(b"x" * 1000), chunked(b"x" * 1000)])
async def test_slow_bodies_are_cut_however_steadily_they_come(
    wire: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    async with connected(TIMES) as memory, trio.open_nursery() as nursery:
        end = wire.index(b"\r\n\r\n") + 4

        async def drip() -> None:
            await memory.say(wire[:end])
            for byte in wire[end:]:
                await memory.say(bytes([byte]))
                await trio.sleep(1)

        nursery.start_soon(drip)
        assert (await read_reply(memory.client)).status == 408
        assert trio.current_time() == pytest.approx(30)
        nursery.cancel_scope.cancel()
    assert memory.handler.calls == []


async def test_an_idle_connection_is_closed_without_a_word(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(TIMES) as memory:
        await memory.say(request())
        assert (await read_reply(memory.client)).status == 200
        assert await read_all(memory.client) == b""
        assert trio.current_time() == pytest.approx(60)


async def test_each_connection_is_idle_for_a_time_of_its_own(autojump_clock: trio.testing.MockClock) -> None:
    service = make_service(FakeHandler(), TIMES)
    async with connected(service=service) as first, connected(service=service) as second:
        await first.say(request())
        await trio.sleep(9)
        await second.say(request())
        await trio.sleep(41)
        await first.say(request() + request()[:30])  # the second of these has the time that a head has
        await second.ended.wait()
        assert trio.current_time() == pytest.approx(9 + 60)
        assert first.ended.is_set()
        assert [reply.status for reply in read_replies(await read_all(first.client))] == [200, 200, 408]


async def test_a_handler_may_take_its_time(autojump_clock: trio.testing.MockClock) -> None:
    gate = trio.Event()
    async with connected(TIMES, FakeHandler(gate=gate)) as memory:
        await memory.say(request())
        await trio.sleep(1000)
        gate.set()
        assert (await read_reply(memory.client)).status == 200


async def test_a_peer_that_does_not_read_is_cut(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(TIMES, pair=trio.testing.lockstep_stream_pair) as memory:
        await memory.say(request())
        await memory.ended.wait()
        assert trio.current_time() == pytest.approx(7)
        assert len(memory.handler.calls) == 1


async def test_lingering_ends_in_time_and_in_bytes(autojump_clock: trio.testing.MockClock) -> None:
    limits = Limits(max_body_bytes=1000, linger_timeout_seconds=2)
    async with connected(limits) as memory:
        await memory.say(request(token=BAD_TOKEN))
        assert (await read_reply(memory.client)).status == 404
        await memory.ended.wait()
        assert trio.current_time() == pytest.approx(2)
    async with connected(limits) as memory:
        await memory.say(request(b"x" * 5000, token=BAD_TOKEN))
        await memory.say(b"x" * 70_000)
        await memory.ended.wait()
        assert trio.current_time() == pytest.approx(2)  # not 4


@pytest.mark.parametrize("slow", [request()[:10], request()[:-1]], ids=["headers", "body"])
async def test_a_peer_that_does_not_read_its_408_is_cut(slow: bytes, autojump_clock: trio.testing.MockClock) -> None:
    async with connected(TIMES, pair=trio.testing.lockstep_stream_pair) as memory:
        await memory.say(slow)
        await memory.ended.wait()
        assert trio.current_time() == pytest.approx(10 + 7 if len(slow) == 10 else 30 + 7)
