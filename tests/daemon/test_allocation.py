"""Allocation with the ledger on a real file: what the rules see, whose turn it is, and what it costs."""

from __future__ import annotations

import random
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest
import trio
from connectord.adapters import Call, Outcome, Rejected, Taken
from connectord.config.conditions import compile_expression
from connectord.ledger.ids import IdSource
from connectord.ledger.policies import PolicyBook
from connectord.ledger.submission import Submission
from connectord.ledger.unit import Unit
from connectord.lifecycle import events as on
from connectord.lifecycle.policy import AllocationRule, Assignee, CaseOwner, Group, Policy, RetryPolicy
from connectord.store.sqlite_writer import SqliteWriter
from helpers.world import World, world
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

SENIORS = Group("seniors", ("anna", "ben"))
LATE = Assignee(queue="late")


def when(expression: str) -> Any:
    return compile_expression(expression, "allocation[0].when")


def policy(*rules: AllocationRule, **changes: Any) -> Policy:
    return Policy(RetryPolicy(jitter=0.0), allocation=rules, **changes)


async def take(call: Call) -> Outcome:
    return Taken()


def place(here: World, action_id: str) -> tuple[str | None, str | None]:
    action = here.show(action_id).action
    assert action.state.value == "todo"
    return action.queue, action.user


async def reject(here: World, action_id: str, **data: Any) -> None:
    await here.ledger.apply(action_id, on.FailureReceived(action_id, "Vendor unknown", data), "callback")


async def test_rule_04_conditions_see_the_data_as_merged(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, take) as here:
        here.lane.set_paused(True)
        here.policy = policy(
            AllocationRule(
                Assignee(queue="merged"), when=when("data == {kept: `1`, changed: `3`} && response.changed")
            ),
            AllocationRule(Assignee(queue="case"), when=when("case_data.seen && owner == 'olga'")),
            AllocationRule(Assignee(queue="rest")),
        )
        first, second, third = [
            (await here.submit(case_id=case, owner=owner, data={"kept": 1, "changed": 2}))[0]
            for case, owner in (("C-1", "olga"), ("C-1", None), ("C-2", "otto"))
        ]
        await reject(here, first, changed=3)
        await reject(here, second, seen=True)
        await reject(here, third, seen=True)
        assert [place(here, each)[0] for each in (first, second, third)] == ["merged", "case", "rest"]


async def test_rule_04_a_timeout_is_allocated_by_what_is_stored(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, take) as here:
        here.policy = policy(
            AllocationRule(LATE, when=when("data.amount > `10` && reason == 'timeout' && response == `{}`")),
            AllocationRule(CaseOwner()),
            timeout_ms=60_000,
        )
        large, owned, other = [
            (await here.submit(case_id=case, owner=owner, data={"amount": amount}))[0]
            for case, owner, amount in (("C-1", "olga", 11), ("C-2", "otto", 1), (None, None, 1))
        ]
        await trio.sleep(61)
        assert place(here, large) == ("late", None)
        assert place(here, owned) == (None, "otto")
        assert place(here, other) == ("default", None)


async def test_rule_04_the_owner_is_the_cases_owner_of_now(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, take) as here:
        here.lane.set_paused(True)
        here.policy = policy(AllocationRule(LATE, owners=("otto",)), AllocationRule(CaseOwner()))
        (first,) = await here.submit(case_id="C-1", owner="olga")
        (second,) = await here.submit(case_id="C-1", owner="otto")
        (without_case,) = await here.submit(owner="zoe")
        for each in (first, second, without_case):
            await reject(here, each)
        assert place(here, first) == place(here, second) == ("late", None)
        assert place(here, without_case) == (None, "zoe")


async def test_a_rule_that_fails_stops_nothing(tmp_path: Path, autojump_clock: object) -> None:
    async def refuse(call: Call) -> Outcome:
        return Rejected("no", {"amount": "much"})

    async with world(tmp_path, refuse) as here:
        here.policy = policy(AllocationRule(LATE, when=when("abs(data.amount) > `1`")), AllocationRule(SENIORS))
        with capture_logs() as logs:
            ids = await here.submit(3)
            await trio.sleep(1)
        # three attempts at once: who is first is not said
        assert sorted(str(place(here, each)[1]) for each in ids) == ["anna", "anna", "ben"]
        failed = [entry for entry in logs if entry["event"].startswith("an allocation rule failed")]
        assert len(failed) == 1
        assert "In function abs()" in failed[0]["error"]


async def test_turns_go_on_after_a_restart(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, take) as here:
        here.lane.set_paused(True)
        ids = await here.submit(9)
    got = []
    for some in (ids[:3], ids[3:4], ids[4:]):
        async with world(tmp_path, take) as here:
            here.lane.set_paused(True)
            here.policy = policy(AllocationRule(SENIORS))
            for action_id in some:
                await reject(here, action_id)
                got.append(place(here, action_id)[1])
    assert got == ["anna", "ben"] * 4 + ["anna"]


