"""A lane after an outage, under simulated time: the circuit, the ramp, the budget for retries."""

from __future__ import annotations

from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path

import trio
from connectord.adapters import Call, NotConnected, Outcome, Rejected, Succeeded
from connectord.config import CircuitPolicy, Rate, SystemConfig
from connectord.lifecycle import events as on
from connectord.lifecycle.policy import RetryPolicy
from helpers.world import World, world

CIRCUIT = CircuitPolicy(failures=10, pause_ms=5_000, max_pause_ms=20_000)
OFTEN = RetryPolicy(limit=1000, delay_ms=1_000, factor=1.0, jitter=0.0)


class System:
    """One that is down until it is up, and knows how many calls it had at once."""

    def __init__(self, seconds: float = 0.5) -> None:
        self.up = False
        self.seconds = seconds
        self.running = 0
        self.most: list[tuple[float, int]] = []

    async def __call__(self, call: Call) -> Outcome:
        if not self.up:
            raise NotConnected("connection refused")
        self.running += 1
        self.most.append((trio.current_time(), self.running))
        await trio.sleep(self.seconds)
        self.running -= 1
        return Succeeded()

    def most_within(self, begin: float, end: float) -> int:
        return max((running for at, running in self.most if begin <= at < end), default=0)


def calls_since(here: World, begin: float) -> list[float]:
    return [round(at - begin, 3) for at, _ in here.calls if at >= begin]


async def test_rule_12_an_open_circuit_makes_no_attempt_and_counts_none(tmp_path: Path, autojump_clock: object) -> None:
    system = System()
    async with world(tmp_path, system, retry=OFTEN, circuit=CIRCUIT) as here:
        ids = await here.submit(200)
        await trio.sleep(0.5)
        # what was under way when it opened ends
        assert len(here.calls) <= CIRCUIT.failures + here.lane.config.concurrency
        assert here.lane.circuit.state == "open"
        assert here.lane.places_allowed == 0
        began, before = here.calls[0][0], len(here.calls)
        await trio.sleep(60)
        # one trial at a time: after 5, 10, 20, 20 seconds
        assert calls_since(here, began)[before:] == [5.0, 15.0, 35.0, 55.0]
        tried = [here.show(action_id).action for action_id in ids]
        assert sum(action.attempts for action in tried) == len(here.calls)
        assert {action.state.value for action in tried} == {"pending"}
        assert here.lane.circuit_openings == 5


async def test_trials_that_go_well_close_it_and_the_rest_goes_out_on_a_ramp(
    tmp_path: Path, autojump_clock: object
) -> None:
    system = System(seconds=1.0)
    async with world(tmp_path, system, retry=OFTEN, circuit=CIRCUIT, concurrency=16) as here:
        await here.submit(200)
        await trio.sleep(4)
        system.up = True
        await trio.sleep(60)
        assert here.states() == {}
        assert here.lane.circuit.state == "closed"
        first = system.most[0][0]
        # each round takes a second: 1, 2, 4, 8, 16
        assert [system.most_within(first + n, first + n + 1) for n in range(5)] == [1, 2, 4, 8, 16]
        assert here.lane.places_allowed == 16


async def test_failures_on_the_ramp_hold_it_back(tmp_path: Path, autojump_clock: object) -> None:
    running, seen = 0, []

    async def at_most_six(call: Call) -> Outcome:
        nonlocal running
        running += 1
        seen.append(running)
        try:
            await trio.sleep(1)
            if running > 6:
                raise NotConnected("HTTP 503")
            return Succeeded()
        finally:
            running -= 1

    # many failures among many that go well: never half of them, so that the circuit stays closed
    async with world(tmp_path, at_most_six, retry=OFTEN, circuit=CircuitPolicy(failures=500), concurrency=32) as here:
        here.lane.set_paused(True)
        await here.submit(600)
        here.lane.set_paused(False)
        await trio.sleep(30)
        allowed = [here.lane.places_allowed]
        for _ in range(20):
            await trio.sleep(1)
            allowed.append(here.lane.places_allowed)
        assert max(seen) <= 16
        assert max(allowed) < 32
        assert min(allowed) >= 1


