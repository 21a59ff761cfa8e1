"""``[retry]`` and ``systems.NAME.retry``."""

from __future__ import annotations

from connectord.config.durations import format_duration
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
    sound = all(each.sound("delay", "max_delay") for each in (table, parent) if each is not None)
    if sound and retry.delay_ms > retry.max_delay_ms:
        # where neither is set here, it was reported where they come from
        if "delay" in table:
            limit = format_duration(retry.max_delay_ms)
            table.problem("delay", f'must be at most max_delay, which is "{limit}": lower it, or raise max_delay')
        elif "max_delay" in table:
            limit = format_duration(retry.delay_ms)
            table.problem("max_delay", f'must be at least delay, which is "{limit}": raise it, or lower delay')
    return retry
