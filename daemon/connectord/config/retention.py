"""``[retention]``: how long closed actions are kept."""

from __future__ import annotations

from connectord.config.scalars import duration
from connectord.config.tables import Table
from connectord.config.values import DEFAULT_KEYS_MS, RetentionSettings

FOREVER = "forever"
SHORTEST_AGE_MS = 3_600_000


def read_retention(table: Table) -> RetentionSettings:
    """The ``[retention]`` table."""
    settings = RetentionSettings(
        done_successfully_ms=table.read("done_successfully", _age, None),
        not_done_successfully_ms=table.read("not_done_successfully", _age, None),
        keys_ms=table.read("keys", duration(minimum_ms=0), DEFAULT_KEYS_MS),
    )
    table.finish()
    return settings


def _age(value: object) -> int | None:
    if value == FOREVER:
        return None
    try:
        return duration(minimum_ms=SHORTEST_AGE_MS)(value)
    except ValueError as error:
        raise ValueError(f'{error}; or "{FOREVER}"') from None
