"""The callback listener's HTTP: what it takes, and what an attacker would try."""

from __future__ import annotations

import itertools
import json

import pytest
import trio
import trio.lowlevel
import trio.testing
from connectord.callbacks import (
    Limits,
)
from helpers.callback_listener import (
    ACTION_ID,
    BAD_TOKEN,
    BODY,
    TOKEN,
    FakeHandler,
    chunked,
    connected,
    listening,
    read_all,
    read_replies,
    read_reply,
    request,
)
from hypothesis import given, settings
from hypothesis import strategies as st

# --- HTTP -----------------------------------------------------------------------------------------------------------


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with listening() as served:
        wire = b""
        for number in range(20):
            body = json.dumps({"n": number}).encode()
            wire += request(body) if number % 3 else chunked(body[:3], body[3:])
        wire += request(token=BAD_TOKEN)
        replies = await served.exchange(wire)
        assert [reply.status for reply in replies] == [200] * 20 + [404]
        assert [json.loads(body)["n"] for body in served.handler.bodies] == list(range(20))


async def test_one_byte_at_a_time() -> None:
    async with listening() as served:
        with trio.fail_after(10):
            async with await served.connect() as stream:
                for byte in request() + chunked(b"abc", b"de"):
                    await stream.send_all(bytes([byte]))
                await stream.send_eof()
                replies = read_replies(await read_all(stream))
        assert [reply.status for reply in replies] == [200, 200]
        assert served.handler.bodies == [BODY, b"abcde"]


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(1, 700)))
async def test_how_the_bytes_are_cut_makes_no_difference(cuts: set[int]) -> None:
    wire = request(b"first") + chunked(b"sec", b"ond") + request(b"", method="GET") + request(b"third")
    async with connected() as memory:
        edges = [0, *sorted(cut for cut in cuts if cut < len(wire)), len(wire)]
        for begin, end in itertools.pairwise(edges):
            await memory.say(wire[begin:end])
            await trio.testing.wait_all_tasks_blocked()
        await memory.client.send_eof()
        replies = read_replies(await read_all(memory.client))
        assert [reply.status for reply in replies] == [200, 200, 405, 200]
        assert memory.handler.bodies == [b"first", b"second", b"third"]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([request(), chunked(b"abc", b"defg"), request(version="1.0")]),
    st.integers(0, 300),
    st.integers(0, 3),
    st.binary(max_size=3),
)
async def test_damaged_requests_are_answered_and_break_nothing(wire: bytes, at: int, cut: int, put: bytes) -> None:
    handler = FakeHandler()
    async with connected(handler=handler) as memory:
        await memory.say(wire[:at] + put + wire[at + cut :])
        await memory.client.send_eof()
        replies = read_replies(await read_all(memory.client))
        await memory.ended.wait()
    assert len([reply for reply in replies if reply.status == 200]) == len(handler.calls)
    assert all(action_id == ACTION_ID for action_id, _, _ in handler.calls)
    assert all(reply.status < 500 or reply.status in (501, 505) for reply in replies)


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=1, max_size=300))
async def test_noise_is_refused(noise: bytes) -> None:
    async with connected() as memory:
        await memory.say(noise)
        await memory.client.send_eof()
        (reply,) = read_replies(await read_all(memory.client))
        assert reply.status in (400, 431)
        await memory.ended.wait()


async def test_http_1_0_is_answered_and_closed() -> None:
    async with listening() as served:
        for headers in ({}, {"Connection": "keep-alive"}, {"Host": None}):
            replies = await served.exchange(request(version="1.0", headers=headers) * 2, eof=False)
            assert [reply.status for reply in replies] == [200]
            assert replies[0].headers["connection"] == "close"
        assert len(served.handler.calls) == 3


@pytest.mark.parametrize("value", ["close", "Close", "keep-alive, close", "x,CLOSE ,y"])
async def test_a_client_that_wants_to_close_is_closed(value: str) -> None:
    async with listening() as served:
        replies = await served.exchange(request(headers={"Connection": value}) * 2, eof=False)
        assert [reply.status for reply in replies] == [200]
        assert replies[0].headers["connection"] == "close"


