"""docs/monitoring.md names every metric and every event of the log, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from connectord.lifecycle.action import State

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "daemon" / "connectord"
PAGE = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")

LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}
SPEAKERS = {"log", "logger", "level", "say", "tell", "_warn"}
"""What a line is said with, all over the code."""
MAKERS = {"gauge", "gauges", "counter", "counters", "histogram", "histograms", "info"}


def trees(*folders: Path) -> Iterator[ast.Module]:
    for folder in folders:
        for path in folder.rglob("*.py"):
            yield ast.parse(path.read_text(encoding="utf-8"))


def constants_of(tree: ast.Module) -> dict[str, str]:
    return {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def speaker_of(function: ast.expr) -> str | None:
    """The name of what a call says a line with; None where it says none."""
    if isinstance(function, ast.Name):
        return function.id if function.id in {"level", "say", "tell"} else None
    if not isinstance(function, ast.Attribute):
        return None
    owner = function.value
    name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else None
    if function.attr == "_warn":
        return "_warn"
    return name if name in SPEAKERS and function.attr in LEVELS else None


def texts_of(node: ast.expr, constants: dict[str, str]) -> list[str]:
    match node:
        case ast.Constant(value=str() as text):
            return [text]
        case ast.Name(id=name) if name in constants:
            return [constants[name]]
        case ast.IfExp(body=body, orelse=orelse):
            return [*texts_of(body, constants), *texts_of(orelse, constants)]
    return []


def events_in_the_code() -> set[str]:
    found = {state.value for state in State}  # a change of state is told by its name
    for tree in trees(PACKAGE, *(ROOT / "plugins").glob("*/src")):
        constants = constants_of(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args and speaker_of(node.func) is not None:
                found.update(texts_of(node.args[0], constants))
    return found


def metrics_in_the_code() -> set[str]:
    found = set()
    for tree in trees(PACKAGE / "metrics"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MAKERS and node.args:
                suffix = {"counter": "_total", "counters": "_total", "info": "_info"}.get(node.func.id, "")
                found.update(f"{text}{suffix}" for text in texts_of(node.args[0], {}))
    # the gauges of a lane stand in a table
    lanes = (PACKAGE / "metrics" / "work.py").read_text(encoding="utf-8")
    return found | {
        f"connectord_lane_{name}" for name in re.findall(r'^        \("(\w+)", "[A-Z1]', lanes, re.MULTILINE)
    }


def first_cells(heading: str) -> set[str]:
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_every_metric_is_documented_and_no_other() -> None:
    documented = {name for name in first_cells("Metrics") if name.startswith("connectord_")}
    assert documented == metrics_in_the_code()


def test_every_event_of_the_log_is_documented_and_no_other() -> None:
    assert first_cells("Logs") == events_in_the_code()
