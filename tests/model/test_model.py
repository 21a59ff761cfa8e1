"""The daemon does what a second model of the rules says, which was written from their text alone."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from model.machine import Comparison
from model.planted import BUGS, LIFECYCLE, catch

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "25"))
STEPS = int(os.environ.get("MODEL_STEPS", "40"))


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


def test_rules_01_to_21_the_daemon_does_what_the_second_model_says() -> None:
    run_state_machine_as_test(
        Comparison,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            derandomize="MODEL_EXAMPLES" not in os.environ or "MODEL_SAME_EXAMPLES" in os.environ,
            deadline=None,
            phases=[Phase.generate, Phase.shrink] if os.environ.get("MODEL_SHRINK", "1") == "1" else [Phase.generate],
            report_multiple_bugs=False,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("name", BUGS)
def test_every_planted_bug_has_its_place(name: str) -> None:
    BUGS[name].plant((LIFECYCLE / BUGS[name].file).read_text(encoding="utf-8"))


def test_the_comparison_catches_a_planted_bug() -> None:
    said = catch(BUGS["owner-not-told-of-rule-9"])
    assert said is not None
    assert "attempts_exhausted" in said
