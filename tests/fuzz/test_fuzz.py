"""The fuzz targets on their corpora, and for a fixed number of runs; ``make fuzz`` runs them for longer."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz import targets

TESTS = Path(__file__).parents[1]
CORPUS = Path(__file__).parent / "corpus"
RUNS = 1500


@pytest.mark.parametrize("file", sorted(CORPUS.glob("*/*")), ids=lambda file: f"{file.parent.name}-{file.name}")
def test_the_corpus_is_survived(file: Path) -> None:
    targets.run(file.parent.name, file.read_bytes())


def test_every_target_has_a_corpus() -> None:
    assert {directory.name for directory in CORPUS.iterdir()} == set(targets.TARGETS)


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed: x86_64 Linux only")
def test_a_short_run_finds_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fuzz.fuzz", "any", "--runs", str(RUNS), "--keep", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    assert f"stat::number_of_executed_units: {RUNS}" in done.stderr
