"""Every bug of mutants.py against seed after seed, until one catches it. Run it with `make mutants`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from connectord.testing.simulation import run_seed
from helpers.planting import planted

from simulation.mutants import MUTANTS, Mutant

MOST_SEEDS = 2000
HASH_SEEDS = ("1", "2")
HASH_SEEDS_TRIED = 42
REPEATABLE = "one seed is one run"
"""What a difference between two hash seeds breaks."""


def caught_by(mutant: Mutant, seeds: Iterable[int]) -> tuple[int, str] | None:
    """The first of the seeds that catches the bug, and the promise that it breaks."""
    with planted(*mutant.edits):
        for seed in seeds:
            violation = run_seed(seed).violation
            if violation is not None:
                return seed, violation.rule
    return None


def differs_with_hash_seed(mutant: Mutant, seeds: range) -> tuple[int, str] | None:
    """The first seed of which two runs differ in processes with different hash seeds."""
    told = [_digests(mutant, seeds, hash_seed) for hash_seed in HASH_SEEDS]
    for seed, one, other in zip(seeds, *told, strict=True):
        if one != other:
            return seed, REPEATABLE
    return None


def _digests(mutant: Mutant, seeds: range, hash_seed: str) -> list[str]:
    command = [sys.executable, "-m", "simulation.mutation", mutant.name, str(seeds.start), str(seeds.stop)]
    environ = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parent.parent)}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout.split()


def _hunt(name: str) -> tuple[int, str] | None:
    mutant = by_name(name)
    if mutant.needs_processes:
        return differs_with_hash_seed(mutant, range(HASH_SEEDS_TRIED))
    return caught_by(mutant, range(MOST_SEEDS))


def by_name(name: str) -> Mutant:
    """The mutant of that name."""
    return next(mutant for mutant in MUTANTS if mutant.name == name)


def main() -> int:
    """Print a table of all of them; 1 where one was not caught."""
    missed = 0
    print("| bug | caught after | what it breaks |\n| --- | --- | --- |")
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        names = [mutant.name for mutant in MUTANTS]
        for name, caught in zip(names, pool.map(_hunt, names), strict=True):
            missed += caught is None
            words = f"never, in {MOST_SEEDS} seeds | " if caught is None else f"{caught[0] + 1} seeds | {caught[1]}"
            print(f"| {name} | {words} |", flush=True)
    print(f"{len(MUTANTS) - missed} of {len(MUTANTS)} bugs are caught")
    return 1 if missed else 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        with planted(*by_name(sys.argv[1]).edits):
            print(*[run_seed(seed).digest for seed in range(int(sys.argv[2]), int(sys.argv[3]))], sep="\n")
    else:
        sys.exit(main())
