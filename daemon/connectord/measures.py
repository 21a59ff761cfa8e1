"""What the edges count: plain numbers that a scrape reads.

Whoever counts owns the numbers and adds to them in its own task; there is no lock, no lookup of labels, no library.
What they are called outside, and in which format, is the business of :mod:`connectord.metrics`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from typing import Literal, TypeAlias

STEP_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bounds for steps inside of the daemon."""
CALL_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Bounds for what external systems do while somebody waits."""
WAIT_SECONDS = (0.1, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0, 604_800.0)
"""Bounds for what takes minutes or days."""
BATCH_SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)

AttemptResult: TypeAlias = Literal["taken", "succeeded", "rejected", "not_connected", "fault"]
Stage: TypeAlias = Literal["starting", "ready", "stopping"]


class Histogram:
    """How often a value was at most so large, for each of ``bounds``, and the sum of all values."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """How many values fell between two bounds; the last beyond all of them."""
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulated(self) -> list[int]:
        """How many values were at most as large as each bound; the last is all of them."""
        return list(accumulate(self.counts))


@dataclass(slots=True)
class LedgerMeasures:
    """What the ledger counts."""

    submit_seconds: Histogram = field(default_factory=partial(Histogram, STEP_SECONDS))
    """From a submission to its commit."""
    commit_seconds: Histogram = field(default_factory=partial(Histogram, STEP_SECONDS))
    batch_sizes: Histogram = field(default_factory=partial(Histogram, BATCH_SIZES))
    changes: Counter[tuple[str | None, str, str]] = field(default_factory=Counter)
    """Committed changes by (system, event, state that it led to)."""
    response_seconds: dict[str, Histogram] = field(default_factory=dict)
    """By system, how long it took to respond to what it had taken."""
    life_seconds: dict[str, Histogram] = field(default_factory=dict)
    """By system, from the submission of an action until it was closed."""
    refused_batches: int = 0
    """Batches that the store refused, for it was full."""

    def time(self, histograms: dict[str, Histogram], system: str, milliseconds: int) -> None:
        """Count a time in the histogram of a system."""
        histogram = histograms.get(system)
        if histogram is None:
            histogram = histograms[system] = Histogram(WAIT_SECONDS)
        histogram.observe(max(milliseconds, 0) / 1000)


@dataclass(slots=True)
class LaneMeasures:
    """What a lane counts; kept while its system is configured, whatever adapter serves it."""

    results: Counter[AttemptResult] = field(default_factory=Counter)
    late_seconds: Histogram = field(default_factory=partial(Histogram, CALL_SECONDS))
    """From when an action was due to the begin of its attempt."""
    attempt_seconds: Histogram = field(default_factory=partial(Histogram, CALL_SECONDS))
    polls: int = 0
    probes: int = 0


@dataclass(slots=True)
class CallbackMeasures:
    """What the callback listener counts."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: Histogram = field(default_factory=partial(Histogram, STEP_SECONDS))
    """From a callback's last byte to its answer, the commit included."""


@dataclass(slots=True)
class ControlMeasures:
    """What the control socket counts, by method."""

    seconds: dict[str, Histogram] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)

    def count(self, method: str, seconds: float, *, failed: bool) -> None:
        """Count one request."""
        histogram = self.seconds.get(method)
        if histogram is None:
            histogram = self.seconds[method] = Histogram(STEP_SECONDS)
        histogram.observe(seconds)
        if failed:
            self.errors[method] += 1


@dataclass(slots=True)
class NotifierMeasures:
    """What the notifier counts: deliveries that came through, and those that did not."""

    delivered: int = 0
    failed: int = 0


@dataclass(slots=True)
class DaemonMeasures:
    """What the daemon as a whole counts. Times are milliseconds since the epoch."""

    stage: Stage = "starting"
    reloads_applied: int = 0
    reloads_refused: int = 0
    last_reload_at: int | None = None
    last_reload_applied: bool = True
    interrupted_attempts: int = 0
    """Attempts that this start found interrupted (rule 14)."""
    clock_jumps: int = 0

    def reloaded(self, now_ms: int, *, applied: bool) -> None:
        """Count a reload."""
        self.last_reload_at, self.last_reload_applied = now_ms, applied
        if applied:
            self.reloads_applied += 1
        else:
            self.reloads_refused += 1
