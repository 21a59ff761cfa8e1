"""What the answer to an attempt means where connectord.toml says it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from connectord.adapters import NotConnected, Outcome, Rejected, Taken

from connectord_http.answers import Answer, judge
from connectord_http.conditions import Conditions
from connectord_http.dialects import Dialect
from connectord_http.documents import decode_json
from connectord_http.expressions import MappingFailed
from connectord_http.reading_settings import ResponseSettings
from connectord_http.values import Values

log = structlog.get_logger()


def answer_document(answer: Answer) -> dict[str, Any]:
    """What expressions over an answer see. ``body`` is text where it is not JSON, and null where it was not read."""
    body: Any = None
    if answer.body:
        try:
            body = decode_json(answer.body)
        except ValueError:
            body = answer.body.decode(errors="replace")
    return {"status": answer.status, "headers": dict(answer.headers), "body": body}


class MappedAnswers:
    """Judges answers by the conditions of a :class:`ResponseSettings`, and by rule 12 where none holds.

    A mapping that cannot be applied to an answer is not used: rule 12 stands, and what the attempt comes to says so.
    ``hide`` takes secrets out of what is logged.
    """

    def __init__(
        self, settings: ResponseSettings, dialect: Dialect, *, system: str, hide: Callable[[str], str]
    ) -> None:
        self._dialect = dialect
        self._hide = hide
        self._system = system
        self._conditions = Conditions(
            {name: getattr(settings, name) for name in ("not_now_when", "failure_when", "success_when", "taken_when")}
        )
        self._values = Values(reference=settings.reference, data=settings.data, reason=settings.reason)

    def judge(self, answer: Answer, *, now: float) -> Outcome:
        """What ``answer`` means. ``now`` is in seconds since the epoch. Raises :class:`NotConnected`."""
        document = answer_document(answer)
        try:
            return self._mapped(answer, document, now)
        except MappingFailed as failed:
            log.warning(
                "an answer could not be mapped",
                system=self._system,
                status=answer.status,
                error=self._hide(str(failed)),
            )
            return self._by_rule_12(answer, str(failed), now)

    def _mapped(self, answer: Answer, document: dict[str, Any], now: float) -> Outcome:
        values = self._values
        match self._conditions.first(document):
            case "not_now_when":
                raise values.not_now(answer, document, now=now)
            case "failure_when":
                return values.rejected(document)
            case "success_when":
                return values.succeeded(document)
            case "taken_when":
                return Taken(values.reference(document))
        outcome = judge(answer, self._dialect, now=now)
        match outcome:
            case Taken():
                return Taken(values.reference(document) or outcome.reference)
            case Rejected() if not 200 <= answer.status < 400:
                return Rejected(values.text("reason", document) or outcome.reason, values.data(document))
        return outcome

    def _by_rule_12(self, answer: Answer, words: str, now: float) -> Outcome:
        try:
            outcome = judge(answer, self._dialect, now=now)
        except NotConnected as error:
            raise NotConnected(f"{error} ({words})", retry_after_seconds=error.retry_after_seconds) from error
        if isinstance(outcome, Rejected):
            return Rejected(f"{outcome.reason} ({words})", outcome.data)
        return outcome
