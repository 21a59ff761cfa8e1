"""``dialect = "connectord"``: connectord's own format."""

from __future__ import annotations

from connectord.adapters import Progress, Rejected, Response, Succeeded, response_from
from connectord.errors import InvalidCallback
from connectord.responses import read_response


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
