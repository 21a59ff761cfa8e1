"""What a seed draws before anything runs: the fault that it is aimed at, how much trouble there is, and what is done
when."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from connectord.lanes.ramp import FEW
from connectord.testing.simulation.shapes import COMPLETE, POOL, shape

AIMS = (
    "calm",
    "crashes",
    "crashes in a transaction",
    "full disk",
    "I/O errors",
    "lost connections",
    "responses",
    "hanging peers",
    "clock jumps",
    "reloads",
    "people",
    "slow watchers",
    "removed systems",
    "backlogs",
    "everything",
)
"""A seed is aimed at the one with its number modulo their count."""

_CALM = {"take": 12, "answer": 4, "refuse": 1}
_BEHAVIOURS: dict[str, dict[str, int]] = {
    "lost connections": {"take": 3, "answer": 1, "refuse": 8, "busy": 3, "lost": 4, "fault": 1, "rubbish": 1},
    "hanging peers": {"take": 5, "answer": 2, "refuse": 1, "hang": 4, "hang after": 4, "stubborn": 4},
    "responses": {"take": 12, "answer": 5, "lost": 3, "hang after": 1},
    "reloads": {"take": 3, "answer": 1, "refuse": 9, "lost": 1},
    "removed systems": {"take": 4, "answer": 1, "refuse": 7, "lost": 1, "hang": 1},
    "people": {"take": 5, "answer": 3, "refuse": 6},
    "backlogs": {"take": 8, "answer": 8, "refuse": 1},
    "crashes": {"take": 6, "answer": 3, "refuse": 4, "lost": 2, "hang": 1},
    "everything": {"take": 6, "answer": 3, "refuse": 5, "busy": 1, "lost": 2, "hang": 1, "hang after": 1, "fault": 1},
}

_OTHERS = {"take": 8, "answer": 3, "refuse": 4, "lost": 1}

_PEOPLE = {"retry": 5, "take": 2, "release": 1, "assign": 2, "complete": 2, "cancel": 2, "rerun": 1, "look": 1}
_DISTURBANCES: dict[str, dict[str, int]] = {
    "calm": {},
    "crashes": {"cut": 2, "cut in steps": 6, "stop": 1},
    "crashes in a transaction": {"cut in statements": 8},
    "full disk": {"full": 1},
    "I/O errors": {"error": 3, "read error": 2, "cut": 1},
    "lost connections": {"cut in steps": 1},
    "responses": {"cut in steps": 2},
    "hanging peers": {"cut in steps": 1, "stop": 1},
    "clock jumps": {"jump": 4, "cut in steps": 1},
    "reloads": {"reload": 7, "break": 1, "cut in steps": 1},
    "people": {"pause": 2, "cut in steps": 1},
    "slow watchers": {"cut in steps": 1},
    "removed systems": {"reload": 6, "cut in steps": 1, "pause": 1},
    "backlogs": {"flood": 1, "cut": 2, "cut in steps": 1, "stop": 1},
    "everything": {
        "cut in steps": 3, "cut in statements": 2, "stop": 1, "full": 1, "error": 1, "read error": 1, "jump": 1,
        "reload": 3, "break": 1, "pause": 1,
    },
}  # fmt: skip
_JUMPS_SECONDS = (3_600, -3_600, -86_400, -31_536_000, -60, 30)


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens at a time, in seconds after the start. ``number`` is drawn for it."""

    at: float
    what: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """One scenario."""

    aim: str
    first_shape: int
    trouble: float
    """How likely it is that something goes wrong that may, 0 to 1."""
    slowness: float
    """How likely it is that the disk takes its time, 0 to 1."""
    swift: int | None
    """After how many turns of the scheduler a system answers, so that attempts which began together end together, at
    any moment of what the daemon does meanwhile. None: after a time."""
    away_until: float
    """Until when nothing reaches a system, in seconds after the start."""
    behaviours: tuple[Sequence[str], Sequence[int]]
    steps: tuple[Step, ...]
    horizon: float
    """When the faults stop."""

    def draw_behaviour(self, rng: random.Random, seconds: float) -> str:
        """What a system does with an attempt so many seconds after the start."""
        if seconds < self.away_until:
            return "refuse"
        words, weights = self.behaviours
        return rng.choices(words, weights)[0]


def draw_plan(seed: int, rng: random.Random) -> Plan:
    """The scenario of a seed."""
    aim = AIMS[seed % len(AIMS)]
    calm = aim == "calm"
    horizon = rng.choice((8.0, 15.0, 30.0))
    weights = _CALM if calm else _BEHAVIOURS.get(aim, _OTHERS)
    steps = [Step(0.1, "watch", rng.randrange(1000))] if calm or rng.random() < 0.3 else []
    # few: what goes wrong between two goes wrong in most seeds that have them, and each costs as much as two starts
    for _ in range(rng.randint(1, 4)):
        steps.append(Step(_when(rng, horizon * 0.6), "submit", rng.randrange(1_000_000)))
    acts = rng.randint(3, 10) if aim in ("people", "everything") else rng.randint(0, 4)
    names, chances = list(_PEOPLE), list(_PEOPLE.values())
    for _ in range(acts):
        steps.append(Step(_when(rng, horizon), rng.choices(names, chances)[0], rng.randrange(1_000_000)))
    disturbances = _DISTURBANCES[aim]
    if disturbances:
        several = aim in ("everything", "reloads", "removed systems")
        count = rng.randint(2, 5) if several else rng.randint(0 if aim == "backlogs" else 1, 3)
        for _ in range(count):
            what = rng.choices(list(disturbances), list(disturbances.values()))[0]
            number = rng.choice(_JUMPS_SECONDS) if what == "jump" else rng.randrange(1_000_000)
            steps.append(Step(_when(rng, horizon * 0.9), what, number))
    if aim == "backlogs":
        steps.append(Step(_when(rng, horizon * 0.6), "flood", rng.randrange(1_000_000)))
    if aim == "slow watchers":
        steps += [Step(_when(rng, horizon * 0.5), "watch", rng.randrange(1000)) for _ in range(rng.randint(1, 4))]
    return Plan(
        aim=aim,
        first_shape=_draw_shape(aim, rng),
        trouble=0.0 if calm else rng.choice((0.0, 0.1, 0.3)),
        slowness=rng.choice((0.0, 0.2, 0.6) if aim != "backlogs" else (0.0, 0.0, 0.2)),
        swift=rng.randint(8, 16) if aim == "backlogs" else None,
        away_until=horizon * 0.9 if aim == "backlogs" and rng.random() < 0.9 else 0.0,
        behaviours=(tuple(weights), tuple(weights.values())),
        steps=tuple(sorted(steps, key=lambda step: step.at)),
        horizon=horizon,
    )


def _draw_shape(aim: str, rng: random.Random) -> int:
    if aim == "backlogs":
        return rng.choice([number for number in range(COMPLETE) if shape(number).widest > FEW])
    return rng.randrange(POOL if aim == "removed systems" else COMPLETE)


def _when(rng: random.Random, latest: float) -> float:
    # often together with others, so that they meet in one batch
    return round(rng.uniform(0.2, latest), 0 if rng.random() < 0.4 else 3)
