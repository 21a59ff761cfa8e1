"""``connectord-simulate``: one seed told, or many seeds on all cores."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

import click

from connectord.testing.simulation.run import Outcome, run_seed

CHUNK = 25
TOLD_EVERY = 1000
SHOWN = 20
"""So many violations are shown one by one."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("seed", type=click.IntRange(min=0), required=False)
@click.option("--trace", is_flag=True, help="Print what happens in the run of SEED.")
@click.option("--seeds", type=click.IntRange(min=1), help="Run so many seeds, instead of one.")
@click.option("--first", type=click.IntRange(min=0), default=0, show_default=True, help="The first of them.")
@click.option("--jobs", type=click.IntRange(min=1), default=os.cpu_count() or 1, help="How many processes; all cores.")
def main(seed: int | None, trace: bool, seeds: int | None, first: int, jobs: int) -> None:
    """Run the whole daemon in a simulated world, repeatable from one number, and hold it to its promises.

    Everything is drawn from SEED: what is submitted, how external systems answer, when the power goes, when the disk
    is full, when the clock jumps. Exits with 1 where a promise was broken.
    """
    if (seed is None) == (seeds is None):
        raise click.UsageError("give a SEED, or --seeds to run many")
    broken = _run_one(seed, trace=trace) if seed is not None else _run_many(range(first, first + (seeds or 0)), jobs)
    sys.exit(1 if broken else 0)


def _run_one(seed: int, *, trace: bool) -> bool:
    outcome = run_seed(seed, click.echo if trace else None)
    click.echo(
        f"seed {seed} ({outcome.aim}): {outcome.actions} actions, {outcome.commits} commits, {outcome.lives} lives, "
        f"trace {outcome.digest}"
    )
    if outcome.violation is not None:
        click.echo(_words(outcome))
    return outcome.violation is not None


def _run_many(seeds: Sequence[int], jobs: int) -> bool:
    began = time.monotonic()
    totals: Counter[str] = Counter()
    broken: list[Outcome] = []
    chunks = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    processor_seconds = 0.0
    with ProcessPoolExecutor(max_workers=min(jobs, len(chunks))) as pool:
        for done in as_completed([pool.submit(_run_chunk, chunk) for chunk in chunks]):
            outcomes, seconds = done.result()
            processor_seconds += seconds
            before = totals["seeds"]
            for outcome in outcomes:
                totals.update(seeds=1, actions=outcome.actions, commits=outcome.commits, lives=outcome.lives)
                if outcome.violation is not None:
                    broken.append(outcome)
                    if len(broken) <= SHOWN:
                        click.echo(_words(outcome))
            if before // TOLD_EVERY < totals["seeds"] // TOLD_EVERY:
                click.echo(f"{totals['seeds']} seeds done, {len(broken)} violations", err=True)
    click.echo(
        f"{totals['seeds']} seeds from {seeds[0]} on: {len(broken)} violations; {totals['actions']} actions, "
        f"{totals['commits']} commits, {totals['lives']} lives of the daemon; "
        f"{totals['seeds'] / max(processor_seconds, 0.001):.1f} seeds a second and core, "
        f"{time.monotonic() - began:.0f} s"
    )
    return bool(broken)


def _run_chunk(seeds: Sequence[int]) -> tuple[list[Outcome], float]:
    began = time.process_time()
    outcomes = [run_seed(seed) for seed in seeds]
    return outcomes, time.process_time() - began


def _words(outcome: Outcome) -> str:
    command = f"connectord-simulate {outcome.seed} --trace"
    return f"seed {outcome.seed} ({outcome.aim}): {outcome.violation}\n  again: {command}"
