"""``Retry-After``: when a system that said 'not now' wants to be asked again."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_SECONDS = 7 * 86_400.0
"""A wish for more than 7 days counts as 7 days."""

_SECONDS = re.compile(r"[0-9]+", re.ASCII)
_LONGEST_HEADER = 64


def parse_retry_after(value: str | None, *, date: str | None, now: float) -> float | None:
    """The seconds to wait, from 0 to :data:`LONGEST_SECONDS`; None where ``value`` is missing or rubbish.

    ``value`` is a number of seconds or an HTTP date. A date counts from ``date``, the same answer's ``Date``, so
    that the two machines' clocks need not agree; without one from ``now``, in seconds since the epoch.
    """
    if value is None or len(value) > _LONGEST_HEADER:
        return None
    value = value.strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), LONGEST_SECONDS)
    wanted = _timestamp(value)
    if wanted is None:
        return None
    sent = _timestamp(date) if date is not None else None
    return min(max(wanted - (now if sent is None else sent), 0.0), LONGEST_SECONDS)


def _timestamp(value: str) -> float | None:
    if len(value) > _LONGEST_HEADER:
        return None
    try:
        moment: datetime = parsedate_to_datetime(value)
        # asctime, the oldest of the three forms, names no zone, and HTTP knows only one
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
