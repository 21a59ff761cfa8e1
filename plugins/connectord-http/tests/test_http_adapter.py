"""The adapter against real servers on loopback."""

from __future__ import annotations

import gc
import gzip
import socket
import ssl
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest
import trio
from connectord import __version__
from connectord.adapters import (
    Adapter,
    AdapterContext,
    CallbackRequest,
    NotConnected,
    Rejected,
    Succeeded,
    Taken,
)
from connectord.errors import InvalidCallback
from connectord_http.adapter import HttpAdapter
from connectord_http.settings import HttpSettings
from helpers.calls import make_call
from helpers.cancellation import cancel_after_steps
from helpers.http_adapter import adapter_for, always
from helpers.http_server import Request, Response, never_accept, refuse, serve


async def failure_of(adapter: Adapter) -> str:
    with trio.fail_after(5), pytest.raises(NotConnected) as caught:
        await adapter.trigger(make_call())
    return str(caught.value)


async def test_what_goes_over_the_wire() -> None:
    requests: list[Request] = []

    async def keep(request: Request) -> Response:
        requests.append(request)
        return Response(status=202)

    async with serve(keep) as url, adapter_for(f"{url}/api/jobs?v=1", headers={"X-Token": "hunter2"}) as adapter:
        assert await adapter.trigger(make_call()) == Taken()
    [request] = requests
    assert (request.method, request.target) == ("POST", "/api/jobs?v=1")
    assert request.headers["idempotency-key"] == "A-1"
    assert request.headers["user-agent"] == f"connectord/{__version__}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["content-length"] == str(len(request.body))
    assert request.headers["x-token"] == "hunter2"
    assert request.json()["action"]["id"] == "A-1"
    assert request.json()["callback_url"] == "https://connectord.example/callback/token"


async def test_headers_that_may_be_replaced() -> None:
    async def tell(request: Request) -> Response:
        return Response.of_json({"id": f"{request.headers['user-agent']} {request.headers['content-type']}"})

    headers = {"user-agent": "billing-client", "CONTENT-TYPE": "application/vnd.billing+json"}
    async with serve(tell) as url, adapter_for(url, headers=headers) as adapter:
        assert await adapter.trigger(make_call()) == Taken("billing-client application/vnd.billing+json")


async def test_no_cookie_comes_back() -> None:
    async def tell(request: Request) -> Response:
        seen = request.headers.get("cookie", "none")
        return Response.of_json({"id": seen})

    async def set_cookie(request: Request) -> Response:
        answer = await tell(request)
        return Response(body=answer.body, headers={"Set-Cookie": "session=1; Path=/"})

    async with serve(set_cookie) as url, adapter_for(url) as adapter:
        assert [await adapter.trigger(make_call()) for _ in range(2)] == [Taken("none"), Taken("none")]


async def test_the_response_may_come_at_once() -> None:
    answer = Response.of_json({"status": "success", "data": {"invoice_no": "R-17"}})
    async with serve(always(answer)) as url, adapter_for(url) as adapter:
        assert await adapter.trigger(make_call()) == Succeeded({"invoice_no": "R-17"})


async def test_the_enate_dialect_out_and_back() -> None:
    async def play(request: Request) -> Response:
        action = request.json()["Action"]
        return Response.of_json({"Success": False, "RobotRejectedReason": f"no {action['GUID']} {action['amount']}"})

    async with serve(play) as url, adapter_for(url, dialect="enate") as adapter:
        assert await adapter.trigger(make_call()) == Rejected("no A-1 12")
        body = b'{"Success": true, "DataFields": {"a": 1}}'
        assert adapter.read_callback(CallbackRequest("A-1", {}, body)) == Succeeded({"a": 1})
        with pytest.raises(InvalidCallback, match="Success"):
            adapter.read_callback(CallbackRequest("A-1", {}, b'{"status": "success"}'))


async def test_the_connectord_dialect_reads_callbacks() -> None:
    async with adapter_for("http://billing.internal") as adapter:
        assert adapter.read_callback(CallbackRequest("A-1", {}, b'{"status": "success"}')) == Succeeded({})


async def test_a_refusal_tells_its_reason() -> None:
    answer = Response.of_json({"detail": "Vendor unknown"}, status=422, content_type="application/problem+json")
    async with serve(always(answer)) as url, adapter_for(url) as adapter:
        assert await adapter.trigger(make_call()) == Rejected("Vendor unknown")


