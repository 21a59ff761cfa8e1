"""The ``http`` adapter: one POST per attempt."""

from __future__ import annotations

import time
from collections.abc import Callable
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx
import msgspec
from connectord import __version__
from connectord.adapters import Adapter, AdapterContext, Call, CallbackRequest, NotConnected, Outcome, Response

from connectord_http.answers import Answer, judge
from connectord_http.bodies import read_body
from connectord_http.dialects import DIALECTS
from connectord_http.failures import describe
from connectord_http.settings import HttpSettings


class HttpAdapter(Adapter):
    """Hands an action to an external system as one HTTP POST, and reads its answer (rules 1 to 3 and 12).

    Nothing is retried here. ``now`` gives the wall clock in seconds since the epoch.
    """

    name = "http"
    Settings = HttpSettings
    settings: HttpSettings

    def __init__(
        self, settings: HttpSettings, context: AdapterContext, *, now: Callable[[], float] = time.time
    ) -> None:
        super().__init__(settings, context)
        self._now = now
        self._dialect = DIALECTS[settings.dialect]
        self._url = httpx.URL(settings.url)
        self._connect_seconds = settings.connect_timeout / 1000
        self._read_seconds = settings.read_timeout / 1000
        self._client: httpx.AsyncClient | None = None

    async def open(self) -> None:
        headers = httpx.Headers(
            {
                "User-Agent": f"connectord/{__version__}",
                "Content-Type": "application/json",
                "Accept": "application/json, */*",
                "Accept-Encoding": "identity",
            }
        )
        headers.update({name: value.get_secret_value() for name, value in self.settings.headers.items()})
        self._client = httpx.AsyncClient(
            transport=self.context.network.http_transport(
                connect_timeout_seconds=self._connect_seconds, verify=self.settings.verify_tls
            ),
            trust_env=False,
            follow_redirects=False,
            headers=headers,
            # one action's cookies are none of the next one's business
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            timeout=httpx.Timeout(self._read_seconds, connect=self._connect_seconds, pool=self._connect_seconds),
        )

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def trigger(self, call: Call) -> Outcome:
        return judge(await self._post(call), self._dialect, now=self._now())

    def read_callback(self, request: CallbackRequest) -> Response:
        return self._dialect.read_callback(request.body)

    async def _post(self, call: Call) -> Answer:
        if self._client is None:
            raise RuntimeError("trigger() was called before open() or after close()")
        body = msgspec.json.encode(self._dialect.build_payload(call))
        headers = {"Idempotency-Key": call.idempotency_key}
        try:
            async with self._client.stream("POST", self._url, content=body, headers=headers) as response:
                return Answer(response.status_code, response.headers, await self._read(response))
        except httpx.TransportError as error:
            message = describe(
                error,
                host=self._url.host,
                connect_timeout_ms=self.settings.connect_timeout,
                read_timeout_ms=self.settings.read_timeout,
            )
            raise NotConnected(message) from error

    async def _read(self, response: httpx.Response) -> bytes | None:
        try:
            return await read_body(response, limit=self.settings.max_response_bytes, timeout_seconds=self._read_seconds)
        except httpx.TransportError:
            if response.is_success:
                # its body could have been the response itself: the next attempt, with the same key, will tell
                raise
            return None
