"""``systems.NAME.poll`` and ``systems.NAME.healthcheck``: when a system is asked, where its adapter can ask."""

from __future__ import annotations

from connectord.adapters import Adapter, AdapterSettings, has_method
from connectord.config.retries import HIGHEST_FACTOR
from connectord.config.scalars import duration, number
from connectord.config.tables import Table
from connectord.config.values import DEFAULT_HEALTHCHECK_MS
from connectord.lifecycle.policy import PollPolicy

SHORTEST_INTERVAL_MS = 100
SHORTEST_HEALTHCHECK_MS = 1_000
OFF = "off"

_DEFAULTS = PollPolicy()
_healthcheck_duration = duration(minimum_ms=SHORTEST_HEALTHCHECK_MS)


def read_poll(system: Table, adapter: type[Adapter] | None, settings: AdapterSettings | None) -> PollPolicy | None:
    """The ``poll`` table of a system; None where its adapter does not poll, which a table is a problem for."""
    table = system.table("poll")
    if adapter is None or settings is None:
        # whether it polls is settled once the adapter and its settings are
        return None
    if not adapter.offers("poll", settings):
        if "poll" in system:
            way_out = "leave this out"
            if has_method(adapter, "poll"):
                way_out = f"say how in {adapter.name}.poll, or {way_out}"
            system.problem("poll", f"the adapter {adapter.name} does not poll: {way_out}")
        return None
    poll = PollPolicy(
        interval_ms=table.read("interval", duration(minimum_ms=SHORTEST_INTERVAL_MS), _DEFAULTS.interval_ms),
        factor=table.read("factor", number(1, HIGHEST_FACTOR), _DEFAULTS.factor),
        max_interval_ms=table.read("max_interval", duration(), _DEFAULTS.max_interval_ms),
        jitter=table.read("jitter", number(0, 1), _DEFAULTS.jitter),
    )
    table.finish()
    table.keep_in_order(("interval", poll.interval_ms), ("max_interval", poll.max_interval_ms))
    return poll


def read_healthcheck(system: Table, adapter: type[Adapter] | None, settings: AdapterSettings | None) -> int | None:
    """How long the system may be silent before it is looked after; None where it never is."""
    interval_ms = system.read("healthcheck", _healthcheck, DEFAULT_HEALTHCHECK_MS)
    if adapter is not None and settings is not None and not adapter.offers("healthcheck", settings):
        if interval_ms is not None and "healthcheck" in system:
            system.problem("healthcheck", f'the adapter {adapter.name} has none: leave this out, or say "{OFF}"')
        return None
    return interval_ms


def _healthcheck(value: object) -> int | None:
    if value == OFF:
        return None
    try:
        return _healthcheck_duration(value)
    except ValueError as error:
        raise ValueError(f'{error}, or "{OFF}"') from error
