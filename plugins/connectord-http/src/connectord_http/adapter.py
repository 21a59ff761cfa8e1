"""The ``http`` adapter: one request per attempt, and one per poll."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

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
    TargetRefused,
)
from connectord.address_guard import AddressGuard, Lookup, look_up, parse_network

from connectord_http.answer_reading import MappedAnswers
from connectord_http.answers import Answer, judge
from connectord_http.callback_reading import MappedCallbacks
from connectord_http.credentials import Concealer, credential_headers, credential_query, literal_headers
from connectord_http.dialects import DIALECTS
from connectord_http.exchange import Exchange, PreparedRequest, TimeLimits
from connectord_http.expressions import MappingFailed
from connectord_http.oauth2 import Token, TokenSource
from connectord_http.poll_reading import PolledAnswers
from connectord_http.redirects import Redirects
from connectord_http.requests import RequestMapping
from connectord_http.settings import HttpSettings
from connectord_http.tls import make_context
from connectord_http.webhooks import Signer, Verifier, decode_secret

_UNAUTHORIZED = 401


class HttpAdapter(Adapter):
    """Hands an action to an external system as one HTTP request, and reads its answer (rules 1 to 3 and 12).

    Nothing is retried here, but for a token that the system no longer takes. ``now`` gives the wall clock in seconds
    since the epoch; ``lookup`` finds the addresses of a host that an action or a redirect names.
    """

    name = "http"
    Settings = HttpSettings
    settings: HttpSettings

    def __init__(
        self,
        settings: HttpSettings,
        context: AdapterContext,
        *,
        now: Callable[[], float] = time.time,
        lookup: Lookup = look_up,
    ) -> None:
        super().__init__(settings, context)
        self._now = now
        dialect = DIALECTS[settings.dialect]
        query = credential_query(settings)
        self._requests = RequestMapping(settings, dialect, extra_query=query)
        self._judge: Callable[..., Outcome] = partial(judge, dialect=dialect)
        if settings.response is not None:
            self._judge = MappedAnswers(settings.response, dialect, system=context.system, hide=self._hide).judge
        self._read_callback: Callable[[CallbackRequest], Response] = lambda request: dialect.read_callback(request.body)
        if settings.callback is not None:
            self._read_callback = MappedCallbacks(settings.callback).read
        self._polls: tuple[RequestMapping, PolledAnswers] | None = None
        if settings.poll is not None:
            self._polls = (
                RequestMapping(
                    settings.poll, dialect, headers=literal_headers(settings.poll), extra_query=query, with_key=False
                ),
                PolledAnswers(settings.poll, dialect, system=context.system, hide=self._hide),
            )
        webhooks = settings.webhooks
        signing = [decode_secret(secret.get_secret_value()) for secret in webhooks.sign_with]
        self._signer = Signer(signing, now) if signing else None
        verifying = [decode_secret(secret.get_secret_value()) for secret in webhooks.verify_with]
        self._verifier = Verifier(verifying, now, webhooks.tolerance / 1000) if verifying else None
        self._concealer = Concealer(settings)
        self._lookup = lookup
        self._exchange = self._new_exchange(
            {
                "Accept": "application/json, */*",
                "Accept-Encoding": "identity",
                **literal_headers(settings),
                **credential_headers(settings),
            }
        )
        named = [*settings.headers, *([] if settings.poll is None else settings.poll.headers)]
        own = () if settings.auth is None or settings.auth.header is None else (settings.auth.header,)
        self._redirects = Redirects(
            settings.follow_redirects,
            ("Authorization", "Cookie", *named, *own),
            only_same_origin=settings.client_certificate is not None,
        )
        self._tokens: TokenSource | None = None
        self._token_exchange: Exchange | None = None
        if settings.auth is not None and settings.auth.oauth2 is not None:
            self._token_exchange = self._new_exchange({"Accept-Encoding": "identity"})
            self._tokens = TokenSource(settings.auth.oauth2, self._token_exchange)

    async def open(self) -> None:
        settings = self.settings
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
        await self._exchange.close()
        if self._token_exchange is not None:
            await self._token_exchange.close()

    async def trigger(self, call: Call) -> Outcome:
        try:
            request = self._requests.build(call)
            if self._signer is not None:
                signature = self._signer.sign(call.action_id, request.content or b"")
                request = replace(request, headers={**request.headers, **signature})
            outcome = self._judge(await self._send(request), now=self._now())
        except NotConnected as error:
            raise self._concealed(error) from error
        except MappingFailed as failed:
            return Rejected(self._hide(f"no request could be made of the action: {failed}"))
        except TargetRefused as refused:
            return Rejected(self._hide(f"nothing was sent there: {refused}"))
        if isinstance(outcome, Rejected):
            return replace(outcome, reason=self._hide(outcome.reason))
        return outcome

    def read_callback(self, request: CallbackRequest) -> Response:
        if self._verifier is not None:
            self._verifier.verify(request.headers, request.body)
        return self._read_callback(request)

    def polls(self) -> bool:
        """Whether the settings say how to ask the system for a response."""
        return self._polls is not None

    async def poll(self, call: Call) -> Response | None:
        """Ask the system for the response to an action that it took; None if it has none yet.

        Raises :class:`NotConnected` where it has to be asked again.
        """
        if self._polls is None:
            raise RuntimeError("poll() was called, but there is no table poll in the settings")
        requests, answers = self._polls
        try:
            response = answers.judge(await self._send(requests.build(call)), now=self._now())
        except NotConnected as error:
            raise self._concealed(error) from error
        except MappingFailed as failed:
            raise NotConnected(self._hide(f"no poll could be made of the action: {failed}")) from failed
        except TargetRefused as refused:
            raise NotConnected(self._hide(f"the poll was not sent: {refused}")) from refused
        if isinstance(response, Rejected):
            return replace(response, reason=self._hide(response.reason))
        return response

    async def _send(self, request: PreparedRequest) -> Answer:
        limit = self.settings.max_response_bytes
        if self._tokens is None:
            return await self._redirects.send(self._exchange, request, limit=limit)
        token = await self._tokens.get(now=self._now())
        answer = await self._redirects.send(self._exchange, _bearing(request, token), limit=limit)
        if answer.status == _UNAUTHORIZED:
            # it was refused, so it was not done: once more with a fresh token, and with the same idempotency key
            token = await self._tokens.get(refused=token, now=self._now())
            answer = await self._redirects.send(self._exchange, _bearing(request, token), limit=limit)
        return answer

    def _hide(self, text: str) -> str:
        return self._concealer.hide(text, *(() if self._tokens is None else self._tokens.values()))

    def _concealed(self, error: NotConnected) -> NotConnected:
        return NotConnected(self._hide(str(error)), retry_after_seconds=error.retry_after_seconds)

    def _new_exchange(self, headers: dict[str, str]) -> Exchange:
        settings = self.settings
        proxy = settings.proxy
        return Exchange(
            self.context.network,
            limits=TimeLimits(settings.connect_timeout, settings.read_timeout),
            headers={"User-Agent": f"connectord/{__version__}", **headers},
            guard=AddressGuard([parse_network(network) for network in settings.allow], lookup=self._lookup),
            proxy=None if proxy is None else proxy.get_secret_value(),
        )


def _bearing(request: PreparedRequest, token: Token) -> PreparedRequest:
    return replace(request, headers={**request.headers, "Authorization": f"Bearer {token.value}"})
