"""The machine's clock, and what it lets the daemon use."""

from __future__ import annotations

import ctypes
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass

from connectord.callbacks.limits import Limits
from connectord.config import Config
from connectord.control import results as r
from connectord.doctor.findings import error, fine, warning

CLOCK, LIMITS = "clock", "limits"
JUMP_SECONDS = 2.0
OTHER_FILES = 64
"""Database, sockets, logs, and what Python keeps open."""

# struct timex of adjtimex(2) has 208 bytes on 64 bits; its first fields are what is asked for
_TIMEX_BYTES = 208
_STATUS_AT = 40
_UNSYNCHRONISED = 0x0040


@dataclass(frozen=True, slots=True)
class Moment:
    """The two clocks at one time. The second one never jumps, and goes on while the machine sleeps."""

    wall_seconds: float
    steady_seconds: float

    @classmethod
    def now(cls) -> Moment:
        """Both, now."""
        return cls(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME))


def check_clock(started: Moment | None, now: Moment) -> Iterator[r.Finding]:
    """Whether the clock is kept in step, and whether it has jumped since ``started``."""
    synchronised = is_synchronised()
    if synchronised is None:
        yield fine(CLOCK, "the kernel does not say whether the clock is synchronised")
    elif synchronised:
        yield fine(CLOCK, "the clock is synchronised")
    else:
        advice = (
            "start systemd-timesyncd, chrony or ntpd (timedatectl shows it): due times and deadlines go by this clock"
        )
        yield warning(CLOCK, "nothing keeps the clock in step", advice)
    if started is not None:
        jump = (now.wall_seconds - started.wall_seconds) - (now.steady_seconds - started.steady_seconds)
        if abs(jump) > JUMP_SECONDS:
            words = f"the clock has jumped by {jump:+.1f} s since the daemon started"
            yield warning(CLOCK, words, "find out who sets it: what is due, and deadlines, moved along with it")
        else:
            yield fine(CLOCK, "the clock has not jumped since the daemon started")


def is_synchronised() -> bool | None:
    """What adjtimex(2) says; None where it cannot be asked."""
    if ctypes.sizeof(ctypes.c_long) != 8:
        return None
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        if ctypes.CDLL(None, use_errno=True).adjtimex(timex) < 0:
            return None
    except (AttributeError, OSError):
        return None
    return not int.from_bytes(timex.raw[_STATUS_AT : _STATUS_AT + 4], "little") & _UNSYNCHRONISED


def check_limits(config: Config) -> Iterator[r.Finding]:
    """Whether as many files may be open as the configuration may need at once."""
    attempts = sum(system.concurrency for system in config.systems.values())
    callbacks = Limits().max_connections
    needed = attempts + callbacks + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    seen = (
        f"{'any number of' if soft == resource.RLIM_INFINITY else soft} files may be open; {attempts} attempts, "
        f"{callbacks} callbacks and {OTHER_FILES} others at once need {needed}"
    )
    if soft == resource.RLIM_INFINITY or soft >= needed:
        yield fine(LIMITS, seen)
    else:
        advice = f"set LimitNOFILE={needed} in the systemd unit (the hard limit is {hard}), or lower concurrency"
        yield (error if soft < attempts + OTHER_FILES else warning)(LIMITS, seen, advice)
