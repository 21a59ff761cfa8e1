"""Requests that take a while to send, and servers that do not wait for their end."""

from __future__ import annotations

import httpx
import pytest
import trio
from helpers.http_server import server_context
from helpers.raw_server import read_head, read_until, serve_raw
from helpers.transports import MakeClient, make_ours

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TOO_LARGE = b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nmuch"
BIG = bytes(20_000_000)


class Endless(httpx.AsyncByteStream):
    """A body that never ends, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __aiter__(self) -> Endless:
        return self

    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        self.asked += 1
        return bytes(10_000)


async def test_a_refusal_before_the_end_of_a_body_and_a_close(make_client: MakeClient) -> None:
    async def refuse(stream: trio.abc.Stream) -> None:
        received = 0
        while received < len(BIG) - 3_000_000:
            received += len(await stream.receive_some(65536))
        await stream.send_all(TOO_LARGE)
        # reading on without looking, as servers do so that the answer is not lost to a reset
        while await stream.receive_some(65536):
            pass

    async with serve_raw(refuse) as url, make_client() as client:
        response = await client.post(url, content=BIG)
    assert (response.status_code, response.text) == (413, "much")


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("answer", [TOO_LARGE, TOO_LARGE[:-1], OK])
async def test_a_refusal_or_a_whole_answer_ends_the_sending(answer: bytes, streamed: bool, tls: bool) -> None:
    """Stock httpx goes on sending until its write timeout, and the answer is lost."""
    connections = 0

    async def refuse(stream: trio.abc.Stream) -> None:
        nonlocal connections
        connections += 1
        await stream.receive_some(1000)
        await stream.send_all(answer)
        await trio.sleep(0.02)
        await stream.send_all(TOO_LARGE[len(answer) :] if answer != OK else b"")
        await trio.sleep_forever()

    body = Endless()
    async with serve_raw(refuse, tls=server_context() if tls else None) as url, a_client(timeout=5) as client:
        for number in (1, 2):
            response = await client.post(url, content=body if streamed else BIG)
            assert (response.status_code, response.text) == ((200, "ok") if answer == OK else (413, "much"))
            # half a request is left on the connection, so that the next one has its own
            assert connections == number
    assert body.asked < 5000


async def test_an_interim_response_does_not_end_the_sending(make_client: MakeClient) -> None:
    async def encourage(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")
        received = 0
        while received < len(BIG):
            received += len(await stream.receive_some(65536))
        await stream.send_all(OK)

    async with serve_raw(encourage) as url, make_client() as client:
        assert (await client.post(url, content=BIG)).text == "ok"


async def test_a_success_that_begins_early_does_not_end_the_sending(make_client: MakeClient) -> None:
    received = 0

    async def count(stream: trio.abc.Stream) -> None:
        nonlocal received
        await stream.send_all(OK[:-1])
        while received < len(BIG):
            received += len(await stream.receive_some(65536))
        await stream.send_all(OK[-1:])

    async with serve_raw(count) as url, make_client() as client:
        assert (await client.post(url, content=BIG)).text == "ok"
    assert received > len(BIG)


async def test_the_connection_breaks_while_a_body_is_sent(make_client: MakeClient) -> None:
    async def hang_up(stream: trio.abc.Stream) -> None:
        await stream.receive_some(1000)

    async with serve_raw(hang_up) as url, make_client() as client:
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await client.post(url, content=BIG)


async def test_nonsense_while_a_body_is_sent() -> None:
    """Stock httpx sees it when everything is sent, if it comes to that."""

    async def babble(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"220 mail.internal ESMTP\r\n")
        await trio.sleep_forever()

    async with serve_raw(babble) as url, a_client(timeout=5) as client:
        with pytest.raises(httpx.RemoteProtocolError, match="HTTP/"):
            await client.post(url, content=BIG)


async def test_expectations_are_sent_as_they_are_and_not_waited_for(make_client: MakeClient) -> None:
    heads: list[bytes] = []

    async def never_continue(stream: trio.abc.Stream) -> None:
        heads.append(await read_until(stream, b"work"))
        await stream.send_all(OK)

    async with serve_raw(never_continue) as url, make_client() as client:
        assert (await client.post(url, content=b"work", headers={"Expect": "100-continue"})).text == "ok"
    assert b"Expect: 100-continue\r\n" in heads[0]


async def test_the_head_does_not_wait_for_a_slow_body(make_client: MakeClient) -> None:
    seen = trio.Event()

    class Waiting(Endless):
        async def __anext__(self) -> bytes:
            await seen.wait()
            raise StopAsyncIteration

    async def script(stream: trio.abc.Stream) -> None:
        await read_head(stream)
        seen.set()
        await read_until(stream, b"0\r\n\r\n")
        await stream.send_all(OK)

    async with serve_raw(script) as url, make_client() as client:
        assert (await client.post(url, content=Waiting())).text == "ok"


async def test_a_body_that_fails_fails_the_request(make_client: MakeClient) -> None:
    class Broken(Endless):
        async def __anext__(self) -> bytes:
            raise LookupError("no such file")

    transport = make_ours()
    async with serve_raw(read_head) as url, make_client() as client:
        for each in (client, httpx.AsyncClient(transport=transport, trust_env=False)):
            with pytest.raises(LookupError):
                await each.post(url, content=Broken())
    assert transport.statistics().busy == 0


async def test_a_generator_that_is_cut_off_is_closed() -> None:
    closed = trio.Event()

    async def generate() -> object:
        try:
            while True:
                yield bytes(100_000)
        finally:
            closed.set()

    async def refuse(stream: trio.abc.Stream) -> None:
        await stream.send_all(TOO_LARGE)
        await trio.sleep_forever()

    class Generated(httpx.AsyncByteStream):
        def __aiter__(self) -> object:
            return generate()

    async with serve_raw(refuse) as url, make_ours() as transport:
        # not by way of a client, which wraps a generator into another one
        headers = {"Host": "h", "Transfer-Encoding": "chunked"}
        response = await transport.handle_async_request(httpx.Request("POST", url, headers=headers, stream=Generated()))
        assert response.status_code == 413
        await response.aclose()
    assert closed.is_set()


async def test_a_synchronous_body_is_not_for_us() -> None:
    async with make_ours() as transport, serve_raw(read_head) as url:
        request = httpx.Request("POST", url, stream=httpx.SyncByteStream())
        request.headers["Host"] = "h"
        with pytest.raises(TypeError, match="asynchronous"):
            await transport.handle_async_request(request)
        assert transport.statistics().busy == 0


def a_client(**options: object) -> httpx.AsyncClient:
    transport = make_ours(httpx.create_ssl_context(verify=False))
    return httpx.AsyncClient(transport=transport, trust_env=False, **options)
