"""Exchanges without httpx's types: every limit, and what is left of the connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import trio
from connectord.adapters import ExchangeLimits, WholeExchanges, WholeRequest
from connectord.http_out import ExchangeWatch, PooledTransport
from helpers.raw_server import answering, read_head, serve_raw
from helpers.transports import make_ours
from msgspec.structs import replace

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nok"
LIMITS = ExchangeLimits(connect_seconds=5, read_seconds=5, head_seconds=15, body_seconds=5, body_bytes=100)
SHORT = 0.05


def request_of(url: str) -> WholeRequest:
    target = httpx.URL(url)
    return WholeRequest("POST", target, [(b"Host", target.netloc), (b"Content-Length", b"0")], b"")


@pytest.fixture(params=[True, False], ids=["watched", "scoped"])
async def watch(request: pytest.FixtureRequest, nursery: trio.Nursery) -> ExchangeWatch:
    """Runs, or does not, so that each exchange has a scope of its own."""
    made = ExchangeWatch()
    if request.param:
        nursery.start_soon(made.run)
        await trio.testing.wait_all_tasks_blocked()
    return made


@asynccontextmanager
async def transport_of(watch: ExchangeWatch) -> AsyncIterator[PooledTransport]:
    transport = make_ours(watch=watch)
    assert isinstance(transport, PooledTransport)
    assert isinstance(transport, WholeExchanges)
    async with transport:
        yield transport


async def test_an_exchange_gives_the_whole_answer_and_keeps_the_connection(watch: ExchangeWatch) -> None:
    seen: list[bytes] = []

    async def serve(stream: trio.abc.Stream) -> None:
        while True:
            seen.append(await read_head(stream))
            await stream.send_all(OK)

    async with serve_raw(serve) as url, transport_of(watch) as transport:
        for _ in range(2):
            answer = await transport.exchange(request_of(url), LIMITS)
            assert (answer.status, answer.body, answer.broken) == (200, b"ok", None)
            assert (b"X-A", b"b") in answer.headers
            assert (transport.statistics().busy, transport.statistics().idle) == (0, 1)


@pytest.mark.parametrize(
    ("beginning", "limits", "message"),
    [
        (b"", replace(LIMITS, read_seconds=SHORT), "nothing received"),
        (b"HTTP/1.1 200 O", replace(LIMITS, read_seconds=SHORT), "nothing received"),
        (b"HTTP/1.1 200 O", replace(LIMITS, head_seconds=SHORT), "the head of the answer did not end"),
    ],
)
async def test_a_head_that_does_not_come(
    beginning: bytes, limits: ExchangeLimits, message: str, watch: ExchangeWatch
) -> None:
    async with serve_raw(answering(beginning)) as url, transport_of(watch) as transport:
        with pytest.raises(httpx.ReadTimeout, match=message):
            await transport.exchange(request_of(url), limits)
        assert (transport.statistics().busy, transport.statistics().idle) == (0, 0)


async def test_a_body_that_does_not_end_is_told_beside_the_status(watch: ExchangeWatch) -> None:
    async with serve_raw(answering(OK[:-1])) as url, transport_of(watch) as transport:
        answer = await transport.exchange(request_of(url), replace(LIMITS, body_seconds=SHORT))
        assert (answer.status, answer.body) == (200, None)
        assert isinstance(answer.broken, httpx.ReadTimeout)
        assert (transport.statistics().busy, transport.statistics().idle) == (0, 0)


@pytest.mark.parametrize("sent", [OK, OK[:-1]])
async def test_a_body_longer_than_wanted_is_not_read(sent: bytes, watch: ExchangeWatch) -> None:
    async with serve_raw(answering(sent)) as url, transport_of(watch) as transport:
        answer = await transport.exchange(request_of(url), replace(LIMITS, body_bytes=0))
        assert (answer.status, answer.body, answer.broken) == (200, None, None)


async def test_a_body_that_breaks_off_is_told_beside_the_status(watch: ExchangeWatch) -> None:
    async def serve(stream: trio.abc.Stream) -> None:
        await read_head(stream)
        await stream.send_all(OK[:-1])
        await stream.aclose()

    async with serve_raw(serve) as url, transport_of(watch) as transport:
        answer = await transport.exchange(request_of(url), LIMITS)
        assert (answer.status, answer.body) == (200, None)
        assert isinstance(answer.broken, httpx.RemoteProtocolError)


async def test_a_cancelled_exchange_leaves_no_connection(watch: ExchangeWatch) -> None:
    async with serve_raw(answering(b"")) as url, transport_of(watch) as transport:
        with trio.move_on_after(SHORT) as scope:
            await transport.exchange(request_of(url), LIMITS)
        assert scope.cancelled_caught
        assert (transport.statistics().busy, transport.statistics().idle) == (0, 0)


async def test_a_closed_transport_is_not_used(watch: ExchangeWatch) -> None:
    async with transport_of(watch) as transport:
        await transport.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await transport.exchange(request_of("http://127.0.0.1:1/"), LIMITS)
