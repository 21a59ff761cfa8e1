"""WHEN on the command line: a time, or how long from now."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_RELATIVE = re.compile(r"([+-])(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_when(text: str, now: datetime) -> str:
    """RFC 3339 for ``text``: RFC 3339 itself, or ``+5m``, ``-2h``, ``now``. Raises ValueError."""
    if text == "now":
        return _format(now)
    relative = _RELATIVE.fullmatch(text)
    if relative is not None:
        sign, number, unit = relative.groups()
        seconds = float(number) * _SECONDS[unit]
        return _format(now + timedelta(seconds=seconds if sign == "+" else -seconds))
    moment = datetime.fromisoformat(text)
    return _format(moment if moment.tzinfo is not None else moment.astimezone())


def _format(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
