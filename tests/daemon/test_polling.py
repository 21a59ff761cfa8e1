"""Polls under simulated time: schedule, deadline, shares, restart, and what comes first."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import trio
from connectord.adapters import Call, NotConnected, Outcome, PollAnswer, Progress, Rejected, Succeeded, Taken
from connectord.config import Rate
from connectord.lanes.lane import Lane
from connectord.ledger.ledger import Ledger
from connectord.lifecycle import events as on
from connectord.lifecycle.action import replace
from connectord.lifecycle.policy import PollPolicy
from helpers.world import World, world


async def settle(seconds: float = 1.0) -> None:
    await trio.sleep(seconds)


async def take(call: Call) -> Outcome:
    return Taken(f"job {call.action_id}")


async def nothing(call: Call) -> PollAnswer:
    return None


def seconds_between(here: World) -> list[float]:
    at = [here.calls[0][0], *(each for each, _ in here.polls)]
    return [round(after - before, 2) for before, after in pairwise(at)]


async def test_rule_2_a_poll_brings_the_response(tmp_path: Path, autojump_clock: object) -> None:
    async def answer_the_third(call: Call) -> PollAnswer:
        return Succeeded({"n": 7}) if len(here.polls) == 3 else None

    async with world(tmp_path, take, poll=answer_the_third) as here:
        (action_id,) = await here.submit(data={"amount": 12})
        await settle(3600)
        assert seconds_between(here) == [10.0, 15.0, 22.5]
        record = here.show(action_id)
        assert (record.action.resolution, record.action.attempts) == ("done_successfully", 1)
        assert record.action.reference == f"job {action_id}"
        assert '"n":7' in record.data
        call = here.polls[0][1]
        assert (call.reference, call.attempt, call.data) == (f"job {action_id}", 1, {"amount": 12})
        last = here.reader.history(action_id)[-1]
        assert (last.event, last.who, last.rules) == ("SuccessReceived", "poll:sys", "2")


async def test_rules_3_and_21_rejections_and_heartbeats_come_by_polls(tmp_path: Path, autojump_clock: object) -> None:
    async def answer(call: Call) -> PollAnswer:
        return Progress("half", 50.0) if len(here.polls) < 2 else Rejected("no such vendor")

    async with world(tmp_path, take, poll=answer) as here:
        (action_id,) = await here.submit()
        await settle(12)
        shown = here.show(action_id).action
        assert (shown.state.value, shown.progress_text, shown.progress_percent) == ("waiting", "half", 50.0)
        await settle(60)
        shown = here.show(action_id).action
        assert (shown.state.value, shown.rejected_reason) == ("todo", "no such vendor")
        assert len(here.polls) == 2


async def test_rule_4_polls_go_on_until_the_deadline_and_not_beyond(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, take, poll=nothing) as here:
        (action_id,) = await here.submit()
        await settle(14_400 + 3600)
        shown = here.show(action_id).action
        assert (shown.state.value, shown.reason, shown.next_poll_at) == ("todo", "timeout", None)
        last = here.polls[-1][0] - here.calls[0][0]
        # one more, shortly before the deadline
        assert round(last) == 14_390
        assert max(seconds_between(here)) == 300.0


async def test_rules_7_and_12_a_poll_that_does_not_connect_costs_no_attempt(
    tmp_path: Path, autojump_clock: object
) -> None:
    async def not_now(call: Call) -> PollAnswer:
        if len(here.polls) == 1:
            raise NotConnected("HTTP 503", retry_after_seconds=100)
        raise NotConnected("refused")

    async with world(tmp_path, take, poll=not_now) as here:
        (action_id,) = await here.submit()
        await settle(140)
        assert seconds_between(here) == [10.0, 100.0, 22.5]
        shown = here.show(action_id).action
        assert (shown.state.value, shown.attempts, shown.error_at) == ("waiting", 1, None)
        assert (here.lane.health.shown, here.lane.health.last_error) == ("failing", "refused")


async def test_rule_15_a_callback_that_comes_first_cuts_the_poll_off(tmp_path: Path, autojump_clock: object) -> None:
    cut = []

    async def slow(call: Call) -> PollAnswer:
        try:
            await trio.sleep(60)
        except trio.Cancelled:
            cut.append(trio.current_time())
            raise
        return Rejected("too late")

    async with world(tmp_path, take, poll=slow) as here:
        (action_id,) = await here.submit()
        await settle(12)
        await here.ledger.apply(action_id, on.SuccessReceived("d", {"x": 1}), "callback")
        await settle(120)
        record = here.show(action_id)
        assert (record.action.resolution, record.late_responses) == ("done_successfully", ())
        assert len(cut) == len(here.polls) == 1
        assert here.ledger.polled("sys").under_way == {}


async def test_rule_15_an_answer_that_is_on_its_way_when_the_callback_comes_is_late(
    tmp_path: Path, autojump_clock: object
) -> None:
    async def stubborn(call: Call) -> PollAnswer:
        with trio.CancelScope(shield=True):
            await trio.sleep(5)
        return Rejected("too late")

    async with world(tmp_path, take, poll=stubborn) as here:
        (action_id,) = await here.submit()
        await settle(12)
        await here.ledger.apply(action_id, on.SuccessReceived("d"), "callback")
        await settle(60)
        record = here.show(action_id)
        assert record.action.resolution == "done_successfully"
        assert [late.reason for late in record.late_responses] == ["too late"]


async def test_a_poll_is_cut_after_the_attempt_timeout(tmp_path: Path, autojump_clock: object) -> None:
    async def hang(call: Call) -> PollAnswer:
        await trio.sleep_forever()

    async with world(tmp_path, take, poll=hang, attempt_timeout_ms=2000) as here:
        await here.submit()
        await settle(30)
        assert seconds_between(here) == [10.0, 17.0]
        assert here.lane.health.last_error == "no answer within 2 s"


@pytest.mark.parametrize("fault", [ValueError("broken"), SystemExit(3), KeyboardInterrupt(), RecursionError("deep")])
async def test_a_fault_costs_the_poll_alone_and_is_told_with_its_line(
    tmp_path: Path, autojump_clock: object, fault: BaseException
) -> None:
    async def break_first(call: Call) -> PollAnswer:
        if len(here.polls) == 1:
            raise fault
        return Succeeded()

    async with world(tmp_path, take, poll=break_first) as here:
        (action_id,) = await here.submit()
        await settle(12)
        told = here.lane.health.last_error or ""
        assert told.startswith(f"adapter fault: {type(fault).__name__}")
        assert "(adapter programmed, " in told
        assert "/helpers/world.py:" in told
        await settle(60)
        assert here.show(action_id).action.resolution == "done_successfully"
        assert len(here.opened) == 1


@pytest.mark.parametrize(
    "rubbish",
    ["yes", Taken(), Rejected(None), Succeeded([1]), Progress({}, 1), Progress("x", 200), Succeeded({"x": object()})],
)
async def test_rubbish_never_reaches_the_store(tmp_path: Path, autojump_clock: object, rubbish: object) -> None:
    async def answer(call: Call) -> PollAnswer:
        return rubbish if len(here.polls) == 1 else Succeeded()  # type: ignore[return-value]

    async with world(tmp_path, take, poll=answer) as here:
        (action_id,) = await here.submit()
        await settle(12)
        assert (here.lane.health.last_error or "").startswith("adapter fault: ")
        await settle(60)
        assert here.show(action_id).action.resolution == "done_successfully"


async def test_a_restart_loses_no_poll(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, take, poll=nothing) as before:
        ids = await before.submit(3)
        await settle(30)
        assert len(before.polls) == 6
    await settle(5)
    async with world(tmp_path, take, poll=nothing, clock=before.clock) as here:
        # the third comes 22.5 s after the second, as if nothing had happened
        await settle(14)
        assert [round(at - before.calls[0][0], 1) for at, _ in here.polls] == [47.5] * 3
        assert {call.action_id for _, call in here.polls} == set(ids)
        assert {call.reference for _, call in here.polls} == {f"job {action_id}" for action_id in ids}


async def test_a_poll_that_the_daemon_died_in_is_due_at_once(tmp_path: Path, autojump_clock: object) -> None:
    async def hang(call: Call) -> PollAnswer:
        await trio.sleep_forever()

    async with world(tmp_path, take, poll=hang) as before:
        await before.submit()
        await settle(11)
        assert len(before.polls) == 1

    async def succeed(call: Call) -> PollAnswer:
        return Succeeded()

    async with world(tmp_path, take, poll=succeed, clock=before.clock) as here:
        await settle(0.1)
        assert len(here.polls) == 1
        assert here.states() == {}


async def test_rule_4_what_ran_out_while_the_daemon_was_stopped_is_not_polled(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with world(tmp_path, take, poll=nothing) as before:
        (action_id,) = await before.submit()
        await settle(1)
    await settle(15_000)
    async with world(tmp_path, take, poll=nothing, clock=before.clock) as here:
        await settle(60)
        assert here.polls == []
        assert here.show(action_id).action.reason == "timeout"


async def test_what_was_taken_before_the_adapter_polled_is_polled(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, take) as before:
        ids = await before.submit(600)
        await settle(1)
        assert before.show(ids[0]).action.next_poll_at is None
    async with world(tmp_path, take, poll=nothing, clock=before.clock, concurrency=100) as here:
        await settle(12)
        assert len({call.action_id for _, call in here.polls}) == 600


async def test_stop_cuts_polls_off_at_once(tmp_path: Path, autojump_clock: object) -> None:
    async def hang(call: Call) -> PollAnswer:
        await trio.sleep_forever()

    async with world(tmp_path, take, poll=hang) as here:
        await here.submit()
        await settle(11)
        here.lane.stop()
        await settle(0.1)
        assert len(here.closed) == 1


async def test_what_is_cut_off_is_asked_again_by_who_comes_next(tmp_path: Path, autojump_clock: object) -> None:
    async def hang(call: Call) -> PollAnswer:
        await trio.sleep_forever()

    async with world(tmp_path, take, poll=hang) as here:
        await here.submit()
        await settle(11)
        here.lane.stop()
        # as a reload to another adapter does: the new lane begins while the old one is ending
        lane = Lane(
            here.lane.config,
            adapter_class=here.lane._context.adapter_class,
            ledger=here.ledger,
            clock=here.clock,
            network=here.lane._context.network,
            callback_url=lambda action_id: action_id,
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lane.run)
            await settle(0.1)
            assert len(here.polls) == 2
            nursery.cancel_scope.cancel()


async def test_a_pause_stops_attempts_and_not_polls(tmp_path: Path, autojump_clock: object) -> None:
    async def succeed(call: Call) -> PollAnswer:
        return Succeeded()

    async with world(tmp_path, take, poll=succeed) as here:
        await here.submit()
        await settle(1)
        here.lane.set_paused(True)
        await here.submit()
        await settle(60)
        assert here.states() == {"pending": 1}
        assert len(here.calls) == len(here.polls) == 1


async def test_a_new_instance_polls_on(tmp_path: Path, autojump_clock: object) -> None:
    async def crash_once(call: Call) -> Outcome:
        if call.data.get("bad") and call.attempt == 1:
            raise ValueError("broken")
        return Taken()

    async with world(tmp_path, crash_once, poll=nothing) as here:
        (first,) = await here.submit()
        await settle(5)
        await here.submit(data={"bad": True})
        await settle(60)
        assert len(here.opened) == 2
        assert [round(at - here.calls[0][0], 1) for at, call in here.polls if call.action_id == first] == [10, 25, 47.5]


@pytest.mark.parametrize("concurrency", [1, 2, 8])
async def test_neither_starves_the_other(tmp_path: Path, autojump_clock: object, concurrency: int) -> None:
    running = most = 0

    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await trio.sleep(1)
        running -= 1

    async def busy(call: Call) -> Outcome:
        await work()
        return Taken()

    async def slow(call: Call) -> PollAnswer:
        await work()

    polls = PollPolicy(1_000, 1.0, 1_000, 0.0)
    async with world(tmp_path, busy, poll=slow, polls=polls, concurrency=concurrency) as here:
        # far more than there is room for, of both
        await here.submit(200 * concurrency)
        await settle(100)
        attempts, asked = len(here.calls), len(here.polls)
        share = max(concurrency // 4, 1) / concurrency if concurrency > 1 else 0.5
        assert most == concurrency
        assert attempts + asked >= 100 * concurrency * 0.95
        assert abs(asked / (attempts + asked) - share) < 0.05


async def test_attempts_may_use_every_place_while_nobody_is_polled_and_the_other_way_round(
    tmp_path: Path, autojump_clock: object
) -> None:
    running = {"attempts": 0, "polls": 0}
    most = {"attempts": 0, "polls": 0, "both": 0}

    async def count(kind: str) -> None:
        running[kind] += 1
        most[kind] = max(most[kind], running[kind])
        most["both"] = max(most["both"], sum(running.values()))
        await trio.sleep(2)
        running[kind] -= 1

    async def trigger(call: Call) -> Outcome:
        await count("attempts")
        return Taken()

    async def poll(call: Call) -> PollAnswer:
        await count("polls")

    async with world(tmp_path, trigger, poll=poll, concurrency=8) as here:
        await here.submit(8)
        await settle(30)
        assert most == {"attempts": 8, "polls": 8, "both": 8}


async def test_polls_count_under_the_rate(tmp_path: Path, autojump_clock: object) -> None:
    polls = PollPolicy(1_000, 1.0, 1_000, 0.0)
    async with world(tmp_path, take, poll=nothing, polls=polls, rate=Rate(10, 1000)) as here:
        await here.submit(200)
        await settle(60)
        at = sorted(each for each, _ in (*here.calls, *here.polls))
        assert all(after - before >= 0.999 for before, after in zip(at, at[10:], strict=False))
        assert len(here.calls) == 200
        assert len(at) > 570


async def test_many_that_wait_cost_one_timer_and_no_task(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, take, poll=nothing, concurrency=64) as here:
        await here.submit(5)
        await settle(5)
        few = len(_descendants())
        await here.submit(500)
        await settle(2)
        assert here.states() == {"waiting": 505}
        assert len(_descendants()) == few


async def test_a_poll_in_vain_changes_nothing_but_when_the_next_one_is(
    tmp_path: Path, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[str] = []
    async with world(tmp_path, take, poll=nothing) as here:
        (action_id,) = await here.submit()
        await settle(5)
        before = here.show(action_id).action
        connection = here.ledger._store._connection  # type: ignore[attr-defined]
        connection.set_trace_callback(lambda sql: writes.append(sql) if sql.startswith("UPDATE") else None)
        await settle(10)
        connection.set_trace_callback(None)
        after = here.show(action_id).action
        assert len(here.polls) == 1
        assert after == replace(before, next_poll_at=after.next_poll_at, ask_step=1)
        assert len(writes) == 1
        assert [row.event for row in here.reader.history(action_id)] == ["Submitted", "AttemptStarted", "TakenBySystem"]


async def test_a_full_disk_loses_nothing_that_a_poll_brought(
    tmp_path: Path, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    from connectord.errors import StoreFull

    perform = Ledger._perform
    full = False

    def refuse_while_full(self: Ledger, batch: object) -> object:
        if full:
            raise StoreFull("the store cannot take it now: database or disk is full")
        return perform(self, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(Ledger, "_perform", refuse_while_full)

    async def slow(call: Call) -> PollAnswer:
        await trio.sleep(5)
        return Succeeded({"n": 1})

    async with world(tmp_path, take, poll=slow) as here:
        (action_id,) = await here.submit()
        await settle(12)
        full = True
        await settle(60)
        full = False
        await settle(5)
        assert here.show(action_id).action.resolution == "done_successfully"
        assert len(here.polls) == 1


def _descendants() -> list[trio.lowlevel.Task]:
    root = trio.lowlevel.current_root_task()
    assert root is not None
    found, queue = [], [root]
    while queue:
        task = queue.pop()
        found.append(task)
        queue += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return found
