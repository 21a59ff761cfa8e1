"""What an HTTP answer says: rule 12, as pure functions."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import msgspec

NOT_NOW = {408, 425, 429}
RETRY_AFTER_CAP_SECONDS = 7 * 86_400.0
REASON_LIMIT = 500


def is_not_now(status: int) -> bool:
    """Rule 12: an answer that says 'not now' is a failed connection."""
    return status in NOT_NOW or status >= 500


def status_words(status: int) -> str:
    """Such as ``HTTP 503 Service Unavailable``."""
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


def retry_after_seconds(value: str | None, date: str | None, now: float) -> float | None:
    """``Retry-After`` in seconds, both forms (RFC 9110, 10.2.3); None where it is absent or rubbish.

    A date is counted from the answer's own ``Date``, so that a wrong clock on either side does no harm; ``now``
    (seconds since the epoch) serves where there is none.
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:12]), RETRY_AFTER_CAP_SECONDS)
    until = _timestamp(value)
    if until is None:
        return None
    sent = _timestamp(date) if date is not None else None
    return min(max(until - (now if sent is None else sent), 0.0), RETRY_AFTER_CAP_SECONDS)


def rejection_reason(status: int, body: bytes) -> str:
    """Why the system refused: from problem+json, from JSON, or the beginning of the text."""
    document = read_json(body)
    if isinstance(document, dict):
        for name in ("detail", "reason", "error", "message"):
            text = document.get(name)
            if isinstance(text, str) and text.strip():
                return text.strip()[:REASON_LIMIT]
    text = body.decode("utf-8", "replace").strip()
    return text[:REASON_LIMIT] or status_words(status)


def read_json(body: bytes) -> Any:
    """The body as JSON; None where it is none."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def reference_in(body: bytes) -> str | None:
    """The system's own name for the work, where its answer is an object with an ``id`` or a ``reference``."""
    document = read_json(body)
    if isinstance(document, dict):
        for name in ("reference", "id"):
            text = document.get(name)
            if isinstance(text, str) and text:
                return text[:200]
    return None


def _timestamp(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError, OverflowError):
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