async def test_a_redirect_is_not_followed() -> None:
    answer = Response(status=307, headers={"Location": "http://169.254.169.254/"})
    async with serve(always(answer)) as url, adapter_for(url) as adapter:
        outcome = await adapter.trigger(make_call())
    assert outcome == Rejected("HTTP 307 Temporary Redirect to http://169.254.169.254/: redirects are not followed")


@pytest.mark.parametrize("wish", ["120", "Sun, 06 Nov 1994 08:51:37 GMT"])
async def test_not_now_with_a_wish(wish: str) -> None:
    answer = Response(status=503, headers={"Retry-After": wish})
    async with serve(always(answer)) as url, adapter_for(url) as adapter:
        with pytest.raises(NotConnected) as caught:
            await adapter.trigger(make_call())
    assert str(caught.value) == "HTTP 503 Service Unavailable"
    assert caught.value.retry_after_seconds == 120.0


async def test_connection_refused() -> None:
    async with refuse() as url, adapter_for(url) as adapter:
        assert await failure_of(adapter) == "connection refused"


async def test_connect_timeout() -> None:
    async with never_accept() as url, adapter_for(url, connect_timeout="100ms") as adapter:
        assert await failure_of(adapter) == "connect timeout after 0.1 s"


async def test_read_timeout() -> None:
    async with (
        serve(always(Response(ending="hang"))) as url,
        adapter_for(url, read_timeout="100ms") as adapter,
    ):
        assert await failure_of(adapter) == "read timeout after 0.1 s"


