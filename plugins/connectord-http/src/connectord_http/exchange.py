"""One request and its answer, over one httpx client."""

from __future__ import annotations

import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx
import trio
from connectord.adapters import Network, NotConnected
from connectord.address_guard import AddressGuard

from connectord_http.answers import Answer
from connectord_http.bodies import read_body
from connectord_http.failures import describe, describe_lookup

MOST_ADDRESSES = 4
"""How many addresses of one name are tried, where they were looked up here."""

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """A request, complete but for the headers that the client adds to each.

    ``guarded`` says that somebody else named its target, which has to be checked. ``without`` names the client's
    headers that this one must not bear.
    """

    method: str
    url: httpx.URL
    headers: dict[str, str] = field(repr=False)
    content: bytes | None = field(repr=False)
    guarded: bool = False
    without: Collection[str] = ()


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
        self._headers = headers
        self._guard = guard
        self._proxy = proxy
        self._client: httpx.AsyncClient | None = None

    def open(self, verify: bool | ssl.SSLContext) -> None:
        """Make the client."""
        connect_seconds, read_seconds = self._limits.connect_ms / 1000, self._limits.read_ms / 1000
        self._client = httpx.AsyncClient(
            transport=self._network.http_transport(
                connect_timeout_seconds=connect_seconds, verify=verify, proxy=self._proxy
            ),
            trust_env=False,
            follow_redirects=False,
            headers=dict(self._headers),
            # one action's cookies are none of the next one's business
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            timeout=httpx.Timeout(read_seconds, connect=connect_seconds, pool=connect_seconds),
        )

    async def close(self) -> None:
        """Close every connection."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

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
        client = self._client
        if client is None:
            raise RuntimeError("it was used before open() or after close()")
        if host is None:
            built = client.build_request(request.method, url, content=request.content, headers=request.headers)
        else:
            # the address that was checked is what is connected to; the name goes on in HTTP and in TLS
            headers = {"Host": request.url.netloc.decode("ascii"), **request.headers}
            extensions = {"sni_hostname": host} if url.scheme == "https" else {}
            built = client.build_request(
                request.method, url, content=request.content, headers=headers, extensions=extensions
            )
        for name in request.without:
            built.headers.pop(name, None)
        # the client's own limits are for each silence: a peer that sends a byte now and then would never run into one
        with trio.move_on_after((self._limits.connect_ms + 2 * self._limits.read_ms) / 1000) as limit_of_head:
            response = await client.send(built, stream=True)
        if limit_of_head.cancelled_caught:
            raise httpx.ReadTimeout("the head of the answer did not end", request=built)
        try:
            return Answer(response.status_code, response.headers, await self._read(response, limit))
        finally:
            await response.aclose()

    async def _read(self, response: httpx.Response, limit: int) -> bytes | None:
        try:
            return await read_body(response, limit=limit, timeout_seconds=self._limits.read_ms / 1000)
        except httpx.TransportError:
            if response.is_success:
                # its body could have been the response itself: the next attempt, with the same key, will tell
                raise
            return None