class Desk:
    """The ledger's unit of work on a store on disk, without a lane: one call, one transaction."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "connectord.db"
        self._ids = IdSource(random.Random(1))
        self._now = 1_764_000_000_000
        self._store = SqliteWriter(self._path)
        self.statements: list[str] = []

    def restart(self) -> None:
        self._store.close()
        self._store = SqliteWriter(self._path)

    def close(self) -> None:
        self._store.close()

    def trace(self) -> None:
        """Keep every SQL statement from now on."""
        self._store._connection.set_trace_callback(self.statements.append)

    @contextmanager
    def unit(self, *rules: AllocationRule) -> Iterator[Unit]:
        self._now += 1
        self._store.begin()
        unit = Unit(
            self._store,
            now=self._now,
            rng=random.Random(1),
            ids=self._ids,
            policies=PolicyBook(1, {"sys": policy(*rules, timeout_ms=1)}),
            last_seq=self._store.last_seq(),
        )
        yield unit
        unit.flush()
        self._store.commit()

    def reject(self, count: int, group: Group) -> list[str | None]:
        """Reject ``count`` new actions in one transaction; who got them."""
        with self.unit(AllocationRule(group)) as unit:
            actions = [unit.submit(Submission("sys"), "test") for _ in range(count)]
            after = [unit.apply(action.id, on.FailureReceived("d", "no"), "test").action for action in actions]
        assert {action.queue for action in after} == {group.name}
        return [action.user for action in after]


def test_events_of_one_batch_see_each_other(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    flagged = AllocationRule(SENIORS, owners=("olga",), when=when("case_data.flagged"))
    with desk.unit(flagged) as unit:
        first, second, third, other = [
            unit.submit(Submission("sys", case, owner), "test").id
            for case, owner in (("C-1", None), ("C-1", "otto"), ("C-1", "olga"), ("C-2", "olga"))
        ]
        places = []
        for action_id, data in ((first, {"flagged": True}), (second, {}), (third, {}), (other, {})):
            after = unit.apply(action_id, on.FailureReceived(action_id, "no", data), "callback").action
            places.append((after.queue, after.user))
    desk.close()
    assert places == [("seniors", "anna"), ("seniors", "ben"), ("seniors", "anna"), ("default", None)]


# -- what it costs

ASKING = (
    AllocationRule(LATE, owners=("nobody",)),
    AllocationRule(LATE, when=when("data.nothing")),
    AllocationRule(CaseOwner(), when=when("data.nothing")),
    AllocationRule(SENIORS),
)


def statements_of(directory: Path, last: on.Event, *rules: AllocationRule) -> list[str]:
    """The SQL of a submission, an attempt, a heartbeat and ``last``, without the values."""
    directory.mkdir()
    desk = Desk(directory)
    desk.trace()
    with desk.unit(*rules) as unit:
        action = unit.submit(Submission("sys", "C-1", "olga", data={"amount": 1}), "test")
    for event in (on.AttemptStarted(), on.TakenBySystem(1), on.HeartbeatReceived("h"), last):
        with desk.unit(*rules) as unit:
            unit.apply(action.id, event, "test")
    desk.close()
    return [re.sub(r"'[^']*'|\b\d+\b|\bNULL\b", "?", statement) for statement in desk.statements]


@pytest.mark.parametrize("last", [on.SuccessReceived("d", {"x": 1}), on.Cancelled("no"), on.LimitChanged()], ids=str)
def test_rules_cost_nothing_until_an_action_goes_to_people(last: on.Event, tmp_path: Path) -> None:
    without = statements_of(tmp_path / "without", last)
    assert statements_of(tmp_path / "with", last, *ASKING) == without
    assert len(without) > 20


@pytest.mark.parametrize("last", [on.FailureReceived("f", "why", {"x": 1}), on.DeadlinePassed()], ids=str)
@pytest.mark.parametrize(
    ("rules", "contexts", "turns"),
    [
        ((AllocationRule(LATE), AllocationRule(Assignee(user="u"))), 0, 0),
        ((AllocationRule(SENIORS),), 0, 1),
        ((AllocationRule(CaseOwner()),), 1, 0),
        ((AllocationRule(LATE, when=when("data.nothing")),), 1, 0),
        (ASKING, 1, 1),
        ((AllocationRule(SENIORS, system="other", when=when("data")),), 0, 0),
    ],
)
def test_only_what_the_rules_ask_for_is_loaded(
    rules: tuple[AllocationRule, ...], contexts: int, turns: int, last: on.Event, tmp_path: Path
) -> None:
    without = statements_of(tmp_path / "without", last)
    statements = statements_of(tmp_path / "with", last, *rules)
    asked = [text for text in statements if text.startswith("SELECT") and text not in without]
    assert len([text for text in asked if "FROM actions a LEFT JOIN cases" in text]) == contexts
    assert len([text for text in asked if "FROM group_turns" in text]) == turns
    assert len(asked) == contexts + turns


# -- round robin, as a property

NAMES = st.lists(st.sampled_from(["anna", "ben", "eva", "otto", "zoe"]), min_size=1, max_size=5, unique=True)
STRETCH = st.tuples(NAMES, st.lists(st.integers(1, 4), min_size=1, max_size=4), st.booleans())


@settings(max_examples=40, deadline=None)
@given(st.lists(STRETCH, min_size=1, max_size=5))
def test_rule_04_turns_are_fair_whatever_happens_to_the_group(
    stretches: list[tuple[list[str], list[int], bool]],
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        desk = Desk(Path(directory))
        last: str | None = None
        for members, batches, restarts in stretches:
            got: list[str | None] = []
            for count in batches:
                got += desk.reject(count, Group("g", tuple(members)))
                if restarts:
                    desk.restart()
            # the one after the last turn begins, and then everybody in their order
            begin = members.index(last) + 1 if last in members else 0
            assert got == list(islice(cycle(members[begin:] + members[:begin]), len(got)))
            shares = [got.count(member) for member in members]
            assert max(shares) - min(shares) <= 1
            last = got[-1]
        desk.close()
