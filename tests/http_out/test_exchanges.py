"""What goes over the wire and what comes back, on httpx's own transport and on ours alike."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import AsyncIterator

import h11
import httpx
import pytest
import trio
from helpers.http_server import Request, Response, serve
from helpers.raw_server import answering, read_until, serve_raw
from helpers.transports import MakeClient, MakeTransport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Chunks(httpx.AsyncByteStream):
    """A request's body that comes piece by piece."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop(0)


async def echo(request: Request) -> Response:
    document = {"method": request.method, "target": request.target, "body": request.body.decode("latin-1")}
    return Response.of_json({**document, "headers": dict(request.headers), "connection": request.connection})


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
@pytest.mark.parametrize("body", [b"", b"x", b"\x00\xff" * 1000])
async def test_methods_and_bodies(make_client: MakeClient, method: str, body: bytes) -> None:
    async with serve(echo) as url, make_client() as client:
        answer = (await client.request(method, f"{url}/a%20b/c?d=e&f", content=body)).json()
    assert (answer["method"], answer["target"], answer["body"].encode("latin-1")) == (method, "/a%20b/c?d=e&f", body)


async def test_the_bytes_of_a_request(make_client: MakeClient) -> None:
    received: list[bytes] = []

    async def record(stream: trio.abc.Stream) -> None:
        received.append(await read_until(stream, b"work"))
        await stream.send_all(OK)

    headers = [("Zebra", "1"), ("aPPle", "2"), ("Zebra", "3"), ("X-Raw", b"gr\xfc\xdfe"), ("Empty", "")]
    async with serve_raw(record) as url, make_client(headers={"User-Agent": "t", "Accept-Encoding": "gzip"}) as client:
        await client.post(url, content=b"work", headers=headers)
        host = httpx.URL(url).netloc
    assert received == [
        b"POST / HTTP/1.1\r\nHost: " + host + b"\r\nAccept: */*\r\nConnection: keep-alive\r\nUser-Agent: t\r\n"
        b"Accept-Encoding: gzip\r\nZebra: 1\r\naPPle: 2\r\nZebra: 3\r\nX-Raw: gr\xfc\xdfe\r\n"
        b"Empty: \r\nContent-Length: 4\r\n\r\nwork"
    ]


async def test_headers_of_a_response_keep_case_order_duplicates_and_raw_bytes(make_client: MakeClient) -> None:
    head = b"HTTP/1.1 200 Sp\xe4t, but OK\r\nX-B: 1\r\nx-a:2\r\nX-B:   3 4 \t \r\nSet-Cookie: a=\xfc\r\n"
    async with serve_raw(answering(head + b"Content-Length: 0\r\nEmpty:\r\n\r\n")) as url, make_client() as client:
        response = await client.get(url)
    assert response.headers.raw == [
        (b"X-B", b"1"), (b"x-a", b"2"), (b"X-B", b"3 4"), (b"Set-Cookie", b"a=\xfc"), (b"Content-Length", b"0"),
        (b"Empty", b""),
    ]  # fmt: skip
    assert response.extensions["reason_phrase"] == b"Sp\xe4t, but OK"
    assert response.http_version == "HTTP/1.1"


async def test_a_streamed_body_goes_out_in_chunks(make_client: MakeClient) -> None:
    received: list[bytes] = []

    async def record(stream: trio.abc.Stream) -> None:
        received.append(await read_until(stream, b"\r\n0\r\n\r\n"))
        await stream.send_all(OK)

    async with serve_raw(record) as url, make_client() as client:
        await client.post(url, content=Chunks(b"one", b"", b"three" * 4))
    assert received[0].partition(b"\r\n\r\n")[2] == b"3\r\none\r\n14\r\n" + b"three" * 4 + b"\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("pieces", "length"), [((b"12", b"345"), 5), ((), 0), ((b"12", b"345"), 6), ((b"12", b"345"), 4), ((b"1",), None)]
)
async def test_a_streamed_body_has_to_be_as_long_as_announced(
    make_transport: MakeTransport, pieces: tuple[bytes, ...], length: int | None
) -> None:
    async with serve(echo) as url, make_transport() as transport:
        headers = {"Host": "h"} | ({} if length is None else {"Content-Length": str(length)})
        request = httpx.Request("POST", url, headers=headers, stream=Chunks(*pieces))
        if sum(map(len, pieces)) == length:
            response = await transport.handle_async_request(request)
            assert json.loads(await response.aread())["body"].encode() == b"".join(pieces)
        else:
            # httpx forgets to translate what h11 says here
            with pytest.raises((httpx.LocalProtocolError, h11.LocalProtocolError)):
                await transport.handle_async_request(request)


