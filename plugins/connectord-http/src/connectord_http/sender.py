"""The way to one system: its credentials, TLS, proxy and redirects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
from connectord import __version__
from connectord.adapters import Network
from connectord.address_guard import AddressGuard, Lookup, parse_network

from connectord_http.answers import Answer
from connectord_http.credentials import Concealer, credential_headers, literal_headers, secret_headers
from connectord_http.exchange import Exchange, PreparedRequest, TimeLimits
from connectord_http.headers import wire_headers
from connectord_http.oauth2 import Token, TokenSource
from connectord_http.redirects import Redirects
from connectord_http.settings import HttpSettings
from connectord_http.tls import make_context

_UNAUTHORIZED = 401


class Sender:
    """Sends requests to one system as its settings say. ``now`` gives the wall clock in seconds since the epoch."""

    def __init__(self, settings: HttpSettings, network: Network, *, now: Callable[[], float], lookup: Lookup) -> None:
        self._settings = settings
        self._network = network
        self._now = now
        self._guard = AddressGuard([parse_network(network) for network in settings.allow], lookup=lookup)
        self._concealer = Concealer(settings)
        headers = {"Accept": "application/json, */*", **literal_headers(settings), **credential_headers(settings)}
        self._exchange = self._new_exchange(headers)
        limit = settings.max_response_bytes
        self._follow: Callable[[PreparedRequest], Awaitable[Answer]] = partial(self._exchange.send_once, limit=limit)
        if settings.follow_redirects:
            redirects = Redirects(
                settings.follow_redirects,
                secret_headers(settings),
                only_same_origin=settings.client_certificate is not None,
            )
            self._follow = partial(redirects.send, self._exchange, limit=limit)
        self._tokens: TokenSource | None = None
        self._token_exchange: Exchange | None = None
        if settings.auth is not None and settings.auth.oauth2 is not None:
            self._token_exchange = self._new_exchange({})
            self._tokens = TokenSource(settings.auth.oauth2, self._token_exchange)

    def open(self) -> None:
        """Get ready. Raises :class:`ValueError` where a certificate has become unreadable."""
        settings = self._settings
        verify = make_context(
            verify=settings.verify_tls,
            ca_file=settings.ca_file,
            certificate=settings.client_certificate,
            key=settings.client_key,
            password=settings.client_key_password,
        )
        self._exchange.open(verify)
        if self._token_exchange is not None:
            self._token_exchange.open(verify)

    async def close(self) -> None:
        """Close every connection."""
        await self._exchange.close()
        if self._token_exchange is not None:
            await self._token_exchange.close()

    async def send(self, request: PreparedRequest) -> Answer:
        """The answer to ``request``.

        Raises :class:`connectord.adapters.NotConnected`, and :class:`connectord.adapters.TargetRefused` for a target
        that is not allowed.
        """
        if self._tokens is None:
            return await self._follow(request)
        token = await self._tokens.get(now=self._now())
        answer = await self._follow(_bearing(request, token))
        if answer.status != _UNAUTHORIZED:
            return answer
        # it was refused, so it was not done: once more with a fresh token, and with the same idempotency key
        token = await self._tokens.get(refused=token, now=self._now())
        return await self._follow(_bearing(request, token))

    def hide(self, text: str) -> str:
        """``text`` without the secrets that the system was sent, and may have quoted."""
        return self._concealer.hide(text, *(() if self._tokens is None else self._tokens.values()))

    def _new_exchange(self, headers: dict[str, str]) -> Exchange:
        settings = self._settings
        return Exchange(
            self._network,
            limits=TimeLimits(settings.connect_timeout, settings.read_timeout),
            headers={"User-Agent": f"connectord/{__version__}", "Accept-Encoding": "identity", **headers},
            guard=self._guard,
            proxy=None if settings.proxy is None else settings.proxy.get_secret_value(),
        )


def _bearing(request: PreparedRequest, token: Token) -> PreparedRequest:
    bearer = wire_headers({"Authorization": f"Bearer {token.value}"})
    return msgspec.structs.replace(request, headers={**request.headers, **bearer})
