"""What people see of a circuit and a ramp, in the tables of ``systems`` and ``top`` and on the card."""

from __future__ import annotations

from typing import Any

import pytest
from connectord.cli.rendering import card, health_text, system_table

OPEN = {"state": "open", "next_trial_at": "2026-11-24T12:00:05.000Z"}
HALF_OPEN = {"state": "half_open", "next_trial_at": None}
CLOSED = {"state": "closed", "next_trial_at": None}


@pytest.mark.parametrize(
    ("circuit", "text"),
    [
        (None, "failing"),
        (CLOSED, "failing"),
        (OPEN, "failing, circuit open until 12:00:05Z"),
        (HALF_OPEN, "failing, circuit half-open"),
    ],
)
def test_the_health_of_a_system_says_how_its_circuit_stands(circuit: dict[str, Any] | None, text: str) -> None:
    assert health_text({"health": "failing", "circuit": circuit}) == text


@pytest.mark.parametrize(("allowed", "text"), [(4, "3/16 (now 4)"), (16, "3/16"), (0, "3/16 (now 0)"), (None, "3/16")])
def test_the_table_says_how_many_places_are_allowed_now(allowed: int | None, text: str) -> None:
    row = {"name": "erp", "in_flight": 3, "concurrency": 16, "places_allowed": allowed, "last_error": "end"}
    assert f" {text} " in system_table([row])


def test_an_older_daemon_says_nothing_of_it() -> None:
    assert "3/16" in system_table([{"name": "erp", "health": "ok", "in_flight": 3, "concurrency": 16}])


def test_the_card_says_what_keeps_the_action() -> None:
    action = {"id": "01J", "state": "pending", "label": "Retrying"}
    assert "Circuit" not in card(action)
    assert "open: its system is taken to be away, next trial at 2026-11-24T12:00:05.000Z" in card(
        {**action, "circuit": OPEN}
    )
    assert "half-open: a few tries show whether its system is back" in card({**action, "circuit": HALF_OPEN})
