"""The peers' benchmark: what it writes from results, and that its own part runs. Nothing is measured here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from helpers.programs import require_program

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
NAMES = ("connectord", "Dramatiq, Redis", "arq, Redis")


@pytest.fixture
def results() -> dict[str, Any]:
    """Two rounds of three contenders; the second one was left out of the second round."""

    def figures(rate: float, cost: float) -> dict[str, float]:
        return {"per_second": rate, "worker_microseconds": cost, "service_microseconds": 50.0}

    return {
        "taken_at": "2026-11-25 02:00",
        "machine": {"processor": "P", "cores": 2, "kernel": "6", "python": "3.11", "load": "0.1"},
        "versions": {"connectord": "1", "redis": "7"},
        "jobs": 10_000,
        "kill_jobs": 2000,
        "trials": {"connectord": {"a": 3000.0, "b": 4000.0}},
        "settings": {"connectord": "b", "Dramatiq, Redis": "<2 & 8>", "arq, Redis": "64"},
        "jobs_of": {"connectord": 10_000, "Dramatiq, Redis": 10_000, "arq, Redis": 2500},
        "rounds": [
            {"connectord": figures(4000, 200), "Dramatiq, Redis": figures(2000, 700), "arq, Redis": figures(500, 950)},
            {"connectord": figures(3000, 200), "arq, Redis": figures(600, 950)},
        ],
        "kills": {
            "connectord": {"lost": 0, "doubled": 3, "seconds": 2.0},
            "Dramatiq, Redis": {"lost": 17, "doubled": 0, "seconds": 22.0},
        },
        "left_out": {"Huey, SQLite": "huey is not installed"},
        "parts": {"python benchmarks/full_loop.py": "the loop / the bare half 1.3\n"},
    }


def run_in_benchmarks(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``code`` as a benchmark is run: from its folder, in a process of its own."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=BENCHMARKS, capture_output=True, text=True, check=False)


WRITE = (
    "import json, pathlib, sys; from peers.rendering import write_docs;"
    "write_docs(json.loads(pathlib.Path(sys.argv[1]).read_text()), pathlib.Path(sys.argv[2]))"
)


def test_results_become_tables_and_plots_between_the_markers(tmp_path: Path, results: dict[str, Any]) -> None:
    begin, end = "<!-- peers: written by benchmarks/compare.py; do not edit -->", "<!-- end of peers -->"
    document = tmp_path / "benchmarks.md"
    document.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    stored = tmp_path / "results.json"
    stored.write_text(json.dumps(results))
    for _ in range(2):  # written again, it is the same
        done = run_in_benchmarks(WRITE, str(stored), str(tmp_path))
        assert done.returncode == 0, done.stderr
    text = document.read_text()
    assert text.startswith(f"before\n{begin}\n")
    assert text.endswith(f"{end}\nafter\n")
    assert "old" not in text
    # ratios are taken within the rounds: 8 and 5 for arq, 2 for Dramatiq, which was there but once
    assert "| arq, Redis | 2,500 | 550 | 500 - 600 | 6.50 | 950 + 50 | 4.00 |" in text
    assert "| connectord / Dramatiq, Redis | 1.5 | 2.00 | 3.00 |" in text
    assert text.index("| connectord | 0 | 3 | 2.0 |") < text.index("| Dramatiq, Redis | 17 | 0 | 22.0 |")
    assert "| connectord | b | a: 3,000 |" in text
    assert "Left out: Huey, SQLite: huey is not installed." in text
    assert "the loop / the bare half 1.3" in text
    for name in ("peers-rate.svg", "peers-cost.svg"):
        picture = (tmp_path / "benchmarks" / name).read_text()
        root = ElementTree.fromstring(picture)  # noqa: S314 - our own
        words = [element.text for element in root.iter() if element.text]
        assert set(NAMES) <= set(words)


def test_a_document_without_markers_is_named(tmp_path: Path, results: dict[str, Any]) -> None:
    (tmp_path / "benchmarks.md").write_text("nothing\n")
    stored = tmp_path / "results.json"
    stored.write_text(json.dumps(results))
    done = run_in_benchmarks(WRITE, str(stored), str(tmp_path))
    assert done.returncode != 0
    assert "lacks the lines <!-- peers" in done.stderr


def test_the_benchmark_measures_connectord_and_names_who_is_not_there(tmp_path: Path) -> None:
    require_program("nginx")
    require_program("setpriv")
    copy = tmp_path / "benchmarks"  # beside no environment of the peers
    shutil.copytree(BENCHMARKS, copy)
    output = tmp_path / "results.json"
    options = ["--jobs", "40", "--rounds", "1", "--trial-jobs", "0", "--kill-jobs", "40", "--no-docs"]
    options += ["--only", "connectord", "Huey, SQLite", "--output", str(output)]
    command = [sys.executable, str(copy / "compare.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads(output.read_text())
    assert results["rounds"][0]["connectord"]["per_second"] > 0
    assert results["kills"]["connectord"]["lost"] == 0
    assert results["left_out"] == {"Huey, SQLite": "huey is not installed; make bench-peers-setup installs it"}
