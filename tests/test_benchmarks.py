"""Benchmarks are run by hand; that one of them still runs is seen here. Nothing is measured."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def test_the_ledgers_benchmark_runs() -> None:
    options = ["--actions", "20", "--batches", "10", "--rounds", "1", "--rows", "400"]
    command = [sys.executable, str(BENCHMARKS / "ledger.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "ledger / raw SQLite" in done.stdout
    assert "due query at 400 rows" in done.stdout
