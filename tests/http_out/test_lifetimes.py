"""Connections that are kept, lost, interrupted and closed."""

from __future__ import annotations

import gc
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
import trio
from connectord.http_out import TransportStatistics
from connectord.http_out.sockets import Socket
from helpers.cancellation import cancel_after_steps
from helpers.http_server import Request, Response, never_accept, serve, server_context
from helpers.raw_server import answering, read_head, serve_raw
from helpers.transports import make_ours

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NOTHING = TransportStatistics(busy=0, idle=0)
INSECURE = httpx.create_ssl_context(verify=False)


class Slow(httpx.AsyncByteStream):
    """A body in three pieces, with a wait before each."""

    def __init__(self) -> None:
        self._left = 3

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        if self._left == 0:
            raise StopAsyncIteration
        self._left -= 1
        return bytes(400_000)


async def in_pieces(stream: trio.abc.Stream) -> None:
    """Takes every request to its end, and answers with a body in pieces."""
    while await _read_chunked(stream):
        await stream.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            await stream.send_all(b"2\r\nok\r\n")
            await trio.sleep(0.001)
        await stream.send_all(b"0\r\n\r\n")


async def _read_chunked(stream: trio.abc.Stream) -> bool:
    tail = b""
    while not tail.endswith(b"0\r\n\r\n"):
        data = await stream.receive_some(65536)
        if not data:
            return False
        tail = (tail + data)[-5:]
    return True


@pytest.mark.parametrize("tls", [False, True])
async def test_cancelled_at_any_await_of_a_streamed_exchange(tls: bool) -> None:
    seen = 0
    async with serve_raw(in_pieces, tls=server_context() if tls else None) as url:
        for steps in range(1, 400):
            transport = make_ours(INSECURE)
            async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=5) as client:
                with cancel_after_steps(steps) as scope:
                    response = await client.post(url, content=Slow())
                    assert response.text == "okokok"
                assert transport.statistics().busy == 0
                if scope.cancelled_caught:
                    seen += 1
                    assert transport.statistics() == NOTHING
            if not scope.cancelled_caught:
                break
        assert seen > 5
        assert steps < 399
    # a socket that was left open would warn here, and warnings are errors
    gc.collect()


async def test_cancelled_while_connecting() -> None:
    transport = make_ours()
    async with never_accept() as url, transport:
        with trio.move_on_after(0.05) as scope:
            await transport.handle_async_request(httpx.Request("GET", url))
        assert scope.cancelled_caught
        assert transport.statistics() == NOTHING
    gc.collect()


@pytest.mark.parametrize("tls", [False, True])
async def test_closed_while_connecting(tls: bool) -> None:
    async def hang(stream: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    transport = make_ours()
    failed = trio.Event()

    async def get(url: str) -> None:
        with pytest.raises(httpx.ConnectError, match="closed"):
            await transport.handle_async_request(httpx.Request("GET", url))
        failed.set()

    async with never_accept() as full, serve_raw(hang) as silent, trio.open_nursery() as nursery:
        nursery.start_soon(get, silent.replace("http", "https") if tls else full)
        await trio.sleep(0.05)
        assert transport.statistics().busy == 1
        await transport.aclose()
        with trio.fail_after(5):
            await failed.wait()
    assert transport.statistics() == NOTHING
    with pytest.raises(RuntimeError, match="closed"):
        await transport.handle_async_request(httpx.Request("GET", silent))
    gc.collect()


@pytest.mark.parametrize("body", [b"", bytes(20_000_000)])
@pytest.mark.parametrize("answer", [b"", OK[:-1]])
async def test_closed_while_a_request_is_on_its_way(body: bytes, answer: bytes) -> None:
    async def hang(stream: trio.abc.Stream) -> None:
        if answer:
            await read_head(stream) if not body else await stream.receive_some(1)
            await stream.send_all(answer)
        await trio.sleep_forever()

    transport = make_ours()
    failed = trio.Event()

    async def post() -> None:
        async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=20) as client:
            with pytest.raises(httpx.ReadError, match="the transport was closed"):
                await client.post(url, content=body)
        failed.set()

    async with serve_raw(hang) as url, trio.open_nursery() as nursery:
        nursery.start_soon(post)
        await trio.sleep(0.05)
        await transport.aclose()
        with trio.fail_after(5):
            await failed.wait()
    assert transport.statistics() == NOTHING
    gc.collect()


async def test_closed_in_any_order_with_those_who_wait_for_it() -> None:
    """trio shuffles the tasks that may run: in one round of a few the waiting ones come too late to wait."""
    for _ in range(100):
        ours, theirs = socket.socketpair()
        with theirs:
            waited_for = Socket(ours)
            while waited_for.send_nowait(bytes(100_000)):
                pass
            with trio.fail_after(5):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(waited_for.wait_writable_or_readable)
                    await trio.lowlevel.checkpoint()
                    await trio.lowlevel.checkpoint()
                    waited_for.close()


async def test_a_response_that_is_closed_gives_no_more() -> None:
    async with serve_raw(answering(OK, OK)) as url, make_ours() as transport:
        response = await transport.handle_async_request(httpx.Request("GET", url))
        stream = response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        await stream.aclose()
        await stream.aclose()
        with pytest.raises(httpx.ReadError, match="closed"):
            await anext(aiter(stream))


async def test_a_body_whose_reading_failed_gives_the_connection_up() -> None:
    async with serve_raw(answering(OK[:-1])) as url, make_ours() as transport:
        request = httpx.Request("GET", url, extensions={"timeout": {"read": 0.05}})
        response = await transport.handle_async_request(request)
        # not closed by anybody, as when a stream is read without a client
        with pytest.raises(httpx.ReadTimeout):
            await response.aread()
        assert transport.statistics() == NOTHING


async def test_a_request_is_not_sent_again_when_a_kept_connection_breaks() -> None:
    requests = 0

    async def script(stream: trio.abc.Stream) -> None:
        nonlocal requests
        await read_head(stream)
        requests += 1
        await stream.send_all(OK)
        if await read_head(stream):
            requests += 1

    transport = make_ours()
    async with serve_raw(script) as url, httpx.AsyncClient(transport=transport, trust_env=False) as client:
        await client.get(url)
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            await client.get(url)
        assert requests == 2
        assert transport.statistics() == NOTHING


async def test_connections_are_kept_for_as_long_as_they_may_be(autojump_clock: trio.testing.MockClock) -> None:
    transport = make_ours(keepalive_seconds=4)
    client = httpx.AsyncClient(transport=transport, trust_env=False, timeout=60)
    async with serve_raw(answering(OK, OK, OK)) as url, client:
        ports = [await _port(client, url)]
        await trio.sleep(3.9)
        ports.append(await _port(client, url))
        await trio.sleep(4.1)
        ports.append(await _port(client, url))
    assert ports[0] == ports[1] != ports[2]


async def test_session_tickets_do_not_get_in_the_way() -> None:
    """TLS 1.3 servers send them after the handshake, so that they are the first that is received."""
    connections: set[int] = set()

    async def tell(request: Request) -> Response:
        connections.add(request.connection)
        return Response()

    async with serve(tell, tls=True) as url, make_ours(INSECURE) as transport:
        for _ in range(3):
            response = await transport.handle_async_request(httpx.Request("HEAD", url))
            await response.aclose()
    assert connections == {1}


async def _port(client: httpx.AsyncClient, url: str) -> int:
    async with client.stream("GET", url) as response:
        port: int = response.extensions["network_stream"].get_extra_info("client_addr")[1]
        await response.aread()
        return port
