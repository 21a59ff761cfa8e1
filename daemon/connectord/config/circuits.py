"""``systems.NAME.circuit``: when attempts stop because the system is away. ``false`` switches it off."""

from __future__ import annotations

from connectord.config.scalars import duration, number, whole_number
from connectord.config.tables import Table
from connectord.config.values import CircuitPolicy

MOST_FAILURES = 1_000
MOST_TRIALS = 100
SHORTEST_PAUSE_MS = 100
SHORTEST_WINDOW_MS = 1_000

_DEFAULTS = CircuitPolicy()


def read_circuit(system: Table) -> CircuitPolicy | None:
    """The ``circuit`` table of a system; None where it says ``circuit = false``."""
    given = system.values.get("circuit")
    if isinstance(given, bool):
        system.expect("circuit")
        return _DEFAULTS if given else None
    table = system.table("circuit")
    circuit = CircuitPolicy(
        failures=table.read("failures", whole_number(1, MOST_FAILURES), _DEFAULTS.failures),
        ratio=table.read("ratio", number(0, 1), _DEFAULTS.ratio),
        window_ms=table.read("window", duration(minimum_ms=SHORTEST_WINDOW_MS), _DEFAULTS.window_ms),
        pause_ms=table.read("pause", duration(minimum_ms=SHORTEST_PAUSE_MS), _DEFAULTS.pause_ms),
        max_pause_ms=table.read("max_pause", duration(minimum_ms=SHORTEST_PAUSE_MS), _DEFAULTS.max_pause_ms),
        trials=table.read("trials", whole_number(1, MOST_TRIALS), _DEFAULTS.trials),
    )
    table.finish()
    table.keep_in_order(("pause", circuit.pause_ms), ("max_pause", circuit.max_pause_ms))
    return circuit
