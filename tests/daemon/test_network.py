"""The real network: every connection used again where it can be, and nothing left behind where it cannot."""

from __future__ import annotations

import gc
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import trio
from connectord.adapters import Network
from connectord.http_out import PooledTransport, TransportStatistics
from connectord.network import SystemNetwork
from helpers.cancellation import cancel_after_steps
from helpers.http_server import CERTIFICATE, Request, Response, never_accept, refuse, serve

TIMEOUT = httpx.Timeout(5)


def transport_of(network: SystemNetwork | None = None, *, verify: bool = True) -> PooledTransport:
    return (network or SystemNetwork()).http_transport(connect_timeout_seconds=5, verify=verify)


@asynccontextmanager
async def client_of(transport: PooledTransport) -> AsyncGenerator[httpx.AsyncClient, None]:
    async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=TIMEOUT) as client:
        yield client


async def tell_connection(request: Request) -> Response:
    """Answers with the number of the connection that the request came on."""
    return Response(body=str(request.connection).encode())


def test_it_is_what_adapters_get() -> None:
    network: Network = SystemNetwork()
    assert isinstance(network.http_transport(connect_timeout_seconds=1), httpx.AsyncBaseTransport)


async def test_a_connection_is_used_again() -> None:
    transport = transport_of()
    async with serve(tell_connection) as url, client_of(transport) as client:
        for _ in range(3):
            assert (await client.post(url)).text == "1"
        assert transport.statistics() == TransportStatistics(busy=0, idle=1)


async def test_256_requests_are_in_flight_at_once() -> None:
    arrived = 0
    all_there = trio.Event()

    async def hold(request: Request) -> Response:
        nonlocal arrived
        arrived += 1
        if arrived == 256:
            all_there.set()
        await all_there.wait()
        return Response(body=request.body)

    answers: set[int] = set()
    transport = transport_of()

    async def post(client: httpx.AsyncClient, number: int) -> None:
        answers.add(int((await client.post(url, content=str(number))).text))

    async with serve(hold) as url, client_of(transport) as client:
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                for number in range(256):
                    nursery.start_soon(post, client, number)
                await all_there.wait()
                assert transport.statistics().busy == 256
        assert answers == set(range(256))
        assert transport.statistics() == TransportStatistics(busy=0, idle=256)


async def test_the_most_recently_used_connection_goes_first() -> None:
    async with serve(tell_connection) as url, client_of(transport_of()) as client:
        async with client.stream("POST", url) as first, client.stream("POST", url) as second:
            assert await second.aread() == b"2"
            await second.aclose()
            assert await first.aread() == b"1"
        assert (await client.post(url)).text == "1"


async def test_another_origin_does_not_cost_a_connection() -> None:
    transport = transport_of()
    async with serve(tell_connection) as one, serve(tell_connection) as other, client_of(transport) as client:
        for _ in range(3):
            assert (await client.post(one)).text == "1"
            assert (await client.post(other)).text == "1"
        assert transport.statistics().idle == 2


async def test_no_more_than_max_idle_are_kept_and_the_longest_idle_goes() -> None:
    transport = transport_of(SystemNetwork(max_idle=1))
    async with serve(tell_connection) as one, serve(tell_connection) as other, client_of(transport) as client:
        await client.post(one)
        await client.post(other)
        assert transport.statistics().idle == 1
        assert (await client.post(other)).text == "1"
        assert (await client.post(one)).text == "2"


async def test_connections_idle_for_too_long_are_closed() -> None:
    transport = transport_of(SystemNetwork(keepalive_seconds=0.01))
    async with serve(tell_connection) as one, serve(tell_connection) as other, client_of(transport) as client:
        await client.post(one)
        await trio.sleep(0.05)
        await client.post(other)
        assert transport.statistics().idle == 1
        await trio.sleep(0.05)
        assert (await client.post(other)).text == "2"


async def test_a_connection_that_the_server_closed_while_idle_is_replaced() -> None:
    async def close_silently(request: Request) -> Response:
        return Response(body=str(request.connection).encode(), ending="silent_close")

    async with serve(close_silently) as url, client_of(transport_of()) as client:
        for number in range(1, 4):
            assert (await client.post(url)).text == str(number)
            await trio.sleep(0.05)


async def test_a_server_that_announces_the_close_is_obeyed() -> None:
    async def close(request: Request) -> Response:
        return Response(body=str(request.connection).encode(), headers={"Connection": "close"})

    async with serve(close) as url, client_of(transport_of()) as client:
        assert [(await client.post(url)).text for _ in range(2)] == ["1", "2"]


@pytest.mark.parametrize("ending", ["drop", "reset", "cut", "hang"])
async def test_a_failed_request_is_sent_once_and_leaves_nothing_behind(ending: str) -> None:
    requests: list[Request] = []

    async def fail_once(request: Request) -> Response:
        requests.append(request)
        if len(requests) == 2:
            return Response(body=b"half of this", ending=ending)  # type: ignore[arg-type]
        return Response(body=b"fine")

    transport = transport_of()
    async with serve(fail_once) as url, client_of(transport) as client:
        await client.post(url)
        with pytest.raises(httpx.TransportError):
            await client.post(url, timeout=httpx.Timeout(5, read=0.1))
        assert len(requests) == 2
        assert transport.statistics() == TransportStatistics(busy=0, idle=0)
        assert (await client.post(url)).text == "fine"


