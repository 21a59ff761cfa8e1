"""OAuth2 client credentials: one token for all attempts, fetched once and refreshed before it expires."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import trio
from connectord.adapters import NotConnected

from connectord_http.answers import Answer, status_line, wished_seconds
from connectord_http.auth_settings import OAuth2Settings
from connectord_http.credentials import basic
from connectord_http.documents import decode_json, plain
from connectord_http.exchange import Exchange, PreparedRequest
from connectord_http.headers import wire_headers
from connectord_http.request_settings import is_header_value

LARGEST_ANSWER = 65_536
_REMEMBERED = 4
EARLY_SECONDS = 60.0
"""How long before its end a token is refreshed; a tenth of its life if that is less."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token. ``refresh_at`` is on trio's clock."""

    value: str = field(repr=False)
    refresh_at: float


class TokenSource:
    """Gives a token that is still good.

    However many attempts ask at once, one request goes out; if it fails, it fails for all of them that waited for it.
    """

    def __init__(self, settings: OAuth2Settings, exchange: Exchange) -> None:
        self._exchange = exchange
        self._request = _token_request(settings)
        self._host = self._request.url.host
        self._lock = trio.Lock()
        self._token: Token | None = None
        self._values: deque[str] = deque(maxlen=_REMEMBERED)
        self._finished = 0
        self._failure: NotConnected | None = None

    async def get(self, *, refused: Token | None = None, now: float) -> Token:
        """A token, and not ``refused``, which the system did not take. ``now`` is in seconds since the epoch.

        Raises :class:`NotConnected` where the token endpoint gives none.
        """
        asked = self._finished
        if self._is_good(refused):
            return self._token  # type: ignore[return-value]
        async with self._lock:
            if self._is_good(refused):
                return self._token  # type: ignore[return-value]
            if self._finished > asked and self._failure is not None:
                raise NotConnected(str(self._failure), retry_after_seconds=self._failure.retry_after_seconds)
            try:
                self._token = await self._fetch(now)
                self._values.append(self._token.value)
                self._failure = None
            except NotConnected as failure:
                self._token, self._failure = None, failure
                raise
            finally:
                self._finished += 1
            return self._token

    def values(self) -> tuple[str, ...]:
        """The tokens that attempts may still bear, so that they can be hidden."""
        return tuple(self._values)

    def _is_good(self, refused: Token | None) -> bool:
        token = self._token
        return token is not None and token is not refused and trio.current_time() < token.refresh_at

    async def _fetch(self, now: float) -> Token:
        asked_at = trio.current_time()
        try:
            answer = await self._exchange.send_once(self._request, limit=LARGEST_ANSWER)
        except NotConnected as error:
            raise NotConnected(f"no OAuth2 token from {self._host}: {error}") from error
        document = _document(answer)
        if answer.status != 200:
            said = _error(document)
            message = f"no OAuth2 token from {self._host}: {status_line(answer.status)}{f': {said}' if said else ''}"
            raise NotConnected(message, retry_after_seconds=wished_seconds(answer, now=now))
        value, kind = document.get("access_token"), document.get("token_type", "bearer")
        if not isinstance(value, str) or not value or not is_header_value(value):
            raise NotConnected(f"no OAuth2 token from {self._host}: the answer has no access_token")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise NotConnected(f"no OAuth2 token from {self._host}: its type is not Bearer")
        life = _seconds(document.get("expires_in"))
        return Token(value, asked_at + life - min(EARLY_SECONDS, life / 10) if math.isfinite(life) else math.inf)


def _token_request(settings: OAuth2Settings) -> PreparedRequest:
    fields = {"grant_type": "client_credentials"}
    if settings.scope is not None:
        fields["scope"] = settings.scope
    fields |= {name: value.get_secret_value() for name, value in settings.parameters.items()}
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    secret = settings.client_secret.get_secret_value()
    if settings.client_authentication == "basic":
        # RFC 6749, section 2.3.1: each is form-encoded first; %20 is read as a space by all, + not
        headers["Authorization"] = basic(quote(settings.client_id, safe=""), quote(secret, safe=""))
    else:
        fields |= {"client_id": settings.client_id, "client_secret": secret}
    url = httpx.URL(settings.token_url)
    return PreparedRequest("POST", url, wire_headers(headers), urlencode(fields).encode("ascii"))


def _document(answer: Answer) -> dict[str, Any]:
    try:
        document = decode_json(answer.body or b"")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _error(document: dict[str, Any]) -> str:
    words = [document.get("error"), document.get("error_description")]
    return ": ".join(plain(each) for each in words if isinstance(each, str) and each)


def _seconds(value: object) -> float:
    """How long a token lives; for ever where the answer does not say, until the system refuses it."""
    try:
        seconds = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.inf
    except ValueError:
        return math.inf
    return max(seconds, 0.0) if math.isfinite(seconds) else math.inf
