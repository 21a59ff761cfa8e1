"""Rule 12: what an HTTP answer means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

import httpx
import msgspec
from connectord.adapters import NotConnected, Outcome, Rejected, Taken

from connectord_http.dialects import Dialect
from connectord_http.documents import decode_json, plain
from connectord_http.retry_after import parse_retry_after

_NOT_NOW = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_REFERENCE_KEYS = ("id", "reference")
_LONGEST_REFERENCE = 4_096


class Answer(msgspec.Struct, frozen=True):
    """An answer as it came in. ``body`` is None where it could not be had, because it was too long, in an
    unknown encoding or cut off; the answer is judged by its status alone then.
    """

    status: int
    wire_headers: Sequence[tuple[bytes, bytes]]
    body: bytes | None

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, by whatever case; made when somebody asks, as hardly anybody does."""
        return httpx.Headers(list(self.wire_headers))


def judge(answer: Answer, dialect: Dialect, *, now: float) -> Outcome:
    """What ``answer`` means for the action. ``now`` is in seconds since the epoch.

    Raises :class:`NotConnected` for 'not now', and for what is no final answer at all.
    """
    status = answer.status
    if 200 <= status < 300:
        return _accepted(answer.body or b"", dialect)
    # 600 and above do not exist; the standard wants them taken for a 5xx
    if status in _NOT_NOW or status < 200 or status >= 500:
        raise NotConnected(status_line(status), retry_after_seconds=wished_seconds(answer, now=now))
    if status < 400:
        return Rejected(_redirected(answer))
    return Rejected(_reason(answer, dialect) or status_line(status))


def wished_seconds(answer: Answer, *, now: float) -> float | None:
    """When the system wants to be asked again, if it says so. ``now`` is in seconds since the epoch."""
    return parse_retry_after(answer.headers.get("retry-after"), date=answer.headers.get("date"), now=now)


def status_line(status: int) -> str:
    """``HTTP 404 Not Found``; the number alone where it has no standard name."""
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


def _accepted(body: bytes, dialect: Dialect) -> Outcome:
    if not body:
        return Taken()  # what nearly all systems answer; to find no JSON in it costs more than all the rest here
    response = dialect.read_answer(body)
    return Taken(reference=_reference(body)) if response is None else response


def is_reference(text: str) -> bool:
    """Whether ``text`` can be kept as a system's own name for the work."""
    return 0 < len(text) <= _LONGEST_REFERENCE and text.isprintable()


def _reference(body: bytes) -> str | None:
    return next((text.strip() for text in _texts(body, _REFERENCE_KEYS) if is_reference(text.strip())), None)


def _redirected(answer: Answer) -> str:
    location = plain(answer.headers.get("location", ""))
    where = f" to {location}" if location else ""
    return f"{status_line(answer.status)}{where}: redirects are not followed"


def _reason(answer: Answer, dialect: Dialect) -> str | None:
    body = answer.body or b""
    return _first_text(body, dialect.reason_keys) or plain(body.decode(errors="replace")) or None


def _first_text(body: bytes, keys: tuple[str, ...]) -> str | None:
    return next(filter(None, map(plain, _texts(body, keys))), None)


def _texts(body: bytes, keys: tuple[str, ...]) -> list[str]:
    try:
        document = decode_json(body)
    except ValueError:
        return []
    if not isinstance(document, dict):
        return []
    return [value for key in keys if isinstance(value := document.get(key), str)]
