"""``[retry]`` and ``systems.NAME.retry``."""

from __future__ import annotations

from connectord.config.scalars import duration, number, whole_number
from connectord.config.tables import Table
from connectord.lifecycle.policy import RetryPolicy

HIGHEST_LIMIT = 1_000_000
HIGHEST_FACTOR = 100


def read_retry(table: Table, defaults: RetryPolicy, parent: Table | None = None) -> RetryPolicy:
    """A ``retry`` table; what it does not say is taken from ``defaults``, which were read from ``parent``."""
    retry = RetryPolicy(
        limit=table.read("limit", whole_number(1, HIGHEST_LIMIT), defaults.limit),
        delay_ms=table.read("delay", duration(minimum_ms=0), defaults.delay_ms),
        factor=table.read("factor", number(1, HIGHEST_FACTOR), defaults.factor),
        max_delay_ms=table.read("max_delay", duration(), defaults.max_delay_ms),
        jitter=table.read("jitter", number(0, 1), defaults.jitter),
        budget=table.read("budget", number(0, 1), defaults.budget),
    )
    table.finish()
    if parent is None or parent.sound("delay", "max_delay"):
        table.keep_in_order(("delay", retry.delay_ms), ("max_delay", retry.max_delay_ms))
    return retry