@pytest.mark.parametrize("chunk_lines", [b"5\r\nhello\r\n6\r\n world\r\n", b"00B;a=b;c\r\nhello world\r\n"])
@pytest.mark.parametrize("trailers", [b"", b"X-Sum: 1\r\nExpires: never\r\n"])
async def test_a_chunked_response(make_client: MakeClient, chunk_lines: bytes, trailers: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n" + chunk_lines + b"0\r\n" + trailers + b"\r\n"
    async with serve_raw(answering(answer, OK)) as url, make_client() as client:
        response = await client.get(url)
        assert response.text == "hello world"
        assert "x-sum" not in response.headers
        # on the same connection
        assert (await client.get(url)).text == "ok"


async def test_a_compressed_response_is_unpacked_by_the_client(make_client: MakeClient) -> None:
    packed = gzip.compress(b"plain" * 1000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    async with serve_raw(answering(head + packed, head + packed)) as url, make_client() as client:
        assert (await client.get(url)).content == b"plain" * 1000
        async with client.stream("GET", url) as response:
            raw = b"".join([chunk async for chunk in response.aiter_raw()])
    assert zlib.decompress(raw, zlib.MAX_WBITS | 16) == b"plain" * 1000


async def test_redirects_and_cookies_are_the_clients_work(make_client: MakeClient) -> None:
    async def login(request: Request) -> Response:
        if request.target == "/":
            return Response(302, headers={"Location": "/home", "Set-Cookie": "session=1; Path=/"})
        return Response(body=request.headers.get("cookie", "").encode())

    async with serve(login) as url, make_client() as client:
        assert (await client.get(url)).status_code == 302
        client.cookies.clear()
        assert (await client.get(url, follow_redirects=True)).text == "session=1"


@pytest.mark.parametrize("tls", [False, True])
async def test_keep_alive(make_client: MakeClient, tls: bool) -> None:
    async with serve(echo, tls=tls) as url, make_client(httpx.create_ssl_context(verify=False)) as client:
        assert [(await client.post(url, content="x")).json()["connection"] for _ in range(3)] == [1, 1, 1]
        headers = {"Connection": "close"}
        assert [(await client.get(url, headers=headers)).json()["connection"] for _ in range(2)] == [1, 2]


@pytest.mark.parametrize(
    ("head", "reused"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: X-Foo, CLOSE\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
    ],
)
async def test_what_a_response_says_about_the_connection(make_client: MakeClient, head: bytes, reused: bool) -> None:
    answered: list[int] = []

    async def script(stream: trio.abc.Stream) -> None:
        answered.append(0)
        while await read_until(stream, b"\r\n\r\n"):
            answered[-1] += 1
            await stream.send_all(head + b"Content-Length: 2\r\n\r\nok")

    async with serve_raw(script) as url, make_client() as client:
        for _ in range(2):
            assert (await client.get(url)).text == "ok"
    assert answered == ([2] if reused else [1, 1])


async def test_a_request_that_asks_for_a_close_gets_it_even_if_the_server_forgets(make_client: MakeClient) -> None:
    connections = 0

    async def script(stream: trio.abc.Stream) -> None:
        nonlocal connections
        connections += 1
        while await read_until(stream, b"\r\n\r\n"):
            await stream.send_all(OK)

    async with serve_raw(script) as url, make_client() as client:
        for _ in range(2):
            assert (await client.get(url, headers={"Connection": "Close"})).text == "ok"
    assert connections == 2


async def test_an_old_server_that_asks_for_keep_alive_gets_it_from_ours_alone(
    make_client: MakeClient, is_ours: bool
) -> None:
    """HTTP/1.0 with Connection: keep-alive (RFC 9112, 9.3): h11 closes it, which is allowed and slow."""
    connections = 0

    async def script(stream: trio.abc.Stream) -> None:
        nonlocal connections
        connections += 1
        while await read_until(stream, b"\r\n\r\n"):
            await stream.send_all(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok")

    async with serve_raw(script) as url, make_client() as client:
        for _ in range(2):
            assert (await client.get(url)).text == "ok"
    assert connections == (1 if is_ours else 2)


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 204 No Content\r\n", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n", b"HTTP/1.1 204\r\n"],
)
async def test_statuses_without_a_body(make_client: MakeClient, head: bytes) -> None:
    async with serve_raw(answering(head + b"\r\n", OK)) as url, make_client() as client:
        assert (await client.get(url)).content == b""
        assert (await client.get(url)).text == "ok"


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 500000\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 0\r\n"]
)
async def test_the_response_to_a_head_has_no_body_whatever_it_says(make_client: MakeClient, framing: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n"
    async with serve_raw(answering(head, head, OK)) as url, make_client() as client:
        assert (await client.head(url)).content == b""
        assert (await client.head(url)).content == b""
        assert (await client.get(url)).text == "ok"


async def test_interim_responses_are_passed_over(make_client: MakeClient) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    async with serve_raw(answering(interim + OK, interim + OK)) as url, make_client() as client:
        for _ in range(2):
            response = await client.get(url, headers={"Expect": "100-continue"})
            assert (response.status_code, response.text) == (200, "ok")
            assert response.headers.raw == [(b"Content-Length", b"2")]


async def test_an_interim_response_to_a_head(make_client: MakeClient) -> None:
    answer = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"
    async with serve_raw(answering(answer, OK)) as url, make_client() as client:
        assert (await client.head(url)).headers["Content-Length"] == "7"
        assert (await client.get(url)).text == "ok"


async def test_a_body_that_ends_with_the_connection(make_client: MakeClient) -> None:
    script = answering(b"HTTP/1.1 200 OK\r\n\r\nto the end", then_close=True)
    async with serve_raw(script) as url, make_client() as client:
        for _ in range(2):
            assert (await client.get(url)).text == "to the end"


async def test_big_bodies_both_ways(make_client: MakeClient) -> None:
    body = bytes(range(256)) * 20_000

    async def mirror(request: Request) -> Response:
        return Response(body=request.body)

    for tls in (False, True):
        async with serve(mirror, tls=tls) as url, make_client(httpx.create_ssl_context(verify=False)) as client:
            assert (await client.post(url, content=body)).content == body
            pieces = [body[at : at + 100_000] for at in range(0, len(body), 100_000)]
            assert (await client.post(url, content=Chunks(*pieces))).content == body


async def test_a_slow_body_is_read_as_it_comes(make_client: MakeClient) -> None:
    go_on = trio.Event()

    async def script(stream: trio.abc.Stream) -> None:
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none")
        await go_on.wait()
        await stream.send_all(b"two")

    async with serve_raw(script) as url, make_client() as client, client.stream("GET", url) as response:
        chunks = response.aiter_raw()
        assert await anext(chunks) == b"one"
        go_on.set()
        assert await anext(chunks) == b"two"
        with pytest.raises(StopAsyncIteration):
            await anext(chunks)


async def test_what_the_response_tells_about_its_connection(make_client: MakeClient) -> None:
    context = httpx.create_ssl_context(verify=False)
    async with (
        serve(echo, tls=True) as url,
        make_client(context) as client,
        client.stream("GET", url) as response,
    ):
        stream = response.extensions["network_stream"]
        assert stream.get_extra_info("server_addr") == ("127.0.0.1", httpx.URL(url).port)
        assert stream.get_extra_info("client_addr")[0] == "127.0.0.1"
        assert stream.get_extra_info("ssl_object").version() == "TLSv1.3"
        assert stream.get_extra_info("unheard of") is None
        await response.aread()


async def test_the_target_can_be_given_as_it_is_to_stand_there(make_client: MakeClient) -> None:
    async with serve(echo) as url, make_client() as client:
        response = await client.options(url, extensions={"target": b"*"})
        assert response.json()["target"] == "*"


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", [(b"X", b"a\r\nInjected: b")]),
        ("GET", [(b"X", b"a\nb")]),
        ("GET", [(b"X", b"a\0")]),
        ("GET", [(b"X", b" led")]),
        ("GET", [(b"X: Y", b"a")]),
        ("GET", [(b"X\r\nY", b"a")]),
        ("GET", [(b"", b"a")]),
        ("GET", [(b"Content-Length", b"1, 2")]),
        ("GET", [(b"Content-Length", b"-1")]),
        ("GET", [(b"Transfer-Encoding", b"gzip")]),
        ("GET", [(b"Host", b"one"), (b"Host", b"two")]),
        ("GET /evil HTTP/1.1\r\nX:", []),
        ("GE T", []),
    ],
)
async def test_a_request_that_cannot_be_said_is_not_sent(
    make_transport: MakeTransport, method: str, headers: list[tuple[bytes, bytes]]
) -> None:
    requests: list[Request] = []

    async def record(request: Request) -> Response:
        requests.append(request)
        return Response()

    async with serve(record) as url, make_transport() as transport:
        request = httpx.Request(method, url, headers=headers or None)
        if not any(name == b"Host" for name, _ in headers):
            request.headers["Host"] = "there"
        with pytest.raises(httpx.LocalProtocolError) as caught:
            await transport.handle_async_request(request)
    assert requests == []
    assert "Injected" not in str(caught.value) or isinstance(transport, httpx.AsyncHTTPTransport)


