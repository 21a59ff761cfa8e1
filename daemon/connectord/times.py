"""Times on the outside: RFC 3339, UTC, to the millisecond."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from connectord.errors import InvalidRequest


def rfc3339(at_ms: int) -> str:
    """``2026-11-24T12:00:00.000Z``"""
    return f"{_to_the_second(at_ms // 1000)}.{at_ms % 1000:03d}Z"


@lru_cache(256)
def _to_the_second(at: int) -> str:
    # formatting costs six times what is left: what is told at one time is mostly about a few seconds
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S}"


def parse_rfc3339(text: str, name: str) -> int:
    """Milliseconds since the epoch. Raises :class:`InvalidRequest` that names the parameter ``name``."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError("it has no time zone")
        return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(f"{name}: {text!r} is not a time: {error}; write it as 2026-11-24T12:00:00Z") from error
