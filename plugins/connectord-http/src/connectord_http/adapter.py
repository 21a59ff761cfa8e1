"""The ``http`` adapter: one request per attempt, and one per poll."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import msgspec
from connectord.adapters import (
    Adapter,
    AdapterContext,
    Call,
    CallbackRequest,
    NotConnected,
    OptionalMethod,
    Outcome,
    Rejected,
    Response,
    TargetRefused,
)
from connectord.address_guard import Lookup, look_up

from connectord_http.answer_reading import MappedAnswers
from connectord_http.answers import judge
from connectord_http.callback_reading import MappedCallbacks
from connectord_http.credentials import credential_query, literal_headers
from connectord_http.dialects import DIALECTS
from connectord_http.expressions import MappingFailed
from connectord_http.headers import wire_headers
from connectord_http.poll_reading import PolledAnswers
from connectord_http.requests import RequestMapping
from connectord_http.sender import Sender
from connectord_http.settings import HttpSettings
from connectord_http.webhooks import Signer, Verifier, decode_secrets


class HttpAdapter(Adapter):
    """Hands an action to an external system as one HTTP request, and reads its answer (rules 1 to 3 and 12).

    Nothing is retried here, but for a token that the system no longer takes. ``now`` gives the wall clock in seconds
    since the epoch; ``lookup`` finds the addresses of a host that an action or a redirect names.
    """

    name = "http"
    Settings = HttpSettings
    settings: HttpSettings

    @classmethod
    def offers(cls, method: OptionalMethod, settings: HttpSettings) -> bool:
        if method == "poll":
            return settings.poll is not None
        return super().offers(method, settings)

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
        self._sender = Sender(settings, context.network, now=now, lookup=lookup)
        webhooks = settings.webhooks
        self._signer = Signer(decode_secrets(webhooks.sign_with), now) if webhooks.sign_with else None
        self._verifier: Verifier | None = None
        if webhooks.verify_with:
            self._verifier = Verifier(decode_secrets(webhooks.verify_with), now, webhooks.tolerance / 1000)
        self._prepare_mappings(settings)

    def _prepare_mappings(self, settings: HttpSettings) -> None:
        dialect, system, hide = DIALECTS[settings.dialect], self.context.system, self._sender.hide
        query = credential_query(settings)
        self._requests = RequestMapping(settings, dialect, extra_query=query)
        self._judge: Callable[..., Outcome] = partial(judge, dialect=dialect)
        if settings.response is not None:
            self._judge = MappedAnswers(settings.response, dialect, system=system, hide=hide).judge
        self._read_callback: Callable[[CallbackRequest], Response] = lambda request: dialect.read_callback(request.body)
        if settings.callback is not None:
            self._read_callback = MappedCallbacks(settings.callback).read
        self._polls: tuple[RequestMapping, PolledAnswers] | None = None
        poll = settings.poll
        if poll is not None:
            questions = RequestMapping(poll, dialect, headers=literal_headers(poll), extra_query=query, with_key=False)
            self._polls = questions, PolledAnswers(poll, dialect, system=system, hide=hide)

    async def open(self) -> None:
        self._sender.open()

    async def close(self) -> None:
        await self._sender.close()

    async def trigger(self, call: Call) -> Outcome:
        try:
            request = self._requests.build(call)
            if self._signer is not None:
                signature = self._signer.sign(call.action_id, request.content or b"")
                request = msgspec.structs.replace(request, headers={**request.headers, **wire_headers(signature)})
            outcome = self._judge(await self._sender.send(request), now=self._now())
        except NotConnected as error:
            raise self._concealed(error) from error
        except MappingFailed as failed:
            return Rejected(self._sender.hide(f"no request could be made of the action: {failed}"))
        except TargetRefused as refused:
            return Rejected(self._sender.hide(f"nothing was sent there: {refused}"))
        if isinstance(outcome, Rejected):
            return replace(outcome, reason=self._sender.hide(outcome.reason))
        return outcome

    def read_callback(self, request: CallbackRequest) -> Response:
        if self._verifier is not None:
            self._verifier.verify(request.headers, request.body)
        return self._read_callback(request)

    async def poll(self, call: Call) -> Response | None:
        """Ask the system for the response to an action that it took; None if it has none yet.

        Raises :class:`NotConnected` where it has to be asked again.
        """
        if self._polls is None:
            raise RuntimeError("poll() was called, but there is no table poll in the settings")
        questions, answers = self._polls
        try:
            response = answers.judge(await self._sender.send(questions.build(call)), now=self._now())
        except NotConnected as error:
            raise self._concealed(error) from error
        except MappingFailed as failed:
            raise NotConnected(self._sender.hide(f"no poll could be made of the action: {failed}")) from failed
        except TargetRefused as refused:
            raise NotConnected(self._sender.hide(f"the poll was not sent: {refused}")) from refused
        if isinstance(response, Rejected):
            return replace(response, reason=self._sender.hide(response.reason))
        return response

    def _concealed(self, error: NotConnected) -> NotConnected:
        return NotConnected(
            self._sender.hide(str(error)),
            retry_after_seconds=error.retry_after_seconds,
            outcome_unknown=error.outcome_unknown,
        )
