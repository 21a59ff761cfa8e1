"""Benchmarks are run by hand; that one of them still runs is seen here. Nothing is measured."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def test_the_ledgers_benchmark_runs() -> None:
    options = ["--actions", "20", "--batches", "10", "--rounds", "1", "--rows", "400"]
    command = [sys.executable, str(BENCHMARKS / "ledger.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "ledger / raw SQLite" in done.stdout
    assert "due query at 400 rows" in done.stdout


def test_the_benchmark_of_size_runs_and_closes_what_a_lowered_limit_closes() -> None:
    options = ["--pending", "300", "--waiting", "300", "--loop", "20", "--rounds", "1"]
    # the path of a unix socket is short
    with tempfile.TemporaryDirectory(prefix="cs-") as directory:
        command = [sys.executable, str(BENCHMARKS / "scale.py"), *options, "--directory", directory]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "reload --plan" in done.stdout
    assert "300 to be closed" in done.stdout
    assert "300 closed" in done.stdout
    assert "after a crash" in done.stdout


def test_the_benchmark_of_a_day_with_retention_runs() -> None:
    command = [sys.executable, str(BENCHMARKS / "retention_day.py"), "--actions", "2000", "--keep-hours", "6"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "24.0 h:" in done.stdout
    assert "times what is kept" in done.stdout
