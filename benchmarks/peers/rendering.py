"""From the results of a run to docs/benchmarks.md, between two markers, and the plots beside it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from peers.contenders import CONNECTORD
from peers.plots import Bar, draw_bars

BEGIN = "<!-- peers: written by benchmarks/compare.py; do not edit -->"
END = "<!-- end of peers -->"
GOALS = (
    ("Dramatiq, Redis", 1.5),
    ("Celery, RabbitMQ", 1.9),
    ("arq, Redis", 4.0),
    ("Procrastinate, PostgreSQL", 8.0),
)
"""How many times as fast as a peer connectord shall be."""


class Unmarked(Exception):
    """The document has no markers."""


def write_docs(results: Mapping[str, Any], docs: Path) -> None:
    """Write the part of ``docs/benchmarks.md`` and the plots. Raises :class:`Unmarked`."""
    document = docs / "benchmarks.md"
    before, begin, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise Unmarked(f"{document} lacks the lines {BEGIN} and {END}, between which the results go")
    plots = docs / "benchmarks"
    plots.mkdir(exist_ok=True)
    for name, drawn in draw(results).items():
        (plots / name).write_text(drawn, encoding="utf-8")
    document.write_text(f"{before}{BEGIN}\n{render(results)}{END}{after}", encoding="utf-8")


def draw(results: Mapping[str, Any]) -> dict[str, str]:
    """The plots, each with the name of its file."""
    rates, costs = [], []
    for name in _by_rate(results):
        measured = _measured(results, name, "per_second")
        median = statistics.median(measured)
        rates.append(Bar(name, median, min(measured), max(measured), ours=name == CONNECTORD))
        worker, service = (
            statistics.median(_measured(results, name, key)) for key in ("worker_microseconds", "service_microseconds")
        )
        costs.append(Bar(name, worker, worker, worker, service, name == CONNECTORD))
    costs.sort(key=lambda bar: bar.value + bar.second)
    return {
        "peers-rate.svg": draw_bars("Jobs a second", "median, and from the slowest to the fastest round", rates),
        "peers-cost.svg": draw_bars(
            "Processor time a job", "microseconds: of the workers, then of the server that keeps the jobs", costs
        ),
    }


def render(results: Mapping[str, Any]) -> str:
    """The results in Markdown."""
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(results["versions"].items()))
    taken = (
        f"Taken {results['taken_at']} UTC on {machine['cores']} cores ({machine['processor']}), Python "
        f"{machine['python']}, kernel {machine['kernel']}; load at the end: {machine['load']}. "
        f"Rounds: {len(results['rounds'])}; jobs: {results['jobs']:,}."
    )
    lines = [
        taken,
        "",
        "![jobs a second](benchmarks/peers-rate.svg)",
        "",
        *_rates(results),
        "",
        "![processor time a job](benchmarks/peers-cost.svg)",
        "",
        *_goals(results),
        *_kills(results),
        *_settings(results),
        *(f"Left out: {name}: {why}.\n" for name, why in results["left_out"].items()),
        f"Versions: {versions}.",
        *_parts(results),
    ]
    return "\n".join(lines) + "\n"


def _rates(results: Mapping[str, Any]) -> list[str]:
    lines = [
        "| | jobs | a second, median | from - to | connectord / it | us: workers + server | connectord / it by these |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in _by_rate(results):
        rates = _measured(results, name, "per_second")
        worker = statistics.median(_measured(results, name, "worker_microseconds"))
        service = statistics.median(_measured(results, name, "service_microseconds"))
        lines.append(
            f"| {name} | {results['jobs_of'][name]:,} | {statistics.median(rates):,.0f} "
            f"| {min(rates):,.0f} - {max(rates):,.0f} | {_ratio(results, name, _rate)} "
            f"| {worker:,.0f} + {service:,.0f} | {_ratio(results, name, _speed_of_cost)} |"
        )
    return lines


def _goals(results: Mapping[str, Any]) -> list[str]:
    lines = ["| goal | wanted | by the clock | by processor time |", "| --- | --- | --- | --- |"]
    for name, wanted in GOALS:
        if name in _by_rate(results):
            lines.append(
                f"| connectord / {name} | {wanted:.1f} | {_ratio(results, name, _rate)} "
                f"| {_ratio(results, name, _speed_of_cost)} |"
            )
    return [*lines, ""] if len(lines) > 2 else []


def _kills(results: Mapping[str, Any]) -> list[str]:
    if not results["kills"]:
        return []
    lines = [
        f"SIGKILL to all workers when a third of {results['kill_jobs']:,} jobs was done, one trial each:",
        "",
        "| | not delivered | delivered twice | seconds until the rest was there, or nothing more came |",
        "| --- | --- | --- | --- |",
    ]
    for name, killed in sorted(results["kills"].items(), key=lambda item: (item[1]["lost"], item[1]["doubled"])):
        lines.append(f"| {name} | {killed['lost']:,} | {killed['doubled']:,} | {killed['seconds']:.1f} |")
    return [*lines, ""]


def _settings(results: Mapping[str, Any]) -> list[str]:
    lines = ["| | the setting taken | others tried (a second, with few jobs) |", "| --- | --- | --- |"]
    for name, setting in results["settings"].items():
        trials = results["trials"].get(name, {})
        others = "; ".join(f"{other}: {rate:,.0f}" for other, rate in trials.items() if other != setting)
        lines.append(f"| {name} | {setting} | {others or '-'} |")
    return [*lines, ""]


def _parts(results: Mapping[str, Any]) -> list[str]:
    parts = results.get("parts") or {}
    lines = ["", "The loop and its parts against their limits, in the same run:"] if parts else []
    for command, printed in parts.items():
        lines += ["", "```text", f"$ {command}", printed.rstrip(), "```"]
    return lines


def _by_rate(results: Mapping[str, Any]) -> list[str]:
    names = {name for told in results["rounds"] for name in told}
    return sorted(names, key=lambda name: -statistics.median(_measured(results, name, "per_second")))


def _measured(results: Mapping[str, Any], name: str, key: str) -> Sequence[float]:
    return [told[name][key] for told in results["rounds"] if name in told]


def _ratio(results: Mapping[str, Any], name: str, speed: Callable[[Mapping[str, float]], float]) -> str:
    """How many times as fast as ``name`` connectord was: the median of the ratios within the rounds."""
    both = [told for told in results["rounds"] if name in told and CONNECTORD in told]
    return f"{statistics.median(speed(told[CONNECTORD]) / speed(told[name]) for told in both):.2f}" if both else "-"


def _rate(figures: Mapping[str, float]) -> float:
    return figures["per_second"]


def _speed_of_cost(figures: Mapping[str, float]) -> float:
    return 1 / max(figures["worker_microseconds"] + figures["service_microseconds"], 1e-9)