async def test_keep_alive_until_the_last_request_of_a_connection() -> None:
    async with listening(limits=Limits(max_requests_per_connection=3)) as served:
        with trio.fail_after(10):
            async with await served.connect() as stream:
                for last in (False, False, True):
                    await stream.send_all(request())
                    reply = await read_reply(stream)
                    assert reply.headers.get("connection") == ("close" if last else None)
                assert await read_all(stream) == b""


async def test_expect_100_continue() -> None:
    async with listening() as served:
        expecting = request(headers={"Expect": "100-Continue"})
        head, body = expecting[: -len(BODY)], BODY
        with trio.fail_after(10):
            async with await served.connect() as stream:
                await stream.send_all(head)
                assert await stream.receive_some(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
                await stream.send_all(body)
                assert (await read_reply(stream)).status == 200
                await stream.send_all(chunked(Expect="100-continue")[:-5])
                assert await stream.receive_some(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
                await stream.send_all(b"2\r\n{}\r\n0\r\n\r\n")
                assert (await read_reply(stream)).status == 200
                await stream.send_all(expecting)  # the body is there already: no 100
                assert (await read_reply(stream)).status == 200
        refused = request(b"", headers={"Expect": "100-continue", "Content-Length": "9999999"})
        assert [reply.status for reply in await served.exchange(refused, eof=False)] == [413]
        old = request(version="1.0", headers={"Expect": "100-continue"})
        assert [reply.status for reply in await served.exchange(old)] == [200]
        assert served.handler.bodies == [BODY, b"{}", BODY, BODY]


@pytest.mark.parametrize(
    ("version", "sent_at_once"), [("1.0", 0), ("1.1", 1)], ids=["HTTP/1.0 has none", "the body has begun"]
)
async def test_no_100_continue_where_nobody_waits_for_it(version: str, sent_at_once: int) -> None:
    wire = request(version=version, headers={"Expect": "100-continue", "Connection": "close"})
    cut = len(wire) - len(BODY) + sent_at_once
    async with connected() as memory:
        await memory.say(wire[:cut])
        await trio.testing.wait_all_tasks_blocked()
        await memory.say(wire[cut:])
        assert (await read_reply(memory.client)).status == 200


# --- smuggling and malformed requests -------------------------------------------------------------------------------

SMUGGLED = request(b"smuggled")


@pytest.mark.parametrize(
    ("status", "wire"),
    [
        (400, request(b"0\r\n\r\n", headers={"Transfer-Encoding": "chunked"})),
        (400, request(headers={"Transfer-Encoding": "chunked", "Content-Length": "0"})),
        (400, chunked(b"abc").replace(b"HTTP/1.1", b"HTTP/1.0")),
        (501, request(headers={"Content-Length": None, "Transfer-Encoding": "gzip, chunked"})),
        (501, request(headers={"Content-Length": None, "Transfer-Encoding": "xchunked"})),
        (501, request(headers={"Content-Length": None, "Transfer-Encoding": "chunked, identity"})),
        (501, request(headers={"Content-Length": None, "Transfer-Encoding": "chunked", "transfer-encoding": "x"})),
        (400, request(headers={"Transfer-Encoding\t": "chunked"})),
        (400, request(headers={"Transfer-Encoding ": "chunked", "Content-Length": None})),
        (400, request(headers={"Content-Length": "5", "content-length": "6"})),
        (400, request(headers={"Content-Length": "5, 6"})),
        (400, request(headers={"Content-Length": "+5"})),
        (400, request(headers={"Content-Length": "-1"})),
        (400, request(headers={"Content-Length": "0x5"})),
        (400, request(headers={"Content-Length": "5 5"})),
        (400, request(headers={"Content-Length": ""})),
        (400, request(headers={"Content-Length": "9" * 30})),
        (400, request().replace(b"\r\n", b"\n")),
        (400, request().replace(b"localhost\r\n", b"localhost\n")),
        (400, request().replace(b"localhost\r\n", b"localhost\r")),
        (400, request().replace(b"localhost", b"local\rhost")),
        (400, request().replace(b"localhost\r\n", b"localhost\r\n folded: yes\r\n")),
        (400, request().replace(b"localhost\r\n", b"localhost\r\n\tfolded\r\n")),
        (400, request().replace(b"localhost", b"local\x00host")),
        (400, request().replace(b"localhost", b"local\x01host")),
        (400, request().replace(b"localhost", b"local\x7fhost")),
        (400, request(headers={"Bad Name": "x"})),
        (400, request(headers={"": "x"})),
        (400, request(headers={"Host": None})),
        (400, request(headers={"host": "another"})),
        (400, b"\r\n" + request()),
        (400, b" " + request()),
        (400, request().replace(b" HTTP/1.1", b"")),
        (400, request().replace(b" HTTP/1.1", b"  HTTP/1.1")),
        (400, request().replace(b"HTTP/1.1", b"http/1.1")),
        (400, request(token="\xe9" + TOKEN[1:])),
        (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100)),
        (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (400, chunked(end=b"x\r\nabc\r\n0\r\n\r\n")),
        (400, chunked(end=b"-1\r\n\r\n")),
        (400, chunked(end=b"0x3\r\nabc\r\n0\r\n\r\n")),
        (400, chunked(end=b"3\nabc\r\n0\r\n\r\n")),
        (400, chunked(end=b"3;a\nb\r\nabc\r\n0\r\n\r\n")),
        (400, chunked(end=b"3\r\nabcd\r\n0\r\n\r\n")),
        (400, chunked(end=b"3\r\nabc\n0\r\n\r\n")),
        (400, chunked(b"abc", end=b"0\r\n\n")),
        (400, chunked(b"abc", end=b"0\r\nX-Trailer: 1\r\n\r\n")),
        (400, chunked(b"abc", end=b"0\r\nX-Trailer: 1\n\r\n")),
        (400, chunked(b"abc", end=b"0\r\nno trailer\r\n\r\n")),
        (400, chunked(end=b"9" * 21 + b"\r\n")),
    ],
)
async def test_an_ambiguous_request_ends_the_connection(status: int, wire: bytes) -> None:
    async with listening() as served:
        replies = await served.exchange(wire + SMUGGLED)
        assert [reply.status for reply in replies] == [status]
        assert replies[0].headers["connection"] == "close"
        assert TOKEN.encode() not in replies[0].body
        assert served.handler.calls == []


@pytest.mark.parametrize(
    "wire",
    [
        request(method="GET"),
        request(target="/elsewhere"),
        request(token=BAD_TOKEN),
        request(b"", token=BAD_TOKEN),
        request(headers={"Content-Type": "text/plain"}),
        request(headers={"Expect": "more"}),
    ],
)
async def test_a_refused_requests_body_is_not_the_next_request(wire: bytes) -> None:
    async with listening() as served:
        replies = await served.exchange(wire + SMUGGLED, eof=False)
        assert len(replies) == 1
        assert replies[0].headers["connection"] == "close"
        assert served.handler.calls == []


@pytest.mark.parametrize(
    "part", ["a\n", "a\rb", "a\r\n b", "a\r\n\tb", "a\x00", "a\x1b", "a" * 20_000, "a\r\nb:" * 200]
)
async def test_what_can_no_longer_become_a_request_is_refused_before_its_end(part: str) -> None:
    async with listening() as served:
        (reply,) = await served.exchange(f"POST /callback/{TOKEN} HTTP/1.1\r\nHost: {part}".encode(), eof=False)
        assert reply.status == (431 if len(part) > 100 else 400)


async def test_equal_content_lengths_are_one() -> None:
    async with listening() as served:
        replies = await served.exchange(request(b"hello", headers={"content-length": "5"}) + request())
        assert [reply.status for reply in replies] == [200, 200]
        assert served.handler.bodies == [b"hello", BODY]


async def test_chunk_extensions_are_ignored_and_bounded() -> None:
    limits = Limits(max_body_bytes=100, max_header_bytes=300)
    async with listening(limits=limits) as served:
        replies = await served.exchange(chunked(end=b"3;name=value\r\nabc\r\n0;last\r\n\r\n") + request())
        assert [reply.status for reply in replies] == [200, 200]
        assert served.handler.bodies == [b"abc", BODY]
        (reply,) = await served.exchange(chunked(end=b"1;" + b"x" * 20_000))
        assert reply.status == 431
        # 20 bytes of body, but 20 kB of framing around it
        with trio.fail_after(10):
            async with await served.connect() as stream:
                await stream.send_all(chunked(end=b""))
                for _ in range(20):
                    await stream.send_all(b"1;" + b"x" * 200 + b"\r\na\r\n")
                    await trio.lowlevel.checkpoint()
                assert (await read_reply(stream)).status == 413
        assert len(served.handler.calls) == 2
