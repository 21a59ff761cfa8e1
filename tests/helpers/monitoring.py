"""The files for Grafana and Prometheus, and what they name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MONITORING = Path(__file__).parents[2] / "docs" / "monitoring"
RULES = MONITORING / "connectord-rules.yml"
RULE_TESTS = MONITORING / "connectord-rules-test.yml"
DASHBOARD = MONITORING / "connectord-dashboard.json"

_NAME = re.compile(r"\b(?:connectord|process)_[a-z_]+\b")


def dashboard_expressions() -> list[str]:
    """Every query of the dashboard, its variables and annotations included."""

    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for key, item in value.items():
                if key in ("expr", "definition") and isinstance(item, str):
                    yield item
                else:
                    yield from walk(item)
        elif isinstance(value, list):
            for item in value:
                yield from walk(item)

    return list(walk(json.loads(DASHBOARD.read_text(encoding="utf-8"))))


def names_in(text: str) -> set[str]:
    """The metrics that an expression, or a file of them, names."""
    return set(_NAME.findall(text))


def families_of(scrape: str) -> dict[str, str]:
    """The families of a scrape in Prometheus' text format, and their kinds."""
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", scrape, re.MULTILINE))


def series_names(families: dict[str, str]) -> set[str]:
    """What expressions call the families."""
    names = set(families)
    for name, kind in families.items():
        if kind == "histogram":
            names |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    return names
