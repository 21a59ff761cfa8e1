"""One request and its answer, over one httpx transport.

httpx's client would add nothing here, and cost more processor time than the exchange itself: it follows redirects,
keeps cookies and asks for passwords, none of which an action's request may do by itself.
"""

from __future__ import annotations

import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
import trio
from connectord.adapters import ExchangeLimits, Network, NotConnected, WholeExchanges, WholeRequest
from connectord.address_guard import AddressGuard

from connectord_http.answers import Answer
from connectord_http.bodies import decompress, read_body
from connectord_http.failures import describe, describe_lookup
from connectord_http.headers import Headers, wire_headers

MOST_ADDRESSES = 4
"""How many addresses of one name are tried, where they were looked up here."""

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_WITH_BODY = ("POST", "PUT", "PATCH")


class PreparedRequest(msgspec.Struct, frozen=True):
    """A request, complete but for the headers that the exchange adds to each.

    ``guarded`` says that somebody else named its target, which has to be checked. ``without`` names the exchange's
    headers that this one must not bear.
    """

    method: str
    url: httpx.URL
    headers: Headers
    content: bytes | None
    guarded: bool = False
    without: Collection[str] = ()

    def __repr__(self) -> str:
        return f"<PreparedRequest {self.method} {self.url.host}>"  # the rest may hold secrets


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How long connecting and reading may take, in milliseconds."""

    connect_ms: int
    read_ms: int


class Exchange:
    """Sends requests and reads their answers. Nothing is retried, no redirect followed, no cookie kept.

    ``headers`` go with every request.
    """

    def __init__(
        self,
        network: Network,
        *,
        limits: TimeLimits,
        headers: Mapping[str, str],
        guard: AddressGuard,
        proxy: str | None = None,
    ) -> None:
        self._network = network
        self._limits = limits
        self._headers = wire_headers({"Accept": "*/*", "Connection": "keep-alive"}) | wire_headers(headers)
        self._guard = guard
        self._proxy = proxy
        connect_seconds, self._read_seconds = limits.connect_ms / 1000, limits.read_ms / 1000
        # the transport's own limits are for each silence: a peer that sends a byte now and then would never meet one
        self._head_seconds = connect_seconds + 2 * self._read_seconds
        timeout = httpx.Timeout(self._read_seconds, connect=connect_seconds, pool=connect_seconds)
        self._extensions: Mapping[str, Any] = {"timeout": timeout.as_dict()}
        self._transport: httpx.AsyncBaseTransport | None = None
        self._whole: WholeExchanges | None = None
        self._last_url: httpx.URL | None = None
        self._last_host = b"Host", b""

    def open(self, verify: bool | ssl.SSLContext) -> None:
        """Make the transport."""
        self._transport = self._network.http_transport(
            connect_timeout_seconds=self._limits.connect_ms / 1000, verify=verify, proxy=self._proxy
        )
        self._whole = self._transport if isinstance(self._transport, WholeExchanges) else None

    async def close(self) -> None:
        """Close every connection."""
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.aclose()

    async def send_once(self, request: PreparedRequest, *, limit: int) -> Answer:
        """The answer to ``request``, with a body of at most ``limit`` bytes.

        Raises :class:`NotConnected`, and :class:`connectord.adapters.TargetRefused` where the target of a guarded
        request is not allowed.
        """
        try:
            if request.guarded:
                return await self._send_guarded(request, limit)
            return await self._send(request, request.url, None, limit)
        except httpx.TransportError as error:
            message = describe(
                error,
                host=request.url.host,
                connect_timeout_ms=self._limits.connect_ms,
                read_timeout_ms=self._limits.read_ms,
            )
            raise NotConnected(message) from error

    async def _send_guarded(self, request: PreparedRequest, limit: int) -> Answer:
        url = request.url
        host = url.raw_host.decode("ascii")
        addresses = (await self._find_addresses(host, url.port or _PORTS[url.scheme]))[:MOST_ADDRESSES]
        for address in addresses:
            try:
                return await self._send(request, url.copy_with(host=address), host, limit)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                # nothing was sent, so another address is no second try of the action
                if address == addresses[-1]:
                    raise
        raise RuntimeError("a host has at least one address")

    async def _find_addresses(self, host: str, port: int) -> tuple[str, ...]:
        try:
            with trio.fail_after(self._limits.connect_ms / 1000):
                return await self._guard.find_addresses(host, port)
        except trio.TooSlowError as error:
            raise httpx.ConnectTimeout("the name lookup took too long") from error
        except OSError as error:
            raise NotConnected(describe_lookup(error, host=host)) from error

    async def _send(self, request: PreparedRequest, url: httpx.URL, host: str | None, limit: int) -> Answer:
        transport = self._transport
        if transport is None:
            raise RuntimeError("it was used before open() or after close()")
        if self._whole is not None:
            return await self._exchange_whole(self._whole, request, url, host, limit)
        extensions = self._extensions
        if host is not None and url.scheme == "https":
            extensions = {**extensions, "sni_hostname": host}
        # the headers are complete: what httpx would do to find out costs as much as sending them
        built = httpx.Request(
            request.method,
            url,
            headers=list(self._headers_of(request).values()),
            stream=httpx.ByteStream(request.content or b""),
            extensions=dict(extensions),
        )
        built.read()
        with trio.move_on_after(self._head_seconds) as limit_of_head:
            response = await transport.handle_async_request(built)
        if limit_of_head.cancelled_caught:
            raise httpx.ReadTimeout("the head of the answer did not end", request=built)
        response.request = built
        try:
            if response.has_redirect_location:
                _check_location(response.headers["location"])
            return Answer(response.status_code, response.headers.raw, await self._read(response, limit))
        finally:
            await response.aclose()

    async def _exchange_whole(
        self, whole: WholeExchanges, request: PreparedRequest, url: httpx.URL, host: str | None, limit: int
    ) -> Answer:
        wire = WholeRequest(
            request.method,
            url,
            list(self._headers_of(request).values()),
            request.content or b"",
            host if url.scheme == "https" else None,
        )
        seconds = self._limits.connect_ms / 1000, self._read_seconds, self._head_seconds, self._read_seconds
        exchanged = await whole.exchange(wire, ExchangeLimits(*seconds, limit))
        answer = Answer(exchanged.status, exchanged.headers, exchanged.body)
        status = answer.status
        if status in _REDIRECTS and "location" in answer.headers:
            _check_location(answer.headers["location"])
        if exchanged.broken is not None and 200 <= status < 300:
            # its body could have been the response itself: the next attempt, with the same key, will tell
            raise exchanged.broken
        if not answer.body:
            return answer
        encoding = answer.headers.get("content-encoding", "identity")
        return msgspec.structs.replace(answer, body=decompress(answer.body, encoding, limit))

    def _headers_of(self, request: PreparedRequest) -> Headers:
        # where the connection leads to an address that was checked, the name goes on in HTTP
        headers = {"host": self._host_of(request.url), **self._headers, **request.headers}
        for name in request.without:
            headers.pop(name, None)
        if request.content or request.method in _WITH_BODY:
            headers["content-length"] = b"Content-Length", b"%d" % len(request.content or b"")
        return headers

    def _host_of(self, url: httpx.URL) -> tuple[bytes, bytes]:
        if url is not self._last_url:  # mostly all requests have the same one
            self._last_url, self._last_host = url, (b"Host", url.netloc)
        return self._last_host

    async def _read(self, response: httpx.Response, limit: int) -> bytes | None:
        try:
            return await read_body(response, limit=limit, timeout_seconds=self._read_seconds)
        except httpx.TransportError:
            if response.is_success:
                # its body could have been the response itself: the next attempt, with the same key, will tell
                raise
            return None


def _check_location(location: str) -> None:
    # whether redirects are followed or not: who sends rubbish in a head may be any program
    try:
        httpx.URL(location)
    except httpx.InvalidURL as error:
        raise httpx.RemoteProtocolError(f"Invalid URL in location header: {error}.") from error
