"""The whole daemon in a simulated world: a thousand seeds without a violation, each the same run whenever it is run."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import pytest
from click.testing import CliRunner
from connectord.testing.simulation import Violation, run_seed
from connectord.testing.simulation.command import main
from connectord.testing.simulation.plan import AIMS

SEEDS = 1000
SHARE = 25


@pytest.mark.parametrize("first", range(0, SEEDS, SHARE))
def test_no_seed_breaks_a_promise(first: int) -> None:
    outcomes = [run_seed(seed) for seed in range(first, first + SHARE)]
    assert [f"connectord-simulate {each.seed} --trace: {each.violation}" for each in outcomes if each.violation] == []
    # a run in which nothing happens would show nothing
    assert sum(each.commits for each in outcomes) > 10 * SHARE
    assert sum(each.lives for each in outcomes) > SHARE
    assert {each.aim for each in outcomes} == set(AIMS)


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_a_seed_is_the_same_run_in_another_process_whatever_the_hash_seed(hash_seed: str) -> None:
    seeds = range(300, 300 + len(AIMS))
    digests = [run_seed(seed).digest for seed in seeds]
    assert len(set(digests)) == len(digests)
    program = (
        "from connectord.testing.simulation import run_seed\n"
        f"print([run_seed(seed).digest for seed in range({seeds.start}, {seeds.stop})])\n"
    )
    environ = {**os.environ, "PYTHONHASHSEED": hash_seed}
    told = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == str(digests)


def test_a_broken_promise_is_told_from_process_to_process() -> None:
    violation = pickle.loads(pickle.dumps(Violation("rule 9", "A: once too often")))  # noqa: S301
    assert (violation.rule, str(violation)) == ("rule 9", "rule 9: A: once too often")


def test_the_command_tells_what_happens_in_a_seed() -> None:
    told = CliRunner().invoke(main, ["0", "--trace"])
    assert told.exit_code == 0, told.output
    assert "pending -> attempting AttemptStarted" in told.output
    assert told.output.splitlines()[-1].startswith("seed 0 (calm): ")
    assert run_seed(0).digest in told.output


def test_the_command_wants_a_seed_or_a_number_of_seeds() -> None:
    assert CliRunner().invoke(main, []).exit_code == 2
    assert CliRunner().invoke(main, ["1", "--seeds", "2"]).exit_code == 2


def test_the_command_runs_many_seeds_in_processes() -> None:
    told = CliRunner().invoke(main, ["--seeds", "28", "--first", "40", "--jobs", "2"])
    assert told.exit_code == 0, told.output
    assert told.output.startswith("28 seeds from 40 on: 0 violations; ")
