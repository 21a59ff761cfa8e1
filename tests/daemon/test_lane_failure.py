"""A fault of the lane itself: it starts again after a pause, and what was under way counts (rule 14)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import structlog.testing
import trio
import trio.testing
from connectord.adapters import Call, Outcome, Succeeded
from connectord.lanes import lane as module
from helpers.world import world


async def test_rule_14_a_lane_that_fails_starts_again_and_its_attempts_count_as_interrupted(
    tmp_path: Path, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def trigger(call: Call) -> Outcome:
        if call.attempt == 1:
            await trio.sleep_forever()
        return Succeeded()

    guard, breaks, broken = module.end_overdue, trio.Event(), False

    async def break_once(context: Any) -> None:
        nonlocal broken
        if broken:
            await guard(context)
        broken = True
        await breaks.wait()
        raise ZeroDivisionError("a bug of our own")

    monkeypatch.setattr(module, "end_overdue", break_once)
    async with world(tmp_path, trigger) as here:
        (action_id,) = await here.submit()
        await trio.testing.wait_all_tasks_blocked()
        assert here.states() == {"attempting": 1}
        with structlog.testing.capture_logs() as logs:
            breaks.set()
            await trio.testing.wait_all_tasks_blocked()
            assert here.lane.health.state == "fault"
            await trio.sleep(60)
        assert [each.outcome for each in here.reader.attempts(action_id)] == ["interrupted", "succeeded"]
        assert here.show(action_id).action.state.value == "closed"
    assert [entry["system"] for entry in logs if entry["event"] == "lane failed"] == ["sys"]