async def test_rule_13_a_retry_by_hand_goes_out_while_the_circuit_is_open(
    tmp_path: Path, autojump_clock: object
) -> None:
    system = System()
    circuit = CircuitPolicy(failures=10, pause_ms=600_000, max_pause_ms=600_000)
    async with world(tmp_path, system, retry=OFTEN, circuit=circuit) as here:
        ids = await here.submit(50)
        await trio.sleep(10)
        untried = next(action_id for action_id in ids if not here.show(action_id).action.attempts)
        before = len(here.calls)
        await here.ledger.apply(untried, on.RetryRequested(), "test")
        await trio.sleep(1)
        assert here.show(untried).action.attempts == 1
        assert len(here.calls) == before + 1
        assert here.lane.circuit.state == "open"
        # it brings the news that the system is back
        system.up = True
        await here.ledger.apply(untried, on.RetryRequested(), "test")
        await trio.sleep(30)
        assert here.states() == {}
        assert here.lane.circuit.state == "closed"


async def test_a_resume_closes_the_circuit(tmp_path: Path, autojump_clock: object) -> None:
    system = System()
    circuit = CircuitPolicy(failures=10, pause_ms=600_000, max_pause_ms=600_000)
    async with world(tmp_path, system, retry=OFTEN, circuit=circuit) as here:
        await here.submit(50)
        await trio.sleep(10)
        system.up = True
        here.lane.set_paused(False)
        await trio.sleep(30)
        assert here.states() == {}


async def test_a_single_action_keeps_its_own_schedule(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, System(), retry=RetryPolicy(limit=100, delay_ms=100, factor=1.0, jitter=0.0)) as here:
        await here.submit()
        await trio.sleep(60)
        at = calls_since(here, here.calls[0][0])
        assert len(at) == 100
        assert max(later - earlier for earlier, later in pairwise(at)) < 0.2


async def test_rejections_do_not_open_it(tmp_path: Path, autojump_clock: object) -> None:
    async def reject(call: Call) -> Outcome:
        return Rejected("no such vendor")

    async with world(tmp_path, reject, circuit=CIRCUIT) as here:
        await here.submit(100)
        await trio.sleep(5)
        assert here.states() == {"todo": 100}
        assert here.lane.circuit_openings == 0


async def test_timeouts_open_it_and_trials_do_not_wait_for_what_hangs(tmp_path: Path, autojump_clock: object) -> None:
    hanging = True

    async def hang(call: Call) -> Outcome:
        if hanging:
            await trio.sleep_forever()
        return Succeeded()

    async with world(
        tmp_path, hang, retry=OFTEN, circuit=CircuitPolicy(failures=8), concurrency=8, attempt_timeout_ms=10_000
    ) as here:
        await here.submit(40)
        await trio.sleep(10.5)
        assert here.lane.circuit.state == "open"
        hanging = False
        await trio.sleep(60)
        assert here.states() == {}


async def test_switched_off_it_never_opens(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, System(), retry=OFTEN, circuit=None) as here:
        await here.submit(100)
        await trio.sleep(10)
        assert len(here.calls) > 900


async def test_a_start_with_a_backlog_is_a_ramp(tmp_path: Path, autojump_clock: object) -> None:
    system = System(seconds=1.0)
    async with world(tmp_path, system, concurrency=32) as here:
        clock = here.clock
        here.lane.set_paused(True)
        await here.submit(200)
    system.up = True
    async with world(tmp_path, system, concurrency=32, clock=clock) as here:
        await trio.sleep(20)
        first = system.most[0][0]
        assert [system.most_within(first + n, first + n + 1) for n in range(4)] == [4, 8, 16, 32]
        assert here.states() == {}


