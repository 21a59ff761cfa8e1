"""Calls of an adapter that ignore cancellation are given up, and cost no more than themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from connectord.adapters import Call, Outcome, PollAnswer, ProbeAnswer, Succeeded, Taken
from connectord.lanes import overdue
from connectord.ledger import responses
from connectord.lifecycle.policy import RetryPolicy
from helpers.world import world

LIMIT_SECONDS = 10
GIVEN_UP_AFTER = LIMIT_SECONDS + overdue.GRACE_SECONDS
ONE_TRY = RetryPolicy(limit=1, delay_ms=1000, jitter=0.0)


async def shielded(seconds: float) -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep(seconds)


async def test_an_attempt_is_settled_and_its_place_goes_to_another(tmp_path: Path, autojump_clock) -> None:
    async def trigger(call: Call) -> Outcome:
        if call.data.get("stuck"):
            await shielded(1000)
        return Succeeded({})

    async with world(tmp_path, trigger, retry=ONE_TRY, concurrency=1, attempt_timeout_ms=LIMIT_SECONDS * 1000) as it:
        (stuck,) = await it.submit(data={"stuck": True})
        await trio.sleep(1)
        (other,) = await it.submit()
        await trio.sleep(GIVEN_UP_AFTER - 2)
        assert it.show(stuck).action.state == "attempting"
        assert it.show(other).action.state == "pending"
        await trio.sleep(5)
        assert it.show(stuck).action.resolution == "not_done_successfully"
        assert it.show(other).action.resolution == "done_successfully"
        assert it.lane.health.faults == 1
        assert "ignores cancellation" in str(it.lane.health.last_error)
        # what it brings at last is late (rule 15)
        await trio.sleep(1100)
        assert it.show(stuck).action.resolution == "not_done_successfully"
        assert it.lane.in_flight == 0


async def test_beyond_the_most_a_lane_may_leave_behind_a_call_keeps_its_place(
    tmp_path: Path, autojump_clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overdue, "MOST_ABANDONED", 2)

    async def trigger(call: Call) -> Outcome:
        await shielded(10_000)
        return Taken()

    async with world(tmp_path, trigger, retry=ONE_TRY, concurrency=1, attempt_timeout_ms=LIMIT_SECONDS * 1000) as it:
        ids = await it.submit(5)
        await trio.sleep(5_000)
        assert len(it.calls) == 3
        assert it.states() == {"pending": 2}
        await trio.sleep(6_000)
        # they have ended by themselves, and the lane goes on
        assert len(it.calls) == 5
        assert ids


async def test_a_poll_is_given_up_and_asked_again(tmp_path: Path, autojump_clock) -> None:
    async def trigger(call: Call) -> Outcome:
        return Taken("job")

    async def poll(call: Call) -> PollAnswer:
        if len(it.polls) == 1:
            await shielded(100_000)
        return Succeeded({"polled": len(it.polls)})

    async with world(tmp_path, trigger, poll=poll, attempt_timeout_ms=LIMIT_SECONDS * 1000) as it:
        (action,) = await it.submit()
        await trio.sleep(2_000)
        assert len(it.polls) == 2
        assert it.show(action).action.resolution == "done_successfully"


async def test_a_probe_is_given_up_and_asked_again_rule_14(tmp_path: Path, autojump_clock) -> None:
    async def trigger(call: Call) -> Outcome:
        await trio.sleep(100)
        return Taken()

    async def probe(call: Call) -> ProbeAnswer:
        if len(it.probes) == 1:
            await shielded(100_000)
        return Succeeded({})

    async with world(tmp_path, trigger, probe=probe, attempt_timeout_ms=LIMIT_SECONDS * 1000) as it:
        (action,) = await it.submit()
        await trio.sleep(2_000)
        assert len(it.probes) == 2
        assert it.show(action).action.resolution == "done_successfully"


async def test_an_open_that_ignores_cancellation_shows(tmp_path: Path, autojump_clock) -> None:
    async def trigger(call: Call) -> Outcome:
        return Taken()

    async def on_open() -> None:
        await shielded(1_000)

    async with world(tmp_path, trigger, on_open=on_open, attempt_timeout_ms=LIMIT_SECONDS * 1000) as it:
        await trio.sleep(GIVEN_UP_AFTER + 1)
        assert it.lane.health.state == "fault"
        assert "open() ignores cancellation" in str(it.lane.health.last_error)


@pytest.mark.parametrize(
    "data",
    [
        {"x": "y" * responses.MAX_RESPONSE_BYTES},
        {"x": [1] * 600_000},
        {"x" * responses.MAX_RESPONSE_BYTES: 1},
        {str(number): "z" * 1000 for number in range(1100)},
    ],
)
def test_data_beyond_the_limit_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="at most 1048576 of them"):
        responses.response_event(Succeeded(data), "trigger()")


def test_data_is_nested_up_to_a_limit() -> None:
    def nested(levels: int) -> dict[str, object]:
        data: dict[str, object] = {}
        for _ in range(levels - 1):
            data = {"x": data}
        return data

    responses.response_event(Succeeded(nested(200)), "trigger()")
    with pytest.raises(ValueError, match="nested deeper than 200 levels"):
        responses.response_event(Succeeded(nested(201)), "trigger()")
