"""``dialect = "connectord"``: connectord's own format."""

from __future__ import annotations

from typing import Any

from connectord.adapters import Call, Progress, Rejected, Response, Succeeded, response_from
from connectord.errors import InvalidCallback
from connectord.responses import read_response


def build_payload(call: Call) -> dict[str, Any]:
    """The body that hands ``call`` over. ``callback_url`` is null under rule 19."""
    return {
        "action": {
            "id": call.action_id,
            "system": call.system,
            "case": call.case_id,
            "owner": call.owner,
            "attempt": call.attempt,
            "submitted_at": call.submitted_at,
            "data": dict(call.data),
            "case_data": dict(call.case_data),
        },
        "callback_url": call.callback_url,
    }


def read_callback(body: bytes) -> Response:
    """What a callback says. Raises :class:`connectord.errors.InvalidCallback`."""
    return response_from(read_response(body))


def read_answer(body: bytes) -> Succeeded | Rejected | None:
    """The response that the body of a 2xx answer is, if it is one; a heartbeat is none yet."""
    try:
        response = read_callback(body)
    except InvalidCallback:
        return None
    return None if isinstance(response, Progress) else response
