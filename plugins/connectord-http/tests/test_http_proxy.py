"""Through an HTTP proxy: a real one on loopback, which forwards and tunnels."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import pydantic
import pytest
import trio
from connectord.adapters import NotConnected, Taken
from connectord_http.settings import HttpSettings
from helpers.calls import make_call
from helpers.http_adapter import Recorder, adapter_for
from helpers.http_server import serve


@dataclass
class Proxy:
    """Relays one request per connection to wherever its first line says, and keeps the heads that it saw."""

    wants: str | None = None
    port: int = 0
    heads: list[bytes] = field(default_factory=list)

    async def relay(self, stream: trio.SocketStream) -> None:
        async with stream:
            head = b""
            while b"\r\n\r\n" not in head:
                data = await stream.receive_some()
                if not data:
                    return
                head += data
            self.heads.append(head)
            if self.wants is not None and self.wants.encode() not in head:
                await stream.send_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            method, target, _ = head.split(b" ", 2)
            authority = target if method == b"CONNECT" else target.split(b"/")[2]
            host, _, port = authority.decode().rpartition(":")
            try:
                onward = await trio.open_tcp_stream(host, int(port))
            except OSError:
                await stream.send_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                return
            async with onward:
                if method == b"CONNECT":
                    await stream.send_all(b"HTTP/1.1 200 Connected\r\n\r\n")
                else:
                    await onward.send_all(head.replace(target, b"/" + target.split(b"/", 3)[3], 1))
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_pump, stream, onward, nursery)
                    nursery.start_soon(_pump, onward, stream, nursery)


async def _pump(source: trio.SocketStream, sink: trio.SocketStream, nursery: trio.Nursery) -> None:
    try:
        while data := await source.receive_some():
            await sink.send_all(data)
    except trio.BrokenResourceError:
        pass
    nursery.cancel_scope.cancel()


@asynccontextmanager
async def proxy(wants: str | None = None) -> AsyncGenerator[Proxy, None]:
    made = Proxy(wants)
    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(partial(trio.serve_tcp, made.relay, 0, host="127.0.0.1"))
        made.port = listener.socket.getsockname()[1]
        yield made
        nursery.cancel_scope.cancel()


async def test_plain_requests_are_forwarded() -> None:
    seen = Recorder()
    async with (
        serve(seen) as url,
        proxy() as through,
        adapter_for(f"{url}/jobs", proxy=f"http://127.0.0.1:{through.port}") as adapter,
    ):
        assert await adapter.trigger(make_call()) == Taken()
    assert through.heads[0].startswith(f"POST {url}/jobs HTTP/1.1\r\n".encode())
    assert seen.only.target == "/jobs"


async def test_tls_goes_through_a_tunnel_and_stays_end_to_end() -> None:
    seen = Recorder()
    async with serve(seen, tls=True) as url, proxy() as through:
        address = f"http://127.0.0.1:{through.port}"
        async with adapter_for(url, proxy=address, verify_tls=False, auth={"bearer": "hunter2"}) as adapter:
            assert await adapter.trigger(make_call()) == Taken()
        async with adapter_for(url, proxy=address) as adapter:
            with pytest.raises(NotConnected, match="certificate verify failed"):
                await adapter.trigger(make_call())
    assert through.heads[0].startswith(f"CONNECT {url.removeprefix('https://')} HTTP/1.1\r\n".encode())
    assert b"hunter2" not in b"".join(through.heads)
    assert seen.only.headers["authorization"] == "Bearer hunter2"
    assert "proxy-authorization" not in seen.only.headers


@pytest.mark.parametrize("tls", [False, True])
async def test_a_proxy_that_wants_a_password(tls: bool) -> None:
    wanted = f"Basic {base64.b64encode(b'ada:s3cret').decode()}"
    async with serve(Recorder(), tls=tls) as url, proxy(wanted) as through:
        for user, passes in (("ada:s3cret@", True), ("ada:wr0ngone@", False)):
            address = f"http://{user}127.0.0.1:{through.port}"
            async with adapter_for(
                url, proxy=address, verify_tls=False, response={"not_now_when": "status == 407"}
            ) as a:
                assert "s3cret" not in repr(a.settings)
                if passes:
                    assert await a.trigger(make_call()) == Taken()
                else:
                    with pytest.raises(NotConnected) as caught:
                        await a.trigger(make_call())
                    assert "wr0ngone" not in str(caught.value)
                    assert "407" in str(caught.value)
                    assert str(caught.value).startswith("the proxy refused the connection: ") is tls


async def test_a_proxy_that_is_not_there() -> None:
    async with proxy() as through:
        pass
    async with adapter_for("http://billing.internal", proxy=f"http://127.0.0.1:{through.port}") as adapter:
        with pytest.raises(NotConnected, match="connection refused"):
            await adapter.trigger(make_call())


async def test_tokens_are_fetched_through_it_too() -> None:
    from helpers.oauth2_server import CLIENT_ID, CLIENT_SECRET, TokenServer

    tokens = TokenServer()
    seen = Recorder()
    async with serve(seen) as url, serve(tokens) as token_url, proxy() as through:
        auth = {"oauth2": {"token_url": f"{token_url}/t", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}}
        async with adapter_for(f"{url}/j", auth=auth, proxy=f"http://127.0.0.1:{through.port}") as adapter:
            assert await adapter.trigger(make_call()) == Taken()
    assert len(through.heads) == 2
    assert tokens.accepts(seen.only)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"proxy": "socks5://p:1080"}, "must be the URL of an HTTP proxy"),
        ({"proxy": "p:3128"}, "must be the URL of an HTTP proxy"),
        ({"proxy": "http://ada:hunter2@:3128"}, "must be the URL of an HTTP proxy"),
        ({"proxy": "http://ada:hunter2@p:port"}, "must be the URL of an HTTP proxy"),
        ({"proxy": "http://p/path"}, "must be the URL of an HTTP proxy"),
        ({"proxy": "http://p", "follow_redirects": 1}, "cannot be combined with follow_redirects"),
        ({"proxy": "http://p", "url": "http://{action.data.h}/"}, "a host that comes from an action"),
        ({"proxy": "http://p", "url": {"expr": "action.data.u"}}, "a host that comes from an action"),
        ({"proxy": "http://p", "poll": {"url": "http://{reference}/"}}, "a host that comes from an action"),
    ],
)
def test_what_is_no_proxy_or_does_not_go_with_one(values: dict[str, object], says: str) -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        HttpSettings.model_validate({"url": "http://billing.internal", **values})
    [error] = caught.value.errors()
    assert error["loc"] == ("proxy",)
    assert says in error["msg"]
    assert "hunter2" not in str(caught.value)
