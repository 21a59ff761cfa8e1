"""``circuit`` and ``retry.budget``: what may stand there, and what a change of them is called."""

from __future__ import annotations

from pathlib import Path

import pytest
from connectord.adapters import Adapter
from connectord.config import CircuitPolicy, Config, diff, load_config
from connectord.errors import ConfigurationRefused


class Plain(Adapter):
    name = "plain"


def load(tmp_path: Path, lines: str) -> Config:
    path = tmp_path / "connectord.toml"
    path.write_text(f'[systems.erp]\nadapter = "plain"\n{lines}\n', encoding="utf-8")
    return load_config(path, adapters={"plain": Plain}, environ={})


@pytest.mark.parametrize(
    ("lines", "circuit"),
    [
        ("", CircuitPolicy()),
        ("circuit = true", CircuitPolicy()),
        ("circuit = false", None),
        ("circuit.failures = 3", CircuitPolicy(failures=3)),
        (
            'circuit = { ratio = 1, window = "1m", pause = "1s", max_pause = "10m", trials = 1 }',
            CircuitPolicy(ratio=1.0, window_ms=60_000, pause_ms=1_000, max_pause_ms=600_000, trials=1),
        ),
    ],
)
def test_what_may_stand_there(tmp_path: Path, lines: str, circuit: CircuitPolicy | None) -> None:
    assert load(tmp_path, lines).systems["erp"].circuit == circuit


@pytest.mark.parametrize(
    ("lines", "key", "message"),
    [
        ("circuit = 7", "circuit", "must be a table"),
        ("circuit.failures = 0", "circuit.failures", "from 1 to 1000"),
        ("circuit.failure = 3", "circuit.failure", 'did you mean "failures"?'),
        ('circuit.pause = "10m"', "circuit.pause", 'must be at most max_pause, which is "1m"'),
        ('circuit.max_pause = "1s"', "circuit.max_pause", 'must be at least pause, which is "5s"'),
        ("retry.budget = 2", "retry.budget", "from 0 to 1"),
    ],
)
def test_what_may_not(tmp_path: Path, lines: str, key: str, message: str) -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        load(tmp_path, lines)
    (problem,) = refused.value.problems
    assert problem.key == f"systems.erp.{key}"
    assert problem.line == 3
    assert message in problem.message


def test_a_change_is_told_by_its_key(tmp_path: Path) -> None:
    before, off = load(tmp_path, "circuit.failures = 3"), load(tmp_path, "circuit = false\nretry.budget = 0.2")
    changes = {change.key: (change.old, change.new) for change in diff(before, off).changed["erp"]}
    assert changes["circuit"] == ("true", "false")
    assert changes["circuit.failures"] == ("3", "(not set)")
    assert changes["retry.budget"] == ("0.5", "0.2")
