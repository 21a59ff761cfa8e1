"""Probes under simulated time (rule 14): after a crash, after a hard timeout, over restarts, with faults."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from connectord.adapters import Call, NotConnected, NotThere, Outcome, ProbeAnswer, Rejected, Succeeded, Taken, Unclear
from connectord.ledger.limiting import EnforceLimit
from connectord.lifecycle import events as on
from connectord.lifecycle.policy import RetryPolicy
from helpers.world import World, world


async def settle(seconds: float = 1.0) -> None:
    await trio.sleep(seconds)


async def hang(call: Call) -> Outcome:
    await trio.sleep_forever()
    raise AssertionError


async def succeed(call: Call) -> Outcome:
    return Succeeded()


async def crashed(tmp_path: Path, count: int = 1) -> tuple[World, list[str]]:
    """A daemon that has died during its attempts."""
    async with world(tmp_path, hang) as before:
        ids = await before.submit(count, data={"amount": 12})
        await settle(5)
        assert len(before.calls) == count
    return before, ids


@pytest.mark.parametrize(
    ("answer", "state", "rules"),
    [
        (Taken("job 7"), "waiting", "14,1"),
        (Succeeded({"n": 1}), "closed", "15,2"),
        (Rejected("no such vendor"), "todo", "15,3"),
        (Unclear("two jobs of that name"), "todo", "14,3"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
)
async def test_rule_14_what_a_probe_finds_counts_and_nothing_is_tried_again(
    tmp_path: Path, autojump_clock: object, answer: ProbeAnswer, state: str, rules: str
) -> None:
    async def find(call: Call) -> ProbeAnswer:
        return answer

    before, (action_id,) = await crashed(tmp_path)
    async with world(tmp_path, succeed, probe=find, clock=before.clock) as here:
        await settle(600)
        shown = here.show(action_id).action
        assert (shown.state.value, shown.attempts, here.calls) == (state, 1, [])
        call = here.probes[0][1]
        assert (call.attempt, call.idempotency_key, call.data) == (1, action_id, {"amount": 12})
        last = here.reader.history(action_id)[-1]
        assert (last.who, last.rules) == ("probe:sys", rules)
        assert here.reader.attempts(action_id)[0].outcome == "interrupted"
        assert shown.reference == ("job 7" if state == "waiting" else None)


async def test_rule_14_not_there_is_tried_again_at_once(tmp_path: Path, autojump_clock: object) -> None:
    async def find(call: Call) -> ProbeAnswer:
        return NotThere()

    before, ids = await crashed(tmp_path, 3)
    async with world(tmp_path, succeed, probe=find, clock=before.clock) as here:
        await settle(0.1)
        assert [call.attempt for _, call in here.calls] == [2, 2, 2]
        assert len(here.probes) == 3
        assert here.states() == {}
        events = [row.event for row in here.reader.history(ids[0])]
        assert events == [
            "Submitted",
            "AttemptStarted",
            "AttemptInterrupted",
            "ProbeFoundNothing",
            "AttemptStarted",
            "SuccessReceived",
        ]


async def test_rule_9_not_there_closes_where_it_was_the_last_try(tmp_path: Path, autojump_clock: object) -> None:
    async def find(call: Call) -> ProbeAnswer:
        return NotThere()

    before, (action_id,) = await crashed(tmp_path)
    only = RetryPolicy(limit=1)
    async with world(tmp_path, succeed, probe=find, clock=before.clock, retry=only) as here:
        await settle(1)
        shown = here.show(action_id).action
        assert (shown.resolution, shown.attempts, here.calls) == ("not_done_successfully", 1, [])
        assert len(here.probes) == 1


async def test_rule_10_a_limit_that_is_enforced_waits_for_the_probe(tmp_path: Path, autojump_clock: object) -> None:
    async def find(call: Call) -> ProbeAnswer:
        raise NotConnected("refused")

    before, _ = await crashed(tmp_path, 3)
    only = RetryPolicy(limit=1, delay_ms=60_000, jitter=0.0)
    async with world(tmp_path, succeed, probe=find, clock=before.clock, retry=only) as here:
        await settle(1)
        done = await here.ledger.perform(EnforceLimit("sys", "test"))
        assert (done.touched, done.more) == (0, False)
        assert here.states() == {"pending": 3}
        counts = here.reader.limit_counts("sys", 1, 2)
        assert (counts.pending, counts.over_limit, counts.attempting) == (0, 0, 3)


async def test_a_hard_timeout_is_probed_and_keeps_the_schedule(tmp_path: Path, autojump_clock: object) -> None:
    async def find(call: Call) -> ProbeAnswer:
        return NotThere() if call.attempt == 1 else Taken()

    async with world(tmp_path, hang, probe=find, attempt_timeout_ms=2000) as here:
        (action_id,) = await here.submit()
        await settle(60)
        began = here.calls[0][0]
        # cut off after 2 s and asked at once; tried again 30 s after the failure, as ever; asked again, and found
        assert [round(at - began) for at, _ in here.calls] == [0, 32]
        assert [round(at - began) for at, _ in here.probes] == [2, 34]
        shown = here.show(action_id).action
        assert (shown.state.value, shown.attempts) == ("waiting", 2)
        assert [row.message for row in here.reader.attempts(action_id)] == ["no answer within 2 s"] * 2


@pytest.mark.parametrize("unknown", [False, True])
async def test_an_adapter_may_say_that_the_outcome_is_unknown(
    tmp_path: Path, autojump_clock: object, unknown: bool
) -> None:
    async def lose(call: Call) -> Outcome:
        raise NotConnected("read timeout", outcome_unknown=unknown)

    async def find(call: Call) -> ProbeAnswer:
        return Taken()

    async with world(tmp_path, lose, probe=find) as here:
        await here.submit()
        await settle(10)
        assert here.states() == ({"waiting": 1} if unknown else {"pending": 1})
        assert len(here.probes) == unknown


async def test_an_adapter_that_cannot_probe_tries_again_as_ever(tmp_path: Path, autojump_clock: object) -> None:
    async def lose(call: Call) -> Outcome:
        raise NotConnected("read timeout", outcome_unknown=True)

    async with world(tmp_path, lose) as here:
        await here.submit()
        await settle(3600)
        assert [round(at - here.calls[0][0]) for at, _ in here.calls] == [0, 30, 90, 210, 450]


async def test_a_probe_that_does_not_connect_comes_again_and_costs_no_attempt(
    tmp_path: Path, autojump_clock: object
) -> None:
    async def find(call: Call) -> ProbeAnswer:
        match len(here.probes):
            case 1:
                raise NotConnected("refused")
            case 2:
                raise NotConnected("HTTP 503", retry_after_seconds=100)
        return Taken()

    before, (action_id,) = await crashed(tmp_path)
    async with world(tmp_path, succeed, probe=find, clock=before.clock) as here:
        await settle(20)
        shown = here.show(action_id).action
        assert (shown.state.value, shown.probe, shown.error_message) == ("pending", True, "refused")
        assert here.lane.health.shown == "failing"
        await settle(600)
        first = here.probes[0][0]
        assert [round(at - first) for at, _ in here.probes] == [0, 30, 130]
        shown = here.show(action_id).action
        assert (shown.state.value, shown.attempts, here.calls) == ("waiting", 1, [])


async def test_rule_4_a_system_that_can_never_be_asked_is_for_a_person(tmp_path: Path, autojump_clock: object) -> None:
    async def find(call: Call) -> ProbeAnswer:
        raise NotConnected("refused")

    before, (action_id,) = await crashed(tmp_path)
    async with world(tmp_path, succeed, probe=find, clock=before.clock) as here:
        await settle(14_400 + 3_600)
        shown = here.show(action_id).action
        assert (shown.state.value, shown.reason, shown.attempts) == ("todo", "timeout", 1)
        assert "could not be found out: refused" in (shown.rejected_reason or "")


async def test_a_probe_that_the_daemon_died_in_is_asked_again(tmp_path: Path, autojump_clock: object) -> None:
    async def never(call: Call) -> ProbeAnswer:
        await trio.sleep_forever()
        raise AssertionError

    async def find(call: Call) -> ProbeAnswer:
        return Taken()

    before, (action_id,) = await crashed(tmp_path)
    async with world(tmp_path, succeed, probe=never, clock=before.clock) as middle:
        await settle(5)
        assert len(middle.probes) == 1
        assert middle.lane.in_flight == 1
    async with world(tmp_path, succeed, probe=find, clock=before.clock) as here:
        await settle(0.1)
        assert here.show(action_id).action.state.value == "waiting"
        assert here.calls == []


async def test_a_probe_with_backoff_goes_on_over_a_restart(tmp_path: Path, autojump_clock: object) -> None:
    async def refuse(call: Call) -> ProbeAnswer:
        raise NotConnected("refused")

    before, _ = await crashed(tmp_path)
    async with world(tmp_path, succeed, probe=refuse, clock=before.clock) as middle:
        await settle(31)
        first = middle.probes[0][0]
        assert len(middle.probes) == 2
    async with world(tmp_path, succeed, probe=refuse, clock=before.clock) as here:
        await settle(100)
        assert [round(at - first) for at, _ in here.probes] == [90]


async def test_rule_15_a_callback_during_a_probe_decides(tmp_path: Path, autojump_clock: object) -> None:
    async def slow(call: Call) -> ProbeAnswer:
        await trio.sleep(10)
        return NotThere()

    before, (action_id,) = await crashed(tmp_path)
    async with world(tmp_path, succeed, probe=slow, clock=before.clock) as here:
        await settle(5)
        await here.ledger.apply(action_id, on.SuccessReceived("d"), "callback")
        await settle(60)
        assert here.show(action_id).action.resolution == "done_successfully"
        assert (len(here.probes), here.calls, here.lane.in_flight) == (1, [], 0)


async def test_rule_8_a_manual_retry_probes_now(tmp_path: Path, autojump_clock: object) -> None:
    async def find(call: Call) -> ProbeAnswer:
        if len(here.probes) == 1:
            raise NotConnected("refused")
        return NotThere()

    before, (action_id,) = await crashed(tmp_path)
    async with world(tmp_path, succeed, probe=find, clock=before.clock) as here:
        await settle(5)
        await here.ledger.apply(action_id, on.RetryRequested(), "test")
        await settle(0.1)
        assert (len(here.probes), len(here.calls)) == (2, 1)
        assert here.reader.attempts(action_id)[1].manual


@pytest.mark.parametrize("rubbish", ["yes", None, Unclear({}), Taken(5), Taken("x" * 5000), Taken("\ud800")])
async def test_rubbish_costs_the_probe_alone(tmp_path: Path, autojump_clock: object, rubbish: object) -> None:
    async def answer(call: Call) -> ProbeAnswer:
        return rubbish if len(here.probes) == 1 else Taken()  # type: ignore[return-value]

    before, (action_id,) = await crashed(tmp_path)
    async with world(tmp_path, succeed, probe=answer, clock=before.clock) as here:
        await settle(1)
        assert (here.lane.health.last_error or "").startswith("adapter fault: ")
        assert here.show(action_id).action.state.value == "pending"
        await settle(60)
        assert here.show(action_id).action.state.value == "waiting"
        assert len(here.opened) == 1


async def test_probes_have_places_like_attempts(tmp_path: Path, autojump_clock: object) -> None:
    running = most = 0

    async def slow(call: Call) -> ProbeAnswer:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await trio.sleep(1)
        running -= 1
        return Taken()

    before, _ = await crashed(tmp_path, 10)
    async with world(tmp_path, succeed, probe=slow, clock=before.clock, concurrency=3) as here:
        await settle(10)
        assert (most, len(here.probes), here.calls) == (3, 10, [])
        assert here.states() == {"waiting": 10}


async def test_a_paused_lane_probes_nothing(tmp_path: Path, autojump_clock: object) -> None:
    async def find(call: Call) -> ProbeAnswer:
        return Taken()

    before, _ = await crashed(tmp_path)
    async with world(tmp_path, succeed, probe=find, clock=before.clock) as here:
        here.lane.set_paused(True)
        await settle(60)
        assert here.probes == []
        here.lane.set_paused(False)
        await settle(1)
        assert len(here.probes) == 1


async def test_stop_cuts_probes_off_at_once(tmp_path: Path, autojump_clock: object) -> None:
    async def never(call: Call) -> ProbeAnswer:
        await trio.sleep_forever()
        raise AssertionError

    before, _ = await crashed(tmp_path)
    async with world(tmp_path, succeed, probe=never, clock=before.clock) as here:
        await settle(1)
        here.lane.stop()
        await settle(0.1)
        assert len(here.closed) == 1
