"""A response's body, read in every way that httpx has, on httpx's own transport and on ours alike."""

from __future__ import annotations

import gzip
import pickle
from contextlib import suppress

import httpx
import pytest
import trio
from helpers.http_server import Request, Response, serve
from helpers.raw_server import Script, answering, read_until, serve_raw
from helpers.transports import MakeClient, MakeTransport

PACKED = gzip.compress(b"ok")
ANSWERS = {
    "of a known length": b"Content-Length: 2\r\n\r\nok",
    "in chunks": b"Transfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
    "until the connection ends": b"\r\nok",
    "packed": b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(PACKED), PACKED),
    "called packed, and plain": b"Content-Encoding: identity\r\nContent-Length: 2\r\n\r\nok",
}


@pytest.fixture(params=ANSWERS.keys())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(name: str) -> Script:
    answer = b"HTTP/1.1 200 OK\r\n" + ANSWERS[name]
    return answering(answer, then_close=True) if "ends" in name else answering(answer, answer)


async def test_what_reading_leaves_behind(make_client: MakeClient, server: Script, name: str) -> None:
    async with serve_raw(server) as url, make_client() as client:
        response = await client.get(url)
        assert response.content == await response.aread() == b"ok"
        assert (response.is_closed, response.is_stream_consumed) == (True, True)
        assert response.num_bytes_downloaded == (len(PACKED) if name == "packed" else 2)
        assert response.elapsed.total_seconds() > 0
        assert [chunk async for chunk in response.aiter_bytes()] == [b"ok"]
        with pytest.raises(httpx.StreamConsumed):
            [chunk async for chunk in response.aiter_raw()]


async def test_a_stream_that_is_read_at_once(make_client: MakeClient, server: Script) -> None:
    async with serve_raw(server) as url, make_client() as client, client.stream("GET", url) as response:
        assert (response.is_closed, response.is_stream_consumed, response.num_bytes_downloaded) == (False, False, 0)
        with pytest.raises(RuntimeError, match="elapsed"):
            _ = response.elapsed
        with pytest.raises(httpx.ResponseNotRead):
            _ = response.content
        assert await response.aread() == b"ok"
        assert response.is_closed


async def test_a_stream_that_is_read_raw(make_client: MakeClient, server: Script, name: str) -> None:
    async with serve_raw(server) as url, make_client() as client, client.stream("GET", url) as response:
        raw = b"".join([chunk async for chunk in response.aiter_raw()])
        assert raw == (PACKED if name == "packed" else b"ok")
        with pytest.raises(httpx.StreamConsumed):
            await response.aread()


async def test_what_is_closed_is_not_read_any_more(make_client: MakeClient, server: Script) -> None:
    async with serve_raw(server) as url, make_client() as client:
        async with client.stream("GET", url) as response:
            pass
        assert response.is_closed
        with pytest.raises(httpx.StreamClosed):
            await response.aread()


async def test_a_connection_that_was_given_back_is_another_ones(make_transport: MakeTransport) -> None:
    async def tell_target(request: Request) -> Response:
        return Response(body=request.target.encode())

    async with serve(tell_target) as url, make_transport(None) as transport:
        first = await transport.handle_async_request(httpx.Request("GET", f"{url}/first"))
        assert isinstance(first.stream, httpx.AsyncByteStream)
        await first.stream.aclose()  # not by way of the response, which does not know
        second = await transport.handle_async_request(httpx.Request("GET", f"{url}/second"))
        with suppress(httpx.ReadError):
            assert await first.aread() in (b"", b"/first")
        assert await second.aread() == b"/second"


async def test_a_body_that_comes_after_its_head(make_client: MakeClient) -> None:
    async def serve_slowly(stream: trio.abc.Stream) -> None:
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        await trio.sleep(0.05)
        await stream.send_all(b"cd")

    async with serve_raw(serve_slowly) as url, make_client() as client:
        response = await client.get(url)
        assert (response.content, response.num_bytes_downloaded) == (b"abcd", 4)


async def test_a_response_can_be_kept_in_a_file(make_client: MakeClient, server: Script) -> None:
    async with serve_raw(server) as url, make_client() as client:
        read = pickle.loads(pickle.dumps(await client.get(url)))  # noqa: S301
        async with client.stream("GET", url) as response:
            unread = pickle.loads(pickle.dumps(response))  # noqa: S301
    assert (read.content, read.status_code, read.is_closed) == (b"ok", 200, True)
    with pytest.raises(httpx.StreamClosed):
        await unread.aread()
