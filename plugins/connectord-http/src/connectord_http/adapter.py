"""The adapter: one POST per attempt, never more."""

from __future__ import annotations

import errno
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import msgspec
from connectord import __version__
from connectord.adapters import (
    Adapter,
    AdapterContext,
    Call,
    CallbackRequest,
    NotConnected,
    Outcome,
    Rejected,
    Response,
    Succeeded,
    Taken,
)

from connectord_http import answers, connectord_format, enate
from connectord_http.settings import HttpSettings


class HttpAdapter(Adapter):
    """Sends an action to one URL, in connectord's own format or in Enate's."""

    name = "http"
    Settings = HttpSettings
    settings: HttpSettings

    def __init__(self, settings: HttpSettings, context: AdapterContext) -> None:
        super().__init__(settings, context)
        enates = settings.dialect == "enate"
        self._payload: Callable[[Call], dict[str, Any]] = enate.payload if enates else connectord_format.payload
        self._read_callback: Callable[[bytes], Response] = (
            enate.read_callback if enates else connectord_format.read_callback
        )
        self._read_answer: Callable[[bytes], Succeeded | Rejected | None] = (
            enate.read_answer if enates else connectord_format.read_answer
        )
        self._client: httpx.AsyncClient | None = None

    async def open(self) -> None:
        settings = self.settings
        connect, read = settings.connect_timeout / 1000, settings.read_timeout / 1000
        transport = self.context.network.http_transport(connect_timeout_seconds=connect, verify=settings.verify_tls)
        self._client = httpx.AsyncClient(
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(read, connect=connect),
            headers={
                **{name: value.get_secret_value() for name, value in settings.headers.items()},
                "User-Agent": f"connectord/{__version__}",
                "Content-Type": "application/json",
            },
        )

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def trigger(self, call: Call) -> Outcome:
        if self._client is None:
            raise NotConnected("the adapter is not open")
        request = self._client.build_request(
            "POST",
            self.settings.url,
            content=msgspec.json.encode(self._payload(call)),
            headers={"Idempotency-Key": call.idempotency_key},
        )
        try:
            response = await self._client.send(request, stream=True)
            try:
                body = await self._read(response)
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise NotConnected(self._explain(error)) from error
        return self._outcome(response, body)

    def read_callback(self, request: CallbackRequest) -> Response:
        return self._read_callback(request.body)

    async def _read(self, response: httpx.Response) -> bytes | None:
        """The answer's body, or None where it is larger than allowed."""
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > self.settings.max_response_bytes:
                return None
        return bytes(body)

    def _outcome(self, response: httpx.Response, body: bytes | None) -> Outcome:
        status = response.status_code
        if answers.is_not_now(status):
            wish = answers.retry_after_seconds(
                response.headers.get("Retry-After"), response.headers.get("Date"), time.time()
            )
            raise NotConnected(answers.status_words(status), retry_after_seconds=wish)
        if 200 <= status < 300:
            if not body:
                return Taken()
            return self._read_answer(body) or Taken(answers.reference_in(body))
        if 300 <= status < 400:
            location = response.headers.get("Location", "nowhere")
            return Rejected(f"{answers.status_words(status)}: a redirect to {location} is not followed")
        return Rejected(answers.rejection_reason(status, body or b""))

    def _explain(self, error: httpx.HTTPError) -> str:
        settings = self.settings
        match error:
            case httpx.ConnectTimeout() | httpx.PoolTimeout():
                return f"connect timeout after {settings.connect_timeout / 1000:g} s"
            case httpx.ReadTimeout():
                return f"no answer within {settings.read_timeout / 1000:g} s"
            case httpx.WriteTimeout():
                return f"the request could not be sent within {settings.read_timeout / 1000:g} s"
        host = httpx.URL(settings.url).host
        for cause in _causes(error):
            if isinstance(cause, socket.gaierror):
                return f"name not known: {host}"
            if isinstance(cause, ssl.SSLError):
                return f"TLS: {getattr(cause, 'verify_message', '') or cause.reason or cause}"
            if isinstance(cause, OSError) and cause.errno == errno.ECONNREFUSED:
                return "connection refused"
            if isinstance(cause, OSError) and cause.errno == errno.ECONNRESET:
                return "connection reset"
        if isinstance(error, httpx.RemoteProtocolError):
            return "the system closed the connection, or did not speak HTTP"
        if isinstance(error, httpx.ConnectError):
            return f"cannot connect to {host}"
        return f"{type(error).__name__}: {error}".rstrip(": ")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what it came from, and what is inside of groups (trio joins the tries of several addresses)."""
    yield error
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _causes(inner)
    cause = error.__cause__ or error.__context__
    if cause is not None:
        yield from _causes(cause)
