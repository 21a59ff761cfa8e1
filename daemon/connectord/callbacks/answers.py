"""The answers of an HTTP listener, as the bytes that are sent.

They carry no ``Date``: nothing in them may be cached, and the listener knows no wall clock.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""What a client that sent ``Expect: 100-continue`` waits for."""

RETRY_AFTER_SECONDS = 5
"""When to try again after a 503."""

_MOST_DETAIL_CHARACTERS = 1000


class CallbackAnswer(enum.Enum):
    """What became of a callback."""

    TAKEN = "taken"
    """200: taken and committed, now or when the same one came before."""

    LATE = "late"
    """202: recorded as a late response (rule 15)."""


class Answer:
    """One answer, ready to be sent: with ``Connection: close`` (:attr:`closing`) or without (:attr:`keeping`).

    :attr:`why` is its detail, None for a 2xx; it never holds a token unless the handler put one there.
    """

    __slots__ = ("_body_bytes", "closing", "keeping", "status", "why")

    def __init__(
        self, status: int, kind: str, body: bytes, headers: Mapping[str, str] | None = None, *, why: str | None = None
    ) -> None:
        lines = [
            f"HTTP/1.1 {status} {_phrase(status)}",
            "Server: connectord",
            f"Content-Type: {kind}",
            f"Content-Length: {len(body)}",
        ]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        head = "\r\n".join(lines).encode("ascii")
        self.status = status
        self.why = why
        self.keeping = head + b"\r\n\r\n" + body
        self.closing = head + b"\r\nConnection: close\r\n\r\n" + body
        self._body_bytes = len(body)

    def to_send(self, *, close: bool, head_only: bool) -> bytes:
        """The bytes; ``head_only`` leaves out the body, which an answer to HEAD must not have."""
        whole = self.closing if close else self.keeping
        return whole[: -self._body_bytes] if head_only else whole


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Answer:
    """An error as application/problem+json (RFC 9457). A ``detail`` of more than 1000 characters is cut."""
    # What a handler says may quote the sender's text, lone surrogates included, which UTF-8 cannot carry.
    detail = detail[:_MOST_DETAIL_CHARACTERS].encode("utf-8", "replace").decode("utf-8")
    document = {"type": "about:blank", "title": _phrase(status), "status": status, "detail": detail}
    return Answer(status, "application/problem+json", _document(document), headers, why=detail)


def not_allowed(detail: str) -> Answer:
    """401: the callback does not prove who sent it."""
    # the header is the standard's wish; no scheme of signatures is registered, and Standard Webhooks names none
    return problem(401, detail, {"WWW-Authenticate": "Signature"})


def unavailable(detail: str) -> Answer:
    """503: nothing was taken; try again."""
    return problem(503, detail, {"Retry-After": str(RETRY_AFTER_SECONDS)})


def too_many(retry_after_seconds: int) -> Answer:
    """429: the peer has sent too many bad tokens or signatures."""
    return problem(429, "too many unknown callback addresses from this peer", {"Retry-After": str(retry_after_seconds)})


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase


def _document(document: Mapping[str, Any]) -> bytes:
    """As people write it: what goes out is read in logs and terminals more often than by programs."""
    return msgspec.json.format(msgspec.json.encode(document), indent=0)


HANDLED = {
    CallbackAnswer.TAKEN: Answer(200, "application/json", _document({"status": "taken"})),
    CallbackAnswer.LATE: Answer(202, "application/json", _document({"status": "late"})),
}
"""What the handler's own answers look like."""

NOT_FOUND = problem(404, "no such address: callbacks go to POST /callback/TOKEN")
NO_SUCH_TOKEN = problem(404, "no such callback address: use the one that came with the action, unchanged")
WRONG_METHOD = problem(405, "a callback is a POST", {"Allow": "POST"})
SLOW_HEADERS = problem(408, "the headers did not come in time")
SLOW_BODY = problem(408, "the body did not come in time")
BODY_TOO_LARGE = problem(413, "the body is too large")
NOT_JSON = problem(415, "the body must be application/json in UTF-8", {"Accept": "application/json"})
ENCODED = problem(415, "the body must not be compressed: no Content-Encoding is taken", {"Accept-Encoding": "identity"})
WRONG_EXPECTATION = problem(417, "the only expectation taken is 100-continue")
HEADERS_TOO_LARGE = problem(431, "the headers are too large, or too many")
INTERNAL = problem(500, "an error of connectord's own; it is in its log")
TOO_MANY_CONNECTIONS = unavailable("too many connections: try again")
DRAINING = unavailable("connectord is stopping: nothing was taken, try again")
STORE_REFUSED = "the store cannot take it now: nothing was lost, try again"
WRONG_VERSION = problem(505, "HTTP/1.1 or HTTP/1.0 only")
CUT_SHORT = problem(400, "the request ended before it was complete")