async def test_a_request_with_two_lengths_is_refused_by_ours_alone(
    make_transport: MakeTransport, is_ours: bool
) -> None:
    """h11 sends both and means the chunks: a request that two servers in a row may read in two ways."""
    async with serve(echo) as url, make_transport() as transport:
        headers = {"Host": "h", "Content-Length": "4", "Transfer-Encoding": "chunked"}
        request = httpx.Request("POST", url, headers=headers, content=b"work")
        if is_ours:
            with pytest.raises(httpx.LocalProtocolError, match="more than one"):
                await transport.handle_async_request(request)
        else:
            await (await transport.handle_async_request(request)).aread()


async def test_a_url_of_another_kind(make_transport: MakeTransport) -> None:
    async with make_transport() as transport:
        for url in ("ftp://there/", "/no/host"):
            with pytest.raises(httpx.UnsupportedProtocol):
                await transport.handle_async_request(httpx.Request("GET", url, headers={"Host": "h"}))


async def test_a_tunnel_is_not_for_us(make_client: MakeClient, is_ours: bool) -> None:
    """CONNECT is for proxies, and those are reached through stock httpx."""
    if is_ours:
        async with make_client() as client:
            with pytest.raises(httpx.LocalProtocolError, match="CONNECT"):
                await client.request("CONNECT", "http://127.0.0.1:9/")


async def test_a_trace_sees_the_same_steps(make_client: MakeClient, is_ours: bool) -> None:
    """Ours sends head and body in one, so that its event for both has a name of its own."""
    seen: list[str] = []

    async def trace(event: str, info: dict[str, object]) -> None:
        seen.append(event)

    async with serve(echo, tls=True) as url, make_client(httpx.create_ssl_context(verify=False)) as client:
        await client.post(url, content="x", extensions={"trace": trace})
    steps = ["connection.connect_tcp", "connection.start_tls", "http11.receive_response_headers"]
    for step in [*steps, "http11.send_request" if is_ours else "http11.send_request_headers"]:
        assert seen.index(f"{step}.started") < seen.index(f"{step}.complete")


async def test_a_trace_sees_what_failed(make_client: MakeClient) -> None:
    seen: dict[str, object] = {}

    async def trace(event: str, info: dict[str, object]) -> None:
        seen[event] = info.get("exception")

    async with serve_raw(answering(b"nonsense\r\n\r\n")) as url, make_client() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(url, extensions={"trace": trace})
    assert isinstance(seen["http11.receive_response_headers.failed"], Exception)
