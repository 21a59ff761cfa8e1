"""One measurement: so many queued jobs drained; or the workers killed in the midst of them and started again."""

from __future__ import annotations

import time
from dataclasses import dataclass

from peers.contenders import Contender
from peers.services import Sink

LOOK_SECONDS = 0.05
STALLED_SECONDS = 20
"""Nothing came for so long: what is not there by then is counted as not delivered."""

STARTED_SHARE = 0.1
KILLED_SHARE = 1 / 3
MICROSECONDS = 1e6


@dataclass(frozen=True, slots=True)
class Drained:
    """How fast the jobs were done. Processor time is for one job, in microseconds."""

    per_second: float
    worker_microseconds: float
    service_microseconds: float


@dataclass(frozen=True, slots=True)
class Killed:
    """What a SIGKILL did: jobs that never came, and requests that came again."""

    lost: int
    doubled: int
    seconds: float


class Stalled(Exception):
    """Jobs did not come."""


def drain(contender: Contender, sink: Sink, count: int) -> Drained:
    """Have the jobs done. Counted from the tenth part of them on, so that nobody's start counts.

    The end is the last request, and where the contender can say so, the noting of the last outcome.
    """
    sink.forget()
    contender.enqueue()
    contender.begin()
    started = int(count * STARTED_SHARE)
    _await(contender, sink, started)
    seen_then, used_then = sink.seen(), contender.processor_seconds()
    _await(contender, sink, count)
    while not contender.settled():
        time.sleep(LOOK_SECONDS / 5)
    settled_at = time.time()
    used, seen = contender.processor_seconds(), sink.seen()
    times = [at for at, _ in sink.requests()]
    # the log lags by up to a tenth of a second, which is nothing that the contender took
    last = settled_at if contender.tells_ends else times[-1]
    worker, service = (
        (now - then) / max(seen - seen_then, 1) * MICROSECONDS for now, then in zip(used, used_then, strict=True)
    )
    return Drained((count - started) / (last - times[started - 1]), worker, service)


def kill_and_go_on(contender: Contender, sink: Sink, count: int) -> Killed:
    """Kill the workers when a third of the jobs is done, start them again, and wait for the rest."""
    sink.forget()
    contender.enqueue()
    contender.begin()
    _await(contender, sink, int(count * KILLED_SHARE))
    contender.kill()
    began_at = time.monotonic()
    contender.start_again()
    seen, changed_at = -1, time.monotonic()
    while len({key for _, key in sink.requests()}) < count and time.monotonic() < changed_at + STALLED_SECONDS:
        time.sleep(LOOK_SECONDS * 4)
        if (now := sink.seen()) != seen:
            seen, changed_at = now, time.monotonic()
    took = time.monotonic() - began_at
    time.sleep(2)  # what comes twice may come last
    requests = sink.requests()
    distinct = len({key for _, key in requests})
    return Killed(count - distinct, len(requests) - distinct, took)


def _await(contender: Contender, sink: Sink, count: int) -> None:
    seen, changed_at = -1, time.monotonic()
    while (now := sink.seen()) < count:
        if now != seen:
            seen, changed_at = now, time.monotonic()
        if time.monotonic() > changed_at + 2 * STALLED_SECONDS:
            raise Stalled(f"{now} of {count} jobs came:\n{contender.tail()}")
        time.sleep(LOOK_SECONDS)
