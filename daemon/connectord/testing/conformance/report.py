"""The graded report in pytest's terminal summary.

It registers itself with the first test of a kit that runs, so whoever does not use the kit pays nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest

SECTIONS = {
    "cancellation": "cancelled at every await",
    "killed": "killed at every await",
    "idempotency key": "the same key on every attempt",
    "broken peers": "slow and broken peers",
    "callbacks": "early, late, duplicate and forged callbacks",
    "event loop": "does not hold up the event loop",
    "concurrency": "as many at once as it may",
    "clock": "jumps of the wall clock",
    "settings": "mistakes in the settings",
    "secrets": "secrets stay secret",
}
"""Every section, in the order of the report."""

VITAL = frozenset({"cancellation", "killed", "idempotency key", "broken peers", "callbacks"})
"""Sections whose failure may do work twice, lose it, or stop the system's lane."""

PROPERTY = "connectord conformance"
_PLUGIN = "connectord-conformance-report"


class Report:
    """A pytest plugin that counts what the tests of the kit came to, for each adapter and section."""

    def __init__(self) -> None:
        self.results: dict[str, dict[str, Counter[str]]] = {}
        self.reasons: dict[tuple[str, str], dict[str, None]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test."""
        place = dict(report.user_properties).get(PROPERTY)
        if not isinstance(place, str) or (report.when != "call" and report.outcome == "passed"):
            return
        adapter, _, section = place.partition("/")
        self.results.setdefault(adapter, {}).setdefault(section, Counter())[report.outcome] += 1
        if report.skipped and isinstance(report.longrepr, tuple):
            reason = str(report.longrepr[2]).removeprefix("Skipped: ")
            self.reasons.setdefault((adapter, section), {})[reason] = None

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the report."""
        for adapter, sections in self.results.items():
            terminalreporter.section(f"conformance of the adapter {adapter}")
            for name, words in SECTIONS.items():
                if name in sections:
                    terminalreporter.write_line(f"{words:45} {_judgement(sections[name])}")
                    for reason in self.reasons.get((adapter, name), ()):
                        terminalreporter.write_line(f"    {reason}")
            letter, meaning = grade(sections)
            terminalreporter.write_line(f"grade {letter}: {meaning}", bold=True)


def grade(sections: Mapping[str, Mapping[str, int]]) -> tuple[str, str]:
    """The grade, and what it means; ``sections`` has the counts of outcomes by section."""
    failed = [name for name, counts in sections.items() if counts.get("failed")]
    vital = [name for name in failed if name in VITAL]
    missing = [name for name in SECTIONS if name not in sections]
    if vital:
        return ("D" if len(vital) == 1 else "F"), f"not for production: {', '.join(vital)} failed"
    if failed:
        return ("B" if len(failed) == 1 else "C"), f"works under failure, but {', '.join(failed)} failed"
    if missing:
        return "incomplete", f"nothing failed, but not everything was run: {', '.join(missing)}"
    return "A", "everything that applies passed"


def take_part(item: pytest.Item, adapter: str, section: str) -> None:
    """Let a test count for ``section`` in the report."""
    if item.config.pluginmanager.get_plugin(_PLUGIN) is None:
        item.config.pluginmanager.register(Report(), _PLUGIN)
    item.user_properties.append((PROPERTY, f"{adapter}/{section}"))


def _judgement(counts: Mapping[str, int]) -> str:
    passed, failed, skipped = (counts.get(outcome, 0) for outcome in ("passed", "failed", "skipped"))
    if failed:
        return f"FAILED ({failed} of {failed + passed})"
    if not passed:
        return "not applicable"
    return f"passed ({passed}{f', {skipped} not applicable' if skipped else ''})"
