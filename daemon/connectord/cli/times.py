"""Moments as people type them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_RELATIVE = re.compile(r"([+-])((?:\d+[smhd])+)", re.ASCII)
_PART = re.compile(r"(\d+)([smhd])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_when(text: str, now: datetime | None = None) -> str:
    """RFC 3339 in UTC for ``2026-11-24T12:00:00Z``, ``+30s``, ``+1h30m``, ``-2d``; ValueError if it is neither."""
    text = text.strip()
    try:
        if match := _RELATIVE.fullmatch(text):
            seconds = sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(match[2]))
            offset = timedelta(seconds=-seconds if match[1] == "-" else seconds)
            return format_utc((now or datetime.now(UTC)) + offset)
        if _RFC3339.fullmatch(text):
            return format_utc(datetime.fromisoformat(text.upper()))
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not a possible time") from None
    raise ValueError(f"{text!r} is neither RFC 3339 (2026-11-24T12:00:00Z) nor relative (+30s, +5m, +2h, +1d)")


def format_utc(moment: datetime) -> str:
    """UTC, RFC 3339, to the millisecond."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