async def test_a_start_where_a_quarter_of_the_tries_hang_is_no_crawl(tmp_path: Path, autojump_clock: object) -> None:
    """Before the start it had 16 places; it has them again after a few rounds of time limits, and not one alone."""
    calls = count()

    async def system(call: Call) -> Outcome:
        await trio.sleep(3600 if next(calls) % 4 == 3 else 0.1)
        return Succeeded()

    limit = RetryPolicy(limit=1, delay_ms=1_000, factor=1.0, jitter=0.0)
    async with world(tmp_path, system, concurrency=16, retry=limit, attempt_timeout_ms=2_000) as here:
        clock = here.clock
        here.lane.set_paused(True)
        await here.submit(200)
    async with world(tmp_path, system, concurrency=16, retry=limit, attempt_timeout_ms=2_000, clock=clock) as here:
        await trio.sleep(20)
        assert here.lane.places_allowed == 16
        assert here.states() == {}


async def test_room_that_came_before_the_wait_for_it_is_seen(tmp_path: Path, autojump_clock: object) -> None:
    """The last attempt on a ramp may end after the lane has seen that there is no room, and before it waits."""
    async with world(tmp_path, System(), concurrency=8) as here:
        here.lane.set_paused(True)
        claims, context = here.lane._claims, here.lane._context
        recovery = context.recovery
        recovery._ramp.begin(1)
        began_in = recovery.begin(1)
        assert recovery.room() == 0
        with trio.move_on_after(5) as patience:
            await claims._wait_for_room()
        assert patience.cancelled_caught  # nothing came
        recovery.end(began_in)
        context.admission.wake()  # nobody waits yet
        with trio.fail_after(5):
            await claims._wait_for_room()


async def test_a_circuit_that_opened_before_the_wait_for_room_ends_it(tmp_path: Path, autojump_clock: object) -> None:
    """A trial may fail after the lane has seen that there is no room, and before it waits: the next one still comes."""
    async with world(tmp_path, System(), retry=OFTEN, circuit=CIRCUIT) as here:
        here.lane.set_paused(True)
        recovery = here.lane._context.recovery
        for number in range(CIRCUIT.failures):
            recovery.failed(recovery.begin(1), trio.current_time(), f"action {number}", "connection refused")
        assert here.lane.circuit.state == "open"
        began = trio.current_time()
        with trio.fail_after(60):
            await here.lane._claims._wait_for_room()
        assert trio.current_time() - began == CIRCUIT.pause_ms / 1000


async def test_new_actions_are_not_starved_by_retries(tmp_path: Path, autojump_clock: object) -> None:
    """Thousands of retries are due; a new action takes the next place that is free."""
    system = System(seconds=1.0)
    retry = RetryPolicy(limit=5, delay_ms=1_000, factor=1.0, jitter=0.0)
    async with world(tmp_path, system, retry=retry, circuit=None, concurrency=8) as here:
        await here.submit(3_000)
        await trio.sleep(0.9)
        assert {call.attempt for _, call in here.calls} == {1}
        system.up = True
        await trio.sleep(5.5)
        assert system.running == 8
        began = trio.current_time()
        fresh = set(await here.submit(20))
        await trio.sleep(10)
        at = [(at - began, call.action_id in fresh) for at, call in here.calls if at >= began]
        # with the first places that are free
        assert next(after for after, is_fresh in at if is_fresh) == at[0][0] <= 1.0
        # half of the places for them, until they are done
        rounds = [is_fresh for _, is_fresh in at[:48]]
        assert rounds.count(True) == 20
        assert 12 <= rounds[:32].count(True) <= 20
        assert here.lane.places_allowed == 8


async def test_a_budget_holds_for_the_rate_too(tmp_path: Path, autojump_clock: object) -> None:
    system = System(seconds=0.0)
    retry = RetryPolicy(limit=5, delay_ms=1_000, factor=1.0, jitter=0.0, budget=0.2)
    async with world(tmp_path, system, retry=retry, circuit=None) as here:
        await here.submit(2_000)
        await trio.sleep(0.9)
        system.up = True
        here.lane.reconfigure(_with_rate(here, Rate(10, 1000)))
        await trio.sleep(3)
        began = trio.current_time()
        fresh = set(await here.submit(100))
        await trio.sleep(8)
        mine = [call.action_id in fresh for at, call in here.calls if began + 1 <= at]
        assert 0.7 <= mine.count(True) / len(mine) <= 0.9


def _with_rate(here: World, rate: Rate) -> SystemConfig:
    return replace(here.lane.config, rate=rate)
