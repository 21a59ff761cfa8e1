"""TLS: whom we talk to, on httpx's own transport and on ours."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import trio
import trustme
from helpers.raw_server import answering, serve_raw
from helpers.transports import MakeClient, make_ours

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
AUTHORITY = trustme.CA()


def trusting(authority: trustme.CA = AUTHORITY) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def serving(*names: str, expired: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ended = datetime.now(UTC) - timedelta(days=1) if expired else None
    AUTHORITY.issue_cert(*names, not_after=ended).configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@contextmanager
def every_name_leads_here() -> Generator[None, None, None]:
    class Resolver(trio.abc.HostnameResolver):
        async def getaddrinfo(self, host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        async def getnameinfo(self, *arguments: Any, **options: Any) -> Any:
            raise NotImplementedError

    previous = trio.socket.set_custom_hostname_resolver(Resolver())
    try:
        yield
    finally:
        trio.socket.set_custom_hostname_resolver(previous)


async def reason_of(client: httpx.AsyncClient, url: str) -> str:
    with pytest.raises(httpx.ConnectError) as caught:
        await client.get(url)
    [reason] = [each.verify_message for each in causes(caught.value) if isinstance(each, ssl.SSLCertVerificationError)]
    return reason


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Also those that httpcore has as arguments only."""
    while error is not None:
        yield error
        error = error.__cause__ or next((each for each in error.args if isinstance(each, BaseException)), None)


async def test_a_good_certificate(make_client: MakeClient) -> None:
    async with (
        serve_raw(answering(OK, OK), tls=serving("127.0.0.1")) as url,
        make_client(trusting()) as client,
        client.stream("GET", url) as response,
    ):
        assert await response.aread() == b"ok"
        tls = response.extensions["network_stream"].get_extra_info("ssl_object")
        assert tls.selected_alpn_protocol() == "http/1.1"


async def test_the_name_in_the_url_is_the_one_that_is_asked_for(make_client: MakeClient) -> None:
    asked_for: list[str | None] = []
    context = serving("billing.internal")
    context.sni_callback = lambda _socket, name, _context: asked_for.append(name)
    async with serve_raw(answering(OK), tls=context) as url, make_client(trusting()) as client:
        with every_name_leads_here():
            assert (await client.get(url.replace("127.0.0.1", "billing.internal"))).text == "ok"
    assert asked_for == ["billing.internal"]


async def test_a_name_of_its_own_for_the_certificate(make_client: MakeClient) -> None:
    async with serve_raw(answering(OK), tls=serving("billing.internal")) as url, make_client(trusting()) as client:
        response = await client.get(url, extensions={"sni_hostname": "billing.internal"})
        assert response.text == "ok"


async def test_a_connection_that_was_checked_for_another_name_is_not_used() -> None:
    """Stock httpx uses it: its pool knows hosts only."""
    context = serving("billing.internal")
    async with serve_raw(answering(OK, OK), tls=context) as url, make_ours(trusting()) as transport:
        client = httpx.AsyncClient(transport=transport, trust_env=False)
        await client.get(url, extensions={"sni_hostname": "billing.internal"})
        assert "mismatch" in await reason_of(client, url)


async def test_a_certificate_for_somebody_else(make_client: MakeClient) -> None:
    async with serve_raw(answering(OK), tls=serving("elsewhere.internal")) as url, make_client(trusting()) as client:
        assert "IP address mismatch" in await reason_of(client, url)


async def test_a_certificate_for_another_name(make_client: MakeClient) -> None:
    async with serve_raw(answering(OK), tls=serving("elsewhere.internal")) as url, make_client(trusting()) as client:
        with every_name_leads_here():
            reason = await reason_of(client, url.replace("127.0.0.1", "billing.internal"))
        assert "Hostname mismatch" in reason


async def test_an_unknown_authority(make_client: MakeClient) -> None:
    async with serve_raw(answering(OK), tls=serving("127.0.0.1")) as url, make_client(trusting(trustme.CA())) as client:
        assert "unable to get local issuer" in await reason_of(client, url)


async def test_an_expired_certificate(make_client: MakeClient) -> None:
    context = serving("127.0.0.1", expired=True)
    async with serve_raw(answering(OK), tls=context) as url, make_client(trusting()) as client:
        assert "expired" in await reason_of(client, url)


async def test_a_server_without_tls(make_client: MakeClient) -> None:
    async def greet(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"220 mail.internal ESMTP\r\n")
        await trio.sleep_forever()

    async with serve_raw(greet) as url, make_client(trusting()) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(url.replace("http", "https"))


async def test_a_server_that_hangs_up_during_the_handshake(make_client: MakeClient) -> None:
    async def hang_up(stream: trio.abc.Stream) -> None:
        await stream.receive_some(10)

    async with serve_raw(hang_up) as url, make_client(trusting()) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(url.replace("http", "https"))


async def test_a_client_certificate_is_shown(make_client: MakeClient) -> None:
    ours = trusting()
    AUTHORITY.issue_cert("connectord").configure_cert(ours)
    context = serving("127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    AUTHORITY.configure_trust(context)
    async with serve_raw(answering(OK), tls=context) as url, make_client(ours) as client:
        assert (await client.get(url)).text == "ok"
