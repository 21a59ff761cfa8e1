"""Faults that repeat: the first is told at once, the others once a minute, with how many there were.

A lane whose system is down fails thousands of times an hour with the same words, and a log that says so thousands of
times hides everything else. What each action met is in its card.
"""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import structlog
import trio

Line: TypeAlias = MutableMapping[str, Any]

QUIET_SECONDS = 60.0
"""How long a fault is only counted after it was told."""

MOST_KINDS = 10
"""How many different words of one kind of fault are told apart; what is more counts as one."""

LOOK_SECONDS = 5.0

_COLLAPSED = ("warning", "error", "exception")
_SAME = ("system", "adapter", "method", "plugin", "notifier", "via", "listener", "at", "error")
"""The fields that make two faults the same, beside the event."""
_OF_ONE = ("action", "attempt", "case", "exc_info", "owner", "tries", "text", "peer")
"""The fields that are of one fault only, and say nothing of many."""
_LONGEST_WORDS = 200

log = structlog.get_logger()


@dataclass(slots=True)
class _Fault:
    level: str
    since: float
    repeated: int
    last: Line


class Collapser:
    """A structlog processor that drops faults which were told a short time ago, and counts them."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._faults: dict[tuple[str, ...], _Fault] = {}
        self._kinds: Counter[tuple[str, ...]] = Counter()

    def __call__(self, logger: Any, name: str, line: Line) -> Line:
        if name not in _COLLAPSED or "repeated" in line:
            return line
        kind = (str(line.get("event")), str(line.get("system")))
        key = (*kind, *(_words(line, field) for field in _SAME))
        fault = self._faults.get(key)
        if fault is None and self._kinds[kind] >= MOST_KINDS:
            key = kind
            fault = self._faults.get(key)
        if fault is None:
            self._faults[key] = _Fault(name, self._now(), 0, {})
            self._kinds[kind] += 1
            return line
        fault.repeated += 1
        # without what is of this one only: a traceback would keep everything alive that it shows
        fault.last = {name: value for name, value in line.items() if name not in _OF_ONE}
        raise structlog.DropEvent

    def tell(self, *, all_of_them: bool = False) -> None:
        """Tell what has been counted for :data:`QUIET_SECONDS`, or all of it."""
        now = self._now()
        for key, fault in list(self._faults.items()):
            seconds = now - fault.since
            if seconds < QUIET_SECONDS and not all_of_them:
                continue
            if not fault.repeated:
                del self._faults[key]
                self._kinds[key[:2]] -= 1
                continue
            fields, repeated = fault.last, fault.repeated
            fault.since, fault.repeated, fault.last = now, 0, {}
            say = log.warning if fault.level == "warning" else log.error
            say(**fields, repeated=repeated, within_seconds=round(seconds))

    async def run(self) -> None:
        """Tell, until cancelled; then what is left."""
        try:
            while True:
                await trio.sleep(LOOK_SECONDS)
                self.tell()
        finally:
            self.tell(all_of_them=True)


def _words(line: Line, field: str) -> str:
    value = line.get(field)
    if value is None and field == "error":
        value = line.get("exc_info")
    if isinstance(value, BaseException):
        # a plugin's exception may fail in its own __str__, which this stands
        value = "".join(traceback.format_exception_only(value))
    return "" if value is None else str(value)[:_LONGEST_WORDS]