async def test_a_name_that_is_not_known() -> None:
    resolve_with(socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    async with adapter_for("http://billing.internal/api") as adapter:
        assert await failure_of(adapter) == "name not known: billing.internal"


async def test_a_name_server_that_does_not_answer() -> None:
    resolve_with(socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"))
    async with adapter_for("http://billing.internal/api") as adapter:
        message = await failure_of(adapter)
    assert message == "name lookup failed: billing.internal (Temporary failure in name resolution)"


async def test_an_untrusted_certificate() -> None:
    async with serve(always(Response()), tls=True) as url:
        async with adapter_for(url) as adapter:
            assert await failure_of(adapter) == "TLS: certificate verify failed: self-signed certificate"
        async with adapter_for(url, verify_tls=False) as adapter:
            assert await adapter.trigger(make_call()) == Taken()


async def test_tls_where_there_is_none() -> None:
    async with serve(always(Response())) as url, adapter_for(url.replace("http", "https")) as adapter:
        message = await failure_of(adapter)
    assert message.startswith(("TLS: ", "connection "))
    assert "Error" not in message


@pytest.mark.parametrize(
    ("ending", "message"),
    [
        ("drop", "connection closed without an answer"),
        ("reset", "connection lost: connection reset by peer"),
        ("cut", "broken HTTP answer: peer closed connection without sending complete message body"),
    ],
)
async def test_a_connection_that_breaks(ending: Any, message: str) -> None:
    async with serve(always(Response(body=b"half of it", ending=ending))) as url, adapter_for(url) as adapter:
        assert (await failure_of(adapter)).startswith(message)


async def test_what_is_no_http() -> None:
    async def speak_ssh(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")

    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(partial(trio.serve_tcp, speak_ssh, 0, host="127.0.0.1"))
        async with adapter_for(f"http://127.0.0.1:{listener.socket.getsockname()[1]}") as adapter:
            assert (await failure_of(adapter)).startswith("broken HTTP answer: ")
        nursery.cancel_scope.cancel()


async def test_a_cut_off_body_changes_nothing_about_a_refusal_or_a_not_now() -> None:
    refusal = Response(status=400, body=b"Vendor unknown", ending="cut")
    async with serve(always(refusal)) as url, adapter_for(url) as adapter:
        assert await adapter.trigger(make_call()) == Rejected("HTTP 400 Bad Request")
    not_now = Response(status=503, body=b"Down for maintenance", headers={"Retry-After": "5"}, ending="cut")
    async with serve(always(not_now)) as url, adapter_for(url) as adapter:
        assert await failure_of(adapter) == "HTTP 503 Service Unavailable"


@pytest.mark.parametrize("size", [99, 100, 101, 1_000_000])
async def test_a_body_that_is_too_long_is_not_read(size: int) -> None:
    success = b'{"status": "success"}'.ljust(size)
    async with serve(always(Response(body=success))) as url, adapter_for(url, max_response_bytes=100) as adapter:
        for _ in range(2):
            assert await adapter.trigger(make_call()) == (Succeeded({}) if size <= 100 else Taken())
    async with (
        serve(always(Response(status=400, body=b"x" * size))) as url,
        adapter_for(url, max_response_bytes=100) as adapter,
    ):
        expected = Rejected("x" * size if size <= 100 else "HTTP 400 Bad Request")
        assert await adapter.trigger(make_call()) == expected
    # what httpx left behind of a body that was not read to its end would warn here
    gc.collect()


async def test_a_body_that_trickles_is_cut_off_in_time() -> None:
    async def trickle(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            try:
                while True:
                    await trio.sleep(0.02)
                    await stream.send_all(b"x")
            except trio.BrokenResourceError:
                return

    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(partial(trio.serve_tcp, trickle, 0, host="127.0.0.1"))
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        async with adapter_for(url, read_timeout="100ms") as adapter:
            assert await failure_of(adapter) == "read timeout after 0.1 s"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress)]
)
async def test_a_compressed_body_is_read_though_not_asked_for(
    encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    answer = Response(body=compress(b'{"status": "success"}'), headers={"Content-Encoding": encoding})
    async with serve(always(answer)) as url, adapter_for(url) as adapter:
        assert await adapter.trigger(make_call()) == Succeeded({})


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b" " * 5_000_000)),
        ("gzip", gzip.compress(b'{"status": "success"}')[:-4]),
        ("gzip", b"not gzip"),
        ("br", b"\x8b\x08\x80"),
        ("gzip", b""),
    ],
    ids=["too much", "cut off", "not what it says", "unknown", "nothing"],
)
async def test_a_body_that_cannot_be_decompressed_counts_as_none(encoding: str, body: bytes) -> None:
    answer = Response(body=body, headers={"Content-Encoding": encoding})
    async with serve(always(answer)) as url, adapter_for(url) as adapter:
        assert await adapter.trigger(make_call()) == Taken()


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("warm", [False, True])
async def test_cancelled_at_any_await_the_next_attempt_works(tls: bool, warm: bool) -> None:
    answer = Response.of_json({"status": "success"})
    async with serve(always(answer), tls=tls) as url:
        for steps in range(1, 100):
            async with adapter_for(url, verify_tls=False) as adapter:
                if warm:
                    await adapter.trigger(make_call())
                with cancel_after_steps(steps) as scope:
                    await adapter.trigger(make_call())
                with trio.fail_after(5):
                    assert await adapter.trigger(make_call()) == Succeeded({})
            if not scope.cancelled_caught:
                break
        assert 1 < steps < 99
    gc.collect()


async def test_opened_again_after_it_was_closed() -> None:
    async with serve(always(Response())) as url, adapter_for(url) as adapter:
        await adapter.close()
        await adapter.close()
        with pytest.raises(RuntimeError, match="before open"):
            await adapter.trigger(make_call())
        await adapter.open()
        assert await adapter.trigger(make_call()) == Taken()


async def test_an_error_that_httpx_may_yet_invent() -> None:
    class Broken(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise httpx.LocalProtocolError(f"Illegal header value {request.headers['x-token']}")

    class BrokenNetwork:
        def http_transport(
            self, *, connect_timeout_seconds: float, verify: bool | ssl.SSLContext = True, proxy: str | None = None
        ) -> httpx.AsyncBaseTransport:
            return Broken()

    settings = HttpSettings.model_validate({"url": "http://billing.internal", "headers": {"X-Token": "hunter2"}})
    adapter = HttpAdapter(settings, AdapterContext("billing", 1, BrokenNetwork()))
    await adapter.open()
    assert await failure_of(adapter) == "the request could not be sent (LocalProtocolError)"
    await adapter.close()


def resolve_with(error: OSError) -> None:
    class Resolver(trio.abc.HostnameResolver):
        async def getaddrinfo(self, *arguments: Any, **options: Any) -> Any:
            raise error

        async def getnameinfo(self, *arguments: Any, **options: Any) -> Any:
            raise error

    trio.socket.set_custom_hostname_resolver(Resolver())
