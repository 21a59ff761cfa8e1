"""Attempts are made by tasks that go on from one to the next: few of them, and none sees what another attempt left."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from connectord.adapters import Call, NotConnected, Outcome, Succeeded
from connectord.lifecycle.policy import RetryPolicy
from helpers.world import world

LIMIT_SECONDS = 10
ONE_TRY = RetryPolicy(limit=1, delay_ms=1000, jitter=0.0)
LEFT = ContextVar("LEFT", default=0)


async def test_a_backlog_is_worked_off_by_few_tasks_and_they_end_with_it(tmp_path: Path, autojump_clock) -> None:
    tasks = set()

    async def trigger(call: Call) -> Outcome:
        tasks.add(trio.lowlevel.current_task())
        await trio.sleep(1)
        return Succeeded({})

    async with world(tmp_path, trigger, concurrency=3) as it:
        await trio.sleep(1)
        before = trio.lowlevel.current_statistics().tasks_living
        await it.submit(60)
        await trio.sleep(100)
        assert it.states() == {}
        assert len(it.calls) == 60
        assert len(tasks) <= 6
        assert trio.lowlevel.current_statistics().tasks_living == before
        # and what comes one by one goes out, too
        await it.submit()
        await trio.sleep(10)
        assert len(it.calls) == 61
        assert trio.lowlevel.current_statistics().tasks_living == before


async def test_what_an_attempt_leaves_in_its_context_is_not_seen_by_another(tmp_path: Path, autojump_clock) -> None:
    seen = []

    async def trigger(call: Call) -> Outcome:
        seen.append(LEFT.get())
        LEFT.set(call.attempt)
        await trio.sleep(1)
        return Succeeded({})

    async with world(tmp_path, trigger, concurrency=2) as it:
        await it.submit(20)
        await trio.sleep(60)
        assert seen == [0] * 20


@pytest.mark.parametrize("late", [[0], [0, 1], [1, 3], [0, 1, 2, 3, 4]])
async def test_one_whose_time_is_up_holds_up_nobody(late: list[int], tmp_path: Path, autojump_clock) -> None:
    async def trigger(call: Call) -> Outcome:
        if call.data["n"] in late:
            await trio.sleep_forever()
        return Succeeded({})

    async with world(tmp_path, trigger, retry=ONE_TRY, concurrency=1, attempt_timeout_ms=LIMIT_SECONDS * 1000) as it:
        ids = [(await it.submit(data={"n": number}))[0] for number in range(5)]
        await trio.sleep(len(late) * LIMIT_SECONDS + 1)
        shown = [it.show(action_id).action for action_id in ids]
        assert [number for number, action in enumerate(shown) if action.resolution == "not_done_successfully"] == late
        assert all(shown[number].error_message == "no answer within 10 s" for number in late)
        assert [at for at, _ in it.calls] == [
            pytest.approx(it.calls[0][0] + LIMIT_SECONDS * sum(each < number for each in late)) for number in range(5)
        ]


async def test_an_answer_that_came_though_time_was_up_counts(tmp_path: Path, autojump_clock) -> None:
    async def trigger(call: Call) -> Outcome:
        with trio.CancelScope() as own:
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                own.shield = True
                await trio.sleep(1)
        return Succeeded({"late": True})

    async with world(tmp_path, trigger, retry=ONE_TRY, concurrency=1, attempt_timeout_ms=LIMIT_SECONDS * 1000) as it:
        ids = await it.submit(3)
        await trio.sleep(60)
        assert [it.show(action_id).action.resolution for action_id in ids] == ["done_successfully"] * 3
        assert it.lane.health.faults == 0


async def test_a_fault_ends_the_instance_and_the_rest_goes_on_with_the_next(tmp_path: Path, autojump_clock) -> None:
    async def trigger(call: Call) -> Outcome:
        await trio.sleep(1)
        if call.data["n"] == 2:
            raise RuntimeError("a fault")
        if call.data["n"] == 3:
            raise NotConnected("refused")
        return Succeeded({})

    async with world(tmp_path, trigger, retry=ONE_TRY, concurrency=2) as it:
        ids = [(await it.submit(data={"n": number}))[0] for number in range(12)]
        await trio.sleep(120)
        failed = [number for number, each in enumerate(ids) if it.show(each).action.resolution != "done_successfully"]
        assert failed == [2, 3]
        assert len(it.opened) == len(it.closed) + 1 == 2


async def test_a_shorter_limit_holds_for_what_begins_from_then_on(tmp_path: Path, autojump_clock) -> None:
    async def trigger(call: Call) -> Outcome:
        await trio.sleep(20 if call.data["n"] == 0 else 1000)
        return Succeeded({})

    async with world(tmp_path, trigger, retry=ONE_TRY, concurrency=2, attempt_timeout_ms=60_000) as it:
        (before,) = await it.submit(data={"n": 0})
        await trio.sleep(5)
        it.lane.reconfigure(replace(it.lane.config, attempt_timeout_ms=2_000))
        (after,) = await it.submit(data={"n": 1})
        await trio.sleep(3)
        assert it.show(after).action.error_message == "no answer within 2 s"
        assert it.show(before).action.state == "attempting"
        await trio.sleep(20)
        assert it.show(before).action.resolution == "done_successfully"
        assert it.lane.health.faults == 0


@pytest.mark.parametrize("what", ["scope", "nursery"])
async def test_what_is_left_open_is_the_fault_of_that_attempt_alone(what: str, tmp_path: Path, autojump_clock) -> None:
    left = []

    async def trigger(call: Call) -> Outcome:
        if call.data["n"] == 2:
            scope = trio.CancelScope()
            left.append(scope)
            if what == "scope":
                scope.__enter__()
            else:
                await trio.open_nursery().__aenter__()
        else:
            for scope in left:
                scope.cancel()
            await trio.sleep(1)
        return Succeeded({})

    async with world(tmp_path, trigger, retry=ONE_TRY, concurrency=1) as it:
        ids = [(await it.submit(data={"n": number}))[0] for number in range(6)]
        await trio.sleep(60)
        actions = [it.show(each).action for each in ids]
        failed = [number for number, each in enumerate(actions) if each.resolution != "done_successfully"]
        assert failed == [2]
        assert str(actions[2].error_message).startswith("adapter fault: RuntimeError: Cancel scope stack corrupted")
        assert it.lane.health.faults == 1


@pytest.mark.parametrize("shield", [True, False])
async def test_one_that_is_late_and_leaves_something_open_is_at_fault(
    shield: bool, tmp_path: Path, autojump_clock
) -> None:
    async def trigger(call: Call) -> Outcome:
        if call.data["n"] == 0:
            trio.CancelScope(shield=shield).__enter__()
            await trio.sleep(LIMIT_SECONDS + 2)
        return Succeeded({})

    async with world(tmp_path, trigger, retry=ONE_TRY, concurrency=1, attempt_timeout_ms=LIMIT_SECONDS * 1000) as it:
        ids = [(await it.submit(data={"n": number}))[0] for number in range(3)]
        await trio.sleep(60)
        resolutions = [it.show(each).action.resolution for each in ids]
        assert resolutions == ["not_done_successfully", "done_successfully", "done_successfully"]
        assert it.lane.health.faults == 1
