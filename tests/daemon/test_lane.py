"""Lanes under simulated time: due times, concurrency, rate, faults, pause, drain."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import trio
from connectord.adapters import Call, NotConnected, Outcome, Succeeded, Taken
from connectord.config import Rate
from connectord.lifecycle import events as on
from connectord.lifecycle.policy import RetryPolicy
from connectord.store.sqlite_writer import SqliteWriter
from connectord.testing.simulated_clock import EPOCH_MS
from helpers.world import World, world


async def settle(seconds: float = 1.0) -> None:
    await trio.sleep(seconds)


async def succeed(call: Call) -> Outcome:
    return Succeeded({"n": call.attempt})


async def refuse(call: Call) -> Outcome:
    raise NotConnected("connection refused")


def times(here: World) -> list[float]:
    first = here.calls[0][0]
    return [round(at - first, 3) for at, _ in here.calls]


async def test_tries_come_when_the_schedule_says(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, refuse) as here:
        (action_id,) = await here.submit()
        await settle(3600)
        assert times(here) == [0.0, 30.0, 90.0, 210.0, 450.0]
        assert [call.attempt for _, call in here.calls] == [1, 2, 3, 4, 5]
        assert {call.idempotency_key for _, call in here.calls} == {action_id}
        assert here.show(action_id).action.state.value == "closed"
        assert here.states() == {}


async def test_a_manual_retry_leaves_the_schedule(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, refuse) as here:
        (action_id,) = await here.submit()
        await settle(10)
        await here.ledger.apply(action_id, on.RetryRequested(), "test")
        await settle(3600)
        assert times(here) == [0.0, 10.0, 30.0, 90.0, 210.0]


async def test_retry_after_is_obeyed(tmp_path: Path, autojump_clock: object) -> None:
    async def not_now(call: Call) -> Outcome:
        raise NotConnected("HTTP 503", retry_after_seconds=100 if call.attempt == 1 else None)

    async with world(tmp_path, not_now, retry=RetryPolicy(limit=3, delay_ms=1000, jitter=0.0)) as here:
        await here.submit()
        await settle(3600)
        assert times(here) == [0.0, 100.0, 102.0]


async def test_an_action_due_later_waits_until_then(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, succeed) as here:
        began = trio.current_time()
        await here.submit(due_at=here.clock.now_ms() + 7_200_000)
        await settle(7199)
        assert here.calls == []
        await settle(2)
        assert round(here.calls[0][0] - began) == 7200


async def test_concurrency_is_never_exceeded_and_always_used(tmp_path: Path, autojump_clock: object) -> None:
    running, most = 0, 0

    async def work(call: Call) -> Outcome:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await trio.sleep(1)
        running -= 1
        return Succeeded()

    async with world(tmp_path, work, concurrency=4) as here:
        await here.submit(20)
        await settle(5.5)
        assert most == 4
        assert len(here.calls) == 20
        assert here.states() == {}


async def test_rate_holds_over_every_second(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, succeed, rate=Rate(10, 1000)) as here:
        await here.submit(45)
        await settle(10)
        at = times(here)
        assert len(at) == 45
        assert all(at[index + 10] - at[index] >= 0.999 for index in range(35))
        assert at[-1] < 5


async def test_waiting_holds_no_place(tmp_path: Path, autojump_clock: object) -> None:
    async def take(call: Call) -> Outcome:
        return Taken()

    async with world(tmp_path, take, concurrency=1) as here:
        await here.submit(30)
        await settle(1)
        assert here.states() == {"waiting": 30}
        await settle(14_401)
        assert here.states() == {"todo": 30}


@pytest.mark.parametrize("fault", [ValueError("broken"), SystemExit(3), KeyboardInterrupt(), RecursionError("deep")])
async def test_a_fault_costs_its_own_attempt_and_a_fresh_adapter_goes_on(
    tmp_path: Path, autojump_clock: object, fault: BaseException
) -> None:
    async def crash_once(call: Call) -> Outcome:
        if call.data.get("bad") and call.attempt == 1:
            raise fault
        await trio.sleep(5)
        return Succeeded()

    async with world(tmp_path, crash_once) as here:
        good = await here.submit(3)
        (bad,) = await here.submit(data={"bad": True})
        await settle(0.2)
        record = here.show(bad)
        assert (record.action.state.value, record.action.attempts) == ("pending", 1)
        assert (record.action.error_message or "").startswith(f"adapter fault: {type(fault).__name__}")
        assert len(here.opened) == 1
        await settle(10)
        assert [here.show(action_id).action.attempts for action_id in good] == [1, 1, 1]
        assert len(here.opened) == 2
        assert len(here.closed) == 1
        await settle(60)
        assert here.show(bad).action.resolution == "done_successfully"


async def test_an_adapter_that_cannot_be_opened_is_tried_again_with_growing_pauses(
    tmp_path: Path, autojump_clock: object
) -> None:
    async def fail_thrice() -> None:
        if len(here.opened) <= 3:
            raise OSError("no such device")

    async with world(tmp_path, succeed, on_open=fail_thrice) as here:
        await here.submit()
        await settle(20)
        pauses = [round(b - a, 2) for a, b in zip(here.opened, here.opened[1:], strict=False)]
        assert pauses == [0.5, 1.0, 2.0]
        assert here.states() == {}


async def test_rubbish_is_the_adapters_fault(tmp_path: Path, autojump_clock: object) -> None:
    async def rubbish(call: Call) -> Outcome:
        return "yes"  # type: ignore[return-value]

    async with world(tmp_path, rubbish) as here:
        (action_id,) = await here.submit()
        await settle(1)
        assert "trigger() returned str" in (here.show(action_id).action.error_message or "")


async def test_an_attempt_without_end_is_cut(tmp_path: Path, autojump_clock: object) -> None:
    async def hang(call: Call) -> Outcome:
        await trio.sleep_forever()
        raise AssertionError

    async with world(tmp_path, hang, attempt_timeout_ms=2000) as here:
        (action_id,) = await here.submit()
        await settle(3)
        assert here.show(action_id).action.error_message == "no answer within 2 s"


async def test_a_callback_that_outruns_the_answer_decides(tmp_path: Path, autojump_clock: object) -> None:
    async def slow(call: Call) -> Outcome:
        await trio.sleep(5)
        return Taken()

    async with world(tmp_path, slow) as here:
        (action_id,) = await here.submit()
        await settle(1)
        await here.ledger.apply(action_id, on.SuccessReceived("d", {"x": 1}), "callback")
        assert here.show(action_id).action.state.value == "closed"
        await settle(10)
        assert here.show(action_id).action.resolution == "done_successfully"
        (attempt,) = here.reader.attempts(action_id)
        assert attempt.outcome == "taken"
        assert len(here.calls) == 1


async def test_paused_starts_nothing_and_resumed_goes_on(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, succeed) as here:
        here.lane.set_paused(True)
        await here.submit(3)
        await settle(100)
        assert here.calls == []
        here.lane.set_paused(False)
        await settle(1)
        assert len(here.calls) == 3


async def test_a_stopped_lane_ends_what_is_under_way(tmp_path: Path, autojump_clock: object) -> None:
    async def slow(call: Call) -> Outcome:
        await trio.sleep(5)
        return Succeeded()

    async with world(tmp_path, slow, concurrency=2) as here:
        await here.submit(4)
        await settle(1)
        here.lane.stop()
        await settle(30)
        assert here.lane.in_flight == 0
        assert here.states() == {"pending": 2}
        assert len(here.closed) == 1


async def test_a_full_disk_refuses_new_work_and_keeps_what_attempts_brought(
    tmp_path: Path, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    from connectord.errors import StoreFull

    full = False
    commit = SqliteWriter.commit

    def refuse_while_full(self: SqliteWriter) -> None:
        if full:
            raise StoreFull("the store cannot take it now: database or disk is full")
        commit(self)

    monkeypatch.setattr(SqliteWriter, "commit", refuse_while_full)

    async def slow(call: Call) -> Outcome:
        await trio.sleep(5)
        return Succeeded()

    async with world(tmp_path, slow) as here:
        (action_id,) = await here.submit()
        await settle(1)
        full = True
        with pytest.raises(StoreFull):
            await here.submit()
        await settle(60)
        assert here.show(action_id).action.state.value == "attempting"
        full = False
        await settle(5)
        assert here.show(action_id).action.resolution == "done_successfully"
        assert len(here.calls) == 1


async def test_the_wall_clock_may_jump_forward(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, refuse, retry=RetryPolicy(limit=2, delay_ms=3_600_000, jitter=0.0)) as here:
        await here.submit()
        await settle(1)
        here.clock.offset_ms += 3_600_000
        await settle(31)
        assert len(here.calls) == 2


async def test_one_run_is_like_the_other(tmp_path: Path, autojump_clock: object) -> None:
    async def moody(call: Call) -> Outcome:
        mood = random.Random(call.action_id + str(call.attempt)).random()
        await trio.sleep(mood)
        if mood < 0.4:
            raise NotConnected("moody")
        return Succeeded({"mood": mood})

    traces = []
    for run in ("a", "b"):
        (tmp_path / run).mkdir()
        async with world(tmp_path / run, moody) as here:
            ids = await here.submit(30)
            await settle(3600)
            traces.append(
                [[(row.at - EPOCH_MS, row.event, row.to_state) for row in here.reader.history(id_)] for id_ in ids]
            )
    assert sum(len(history) for history in traces[0]) > 90
    assert traces[0] == traces[1]


async def test_what_became_of_attempts_and_the_next_claims_are_one_transaction(
    tmp_path: Path, autojump_clock: object
) -> None:
    async def work(call: Call) -> Outcome:
        await trio.sleep(1)
        return Succeeded()

    async with world(tmp_path, work, concurrency=4) as here:
        await here.submit(20)
        await settle(0.5)
        before = here.ledger.commits
        await settle(10)
        assert here.states() == {}
        # five times four attempts; after the last ones nothing is left to claim
        assert here.ledger.commits - before == 5
