"""The dialect ``connectord``: our own format, out and back."""

from __future__ import annotations

from typing import Any

from connectord.adapters import Call, InvalidCallback, Progress, Rejected, Response, Succeeded, response_from
from connectord.responses import read_response


def payload(call: Call) -> dict[str, Any]:
    """What is sent."""
    return {
        "action": {
            "id": call.action_id,
            "system": call.system,
            "case": call.case_id,
            "owner": call.owner,
            "attempt": call.attempt,
            "submitted_at": call.submitted_at,
            "data": call.data,
            "case_data": call.case_data,
        },
        "callback_url": call.callback_url,
    }


def read_callback(body: bytes) -> Response:
    """The response that a callback's body is. Raises :class:`InvalidCallback`."""
    return response_from(read_response(body))


def read_answer(body: bytes) -> Succeeded | Rejected | None:
    """The response that the answer to the request is, or None where it is none."""
    try:
        response = read_callback(body)
    except InvalidCallback:
        return None
    return None if isinstance(response, Progress) else response