async def test_an_answer_that_is_not_read_to_its_end_costs_the_connection() -> None:
    transport = transport_of()
    async with serve(tell_connection) as url, client_of(transport) as client:
        async with client.stream("POST", url):
            pass
        assert transport.statistics() == TransportStatistics(busy=0, idle=0)
        assert (await client.post(url)).text == "2"


async def test_a_refused_connection() -> None:
    transport = transport_of()
    async with refuse() as url, client_of(transport) as client:
        with pytest.raises(httpx.ConnectError):
            await client.post(url)
        assert transport.statistics() == TransportStatistics(busy=0, idle=0)


async def test_the_connect_timeout_applies_where_the_request_has_none() -> None:
    transport = SystemNetwork().http_transport(connect_timeout_seconds=0.1)
    async with never_accept() as url, client_of(transport) as client:
        with trio.fail_after(5), pytest.raises(httpx.ConnectTimeout):
            await client.post(url, timeout=None)


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("warm", [False, True])
async def test_a_request_cancelled_at_any_await_does_not_harm_the_next(tls: bool, warm: bool) -> None:
    network = SystemNetwork()
    async with serve(tell_connection, tls=tls) as url:
        for steps in range(1, 100):
            transport = transport_of(network, verify=False)
            async with client_of(transport) as client:
                if warm:
                    await client.post(url)
                with cancel_after_steps(steps) as scope:
                    await client.post(url, content=b"work")
                assert transport.statistics().busy == 0
                with trio.fail_after(5):
                    assert (await client.post(url)).status_code == 200
            if not scope.cancelled_caught:
                break
        assert 1 < steps < 99
    # a socket that was left open would warn here, and warnings are errors
    gc.collect()


async def test_closing_fails_what_is_in_flight() -> None:
    arrived = trio.Event()

    async def hang(request: Request) -> Response:
        arrived.set()
        return Response(ending="hang")

    transport = transport_of()

    async def post(client: httpx.AsyncClient) -> None:
        with pytest.raises(httpx.ReadError):
            await client.post(url)

    async with serve(hang) as url, client_of(transport) as client:
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(post, client)
                await arrived.wait()
                await transport.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await client.post(url)


async def test_closing_while_an_answer_is_being_read_closes_its_connection_after() -> None:
    transport = transport_of()
    async with serve(tell_connection) as url, client_of(transport) as client:
        async with client.stream("POST", url) as response:
            await response.aread()
        async with client.stream("POST", url) as response:
            await transport.aclose()
        assert transport.statistics() == TransportStatistics(busy=0, idle=0)


async def test_an_untrusted_certificate_is_refused_unless_told_otherwise() -> None:
    async with serve(tell_connection, tls=True) as url:
        async with client_of(transport_of()) as client:
            with pytest.raises(httpx.ConnectError):
                await client.post(url)
        async with client_of(transport_of(verify=False)) as client:
            assert [(await client.post(url)).status_code for _ in range(2)] == [200, 200]


async def test_the_machines_own_authorities_are_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authorities = tmp_path / "authorities.pem"
    authorities.write_text(CERTIFICATE)
    monkeypatch.setenv("SSL_CERT_FILE", str(authorities))
    async with serve(tell_connection, tls=True) as url, client_of(transport_of()) as client:
        assert (await client.post(url)).text == "1"


def test_a_machine_without_authorities_of_its_own_gets_certifis(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = SimpleNamespace(cafile=None, capath=None)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nowhere)
    transport = transport_of()
    assert transport._ssl_context.cert_store_stats()["x509_ca"] > 50


async def test_the_proxy_in_the_environment_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    async with refuse() as proxy, serve(tell_connection) as url, client_of(transport_of()) as client:
        monkeypatch.setenv("http_proxy", proxy)
        assert (await client.post(url)).text == "1"


async def test_a_trace_that_the_request_brings_still_sees_everything() -> None:
    seen: list[str] = []

    async def trace(event: str, info: object) -> None:
        seen.append(event)

    async with serve(tell_connection, tls=True) as url, client_of(transport_of(verify=False)) as client:
        await client.post(url, extensions={"trace": trace})
    assert "connection.start_tls.complete" in seen


async def test_a_tls_context_of_ones_own() -> None:
    context = ssl.create_default_context(cadata=CERTIFICATE)
    async with serve(tell_connection, tls=True) as url:
        transport = SystemNetwork().http_transport(connect_timeout_seconds=5, verify=context)
        async with client_of(transport) as client:
            assert (await client.post(url)).status_code == 200


async def test_a_connection_is_used_again_for_its_own_name_only() -> None:
    names = [{"sni_hostname": name} for name in ("localhost", "other.example", "localhost", "other.example")]
    async with serve(tell_connection, tls=True) as url, client_of(transport_of(verify=False)) as client:
        connections = [(await client.post(url, extensions=extensions)).text for extensions in names]
    assert connections == ["1", "2", "1", "2"]


async def test_a_proxy_gets_whole_urls() -> None:
    async def tell_target(request: Request) -> Response:
        return Response(body=f"{request.target} {request.headers['host']}".encode())

    async with serve(tell_target) as proxy:
        transport = SystemNetwork().http_transport(connect_timeout_seconds=5, proxy=proxy)
        async with client_of(transport) as client:
            answer = await client.post("http://billing.internal:8080/jobs")
    assert answer.text == "http://billing.internal:8080/jobs billing.internal:8080"
