"""Through a proxy: stock httpx, one connection a request in flight."""

from __future__ import annotations

import gc
from contextlib import suppress

import httpx
import pytest
import trio
from connectord.http_out import PooledTransport, SlottedTransport, TransportStatistics
from connectord.network import SystemNetwork
from helpers.cancellation import cancel_after_steps
from helpers.http_server import Request, Response, serve
from helpers.raw_server import read_head, serve_raw


async def tell(request: Request) -> Response:
    return Response(body=f"{request.connection} {request.target}".encode())


async def tunnel(stream: trio.abc.Stream) -> None:
    """A proxy that knows CONNECT only."""
    head = await read_head(stream)
    if not head:
        return
    host, _, port = head.split()[1].decode().partition(":")
    onward = await trio.open_tcp_stream(host, int(port))

    async def copy(source: trio.abc.Stream, target: trio.abc.Stream) -> None:
        with suppress(trio.BrokenResourceError):
            async for data in source:
                await target.send_all(data)
        nursery.cancel_scope.cancel()

    async with onward, trio.open_nursery() as nursery:
        await stream.send_all(b"HTTP/1.1 200 Connected\r\n\r\n")
        nursery.start_soon(copy, stream, onward)
        nursery.start_soon(copy, onward, stream)


async def test_without_tls_the_proxy_gets_the_whole_url() -> None:
    async with serve(tell) as proxy:
        transport = SystemNetwork().http_transport(connect_timeout_seconds=5, proxy=proxy)
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            for _ in range(2):
                response = await client.post("http://billing.internal/jobs", content="work")
                assert response.text == "1 http://billing.internal/jobs"
            assert transport.statistics() == TransportStatistics(busy=0, idle=1)


async def test_with_tls_it_makes_a_tunnel() -> None:
    async with serve(tell, tls=True) as url, serve_raw(tunnel) as proxy:
        transport = SystemNetwork().http_transport(connect_timeout_seconds=5, verify=False, proxy=proxy)
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            for _ in range(2):
                assert (await client.get(f"{url}/jobs")).text == "1 /jobs"
        transport = SystemNetwork().http_transport(connect_timeout_seconds=5, proxy=proxy)
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            with pytest.raises(httpx.ConnectError):
                await client.get(url)


async def test_the_proxy_itself_may_have_tls_and_is_checked() -> None:
    async with serve(tell, tls=True) as proxy:
        transport = SystemNetwork().http_transport(connect_timeout_seconds=5, verify=False, proxy=proxy)
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            assert (await client.get("http://billing.internal/")).text == "1 http://billing.internal/"
        transport = SystemNetwork().http_transport(connect_timeout_seconds=5, proxy=proxy)
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            with pytest.raises(httpx.ConnectError):
                await client.get("http://billing.internal/")


async def test_cancelled_at_any_await_it_leaves_nothing_behind() -> None:
    network = SystemNetwork()
    async with serve(tell, tls=True) as url, serve_raw(tunnel) as proxy:
        for steps in range(1, 100):
            transport = network.http_transport(connect_timeout_seconds=5, verify=False, proxy=proxy)
            async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
                with cancel_after_steps(steps) as scope:
                    await client.post(url, content=b"work")
                assert transport.statistics().busy == 0
                with trio.fail_after(5):
                    assert (await client.post(url)).status_code == 200
            if not scope.cancelled_caught:
                break
        assert 5 < steps < 99
    gc.collect()


async def test_a_proxy_that_refuses() -> None:
    async def refuse(request: Request) -> Response:
        return Response(status=407)

    async with serve(refuse) as proxy:
        transport = SystemNetwork().http_transport(connect_timeout_seconds=5, proxy=proxy)
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            with pytest.raises(httpx.ProxyError):
                await client.get("https://billing.internal/")
        assert transport.statistics() == TransportStatistics(busy=0, idle=0)


def test_only_what_is_asked_for_goes_through_a_proxy() -> None:
    network = SystemNetwork()
    assert isinstance(network.http_transport(connect_timeout_seconds=1), PooledTransport)
    assert isinstance(network.http_transport(connect_timeout_seconds=1, proxy="http://p:1"), SlottedTransport)
    for proxy in ("socks5://p:1", "p:1"):
        with pytest.raises(ValueError, match="http:// or https://"):
            network.http_transport(connect_timeout_seconds=1, proxy=proxy)
