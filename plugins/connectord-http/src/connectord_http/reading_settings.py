"""Keys that say what answers and callbacks mean."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import pydantic

from connectord_http.conditions import check_condition
from connectord_http.request_settings import Method, RequestSettings
from connectord_http.tables import SettingsTable
from connectord_http.templates import ANSWER_ROOTS, CALLBACK_ROOTS, AnswerTemplate, CallbackTemplate


def _answer_condition(text: str) -> str:
    return check_condition(text, ANSWER_ROOTS)


def _callback_condition(text: str) -> str:
    return check_condition(text, CALLBACK_ROOTS)


AnswerCondition: TypeAlias = Annotated[str, pydantic.AfterValidator(_answer_condition)]
CallbackCondition: TypeAlias = Annotated[str, pydantic.AfterValidator(_callback_condition)]


class ResponseSettings(SettingsTable):
    """``[systems.NAME.http.response]``: what the answer to an attempt means, where rule 12 does not fit.

    Conditions are CEL, values are literals or ``{ expr = "..." }``, both over ``status``, ``headers`` and ``body``. The
    first condition that holds counts, in the order ``not_now_when``, ``failure_when``, ``success_when``,
    ``taken_when``; where none does, rule 12.
    """

    not_now_when: AnswerCondition | None = None
    failure_when: AnswerCondition | None = None
    success_when: AnswerCondition | None = None
    taken_when: AnswerCondition | None = None

    reference: AnswerTemplate | None = None
    """The system's own name for the work."""

    data: AnswerTemplate | None = None
    """The custom data that a response carries; null for none."""

    reason: AnswerTemplate | None = None
    """The rejected reason, and why 'not now'."""


class CallbackSettings(SettingsTable):
    """``[systems.NAME.http.callback]``: what a callback means that is not in the dialect's format.

    Over ``headers`` and ``body``. The first condition that holds counts, in the order ``failure_when``,
    ``success_when``, ``progress_when``; where none does, the callback is refused with 400.
    """

    failure_when: CallbackCondition | None = None
    success_when: CallbackCondition | None = None
    progress_when: CallbackCondition | None = None

    data: CallbackTemplate | None = None
    reason: CallbackTemplate | None = None
    text: CallbackTemplate | None = None
    percent: CallbackTemplate | None = None

    @pydantic.model_validator(mode="after")
    def _decides(self) -> CallbackSettings:
        if self.failure_when is None and self.success_when is None:
            raise ValueError("success_when or failure_when is missing: without them no callback would be a response")
        return self


class PollSettings(RequestSettings):
    """``[systems.NAME.http.poll]``: the request that asks for a response, and what its answer means.

    The first condition that holds counts, in the order ``not_now_when``, ``failure_when``, ``success_when``,
    ``progress_when``. Where none does, a 2xx answer in the dialect's format is that response, any other 2xx says
    nothing yet, and everything else is asked again later: a question that is refused decides nothing.
    """

    method: Method = "GET"

    not_now_when: AnswerCondition | None = None
    failure_when: AnswerCondition | None = None
    success_when: AnswerCondition | None = None
    progress_when: AnswerCondition | None = None

    data: AnswerTemplate | None = None
    reason: AnswerTemplate | None = None
    text: AnswerTemplate | None = None
    percent: AnswerTemplate | None = None
