"""Each planted bug is caught by the seed that is known to catch it; without the bug that seed is green."""

from __future__ import annotations

import pytest
from connectord.testing.simulation import run_seed

from simulation.mutants import MUTANTS, Mutant
from simulation.mutation import caught_by, differs_with_hash_seed

MORE_SEEDS = 400
"""Whatever changes the order of what the daemon does makes other runs of the seeds: then these are tried, too."""


def test_there_are_enough_of_them() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 25


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_caught(mutant: Mutant) -> None:
    if mutant.needs_processes:
        seeds = range(mutant.seed, mutant.seed + 1)
        caught = differs_with_hash_seed(mutant, seeds) or differs_with_hash_seed(mutant, range(MORE_SEEDS // 10))
    else:
        caught = caught_by(mutant, [mutant.seed, *range(MORE_SEEDS)])
    assert caught is not None
    assert run_seed(caught[0]).violation is None
