"""What the answer to a poll means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from connectord.adapters import InvalidCallback, NotConnected, Response

from connectord_http.answer_reading import answer_document
from connectord_http.answers import Answer, status_line, wished_seconds
from connectord_http.conditions import Conditions
from connectord_http.dialects import Dialect
from connectord_http.expressions import MappingFailed
from connectord_http.reading_settings import PollSettings
from connectord_http.values import Values

log = structlog.get_logger()


class PolledAnswers:
    """Judges answers to polls by the conditions of a :class:`PollSettings`.

    The system has the action: only what an answer says of it decides, never that a question was refused. ``hide``
    takes secrets out of what is logged.
    """

    def __init__(self, settings: PollSettings, dialect: Dialect, *, system: str, hide: Callable[[str], str]) -> None:
        self._dialect = dialect
        self._hide = hide
        self._system = system
        self._conditions = Conditions(
            {
                name: getattr(settings, name)
                for name in ("not_now_when", "failure_when", "success_when", "progress_when")
            }
        )
        self._values = Values(data=settings.data, reason=settings.reason, text=settings.text, percent=settings.percent)

    def judge(self, answer: Answer, *, now: float) -> Response | None:
        """The response that ``answer`` is, None for none yet. ``now`` is in seconds since the epoch.

        Raises :class:`NotConnected` where the system has to be asked again.
        """
        document = answer_document(answer)
        words = ""
        try:
            name = self._conditions.first(document)
            if name is not None:
                return self._mapped(name, answer, document, now)
        except MappingFailed as failed:
            log.warning("a polled answer could not be mapped", system=self._system, error=self._hide(str(failed)))
            words = f" ({failed})"
        if not 200 <= answer.status < 300:
            message = f"the poll was answered with {status_line(answer.status)}{words}"
            raise NotConnected(message, retry_after_seconds=wished_seconds(answer, now=now))
        try:
            return self._dialect.read_callback(answer.body or b"")
        except InvalidCallback:
            return None

    def _mapped(self, name: str, answer: Answer, document: dict[str, Any], now: float) -> Response | None:
        match name:
            case "not_now_when":
                raise self._values.not_now(answer, document, now=now)
            case "failure_when":
                return self._values.rejected(document)
            case "success_when":
                return self._values.succeeded(document)
        return self._values.progress(document)
