"""Valid callbacks get in while the listener of a real daemon is attacked: the untimed short form of a benchmark."""

from __future__ import annotations

from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


async def test_every_valid_callback_is_taken_under_attack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import under_attack

    attack = under_attack.Attack(idle=150, slow_heads=10, slow_bodies=4, forgers=2, malformed=1)
    outcome = await under_attack.measure(tmp_path, 40, 40, attack)
    assert dict(outcome.peace.statuses) == {200: 40}
    assert dict(outcome.attacked.statuses) == {200: 40}
    assert outcome.attackers["idle connections"] >= 150
    assert outcome.attackers["forge"] >= 1
    assert outcome.growth_bytes < under_attack.MOST_GROWTH_BYTES
