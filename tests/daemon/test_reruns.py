"""Rule 16 where it is hard to get at from outside: limits, a full disk in between, two at the same time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio
from connectord.adapters import Call, NotConnected, Outcome
from connectord.callers import Role
from connectord.control import params as p
from connectord.control.methods import Caller
from connectord.control.methods import reruns as module
from connectord.control.methods.reruns import RerunMethods
from connectord.errors import InvalidRequest, NotFound, Refused, StoreFull
from connectord.ledger.ledger import Ledger
from connectord.ledger.operations import Rerun
from connectord.lifecycle.policy import RetryPolicy
from connectord.store.base import Filters, ReadStore
from helpers.world import World, world

T = TypeVar("T")

_ALL = Filters()


async def refuse(call: Call) -> Outcome:
    raise NotConnected("connection refused")


class _Services:
    """What ``rerun`` needs of the daemon."""

    def __init__(self, here: World) -> None:
        self.here = here
        self.ledger: Ledger = here.ledger

    async def read(self, question: Callable[[ReadStore], T]) -> T:
        return question(self.here.reader)

    async def read_at_length(self, question: Callable[[ReadStore], T]) -> T:
        return question(self.here.reader)

    def limit_of(self, system: str) -> int | None:
        return 1


class Reruns:
    def __init__(self, here: World) -> None:
        self.here = here
        self._methods = RerunMethods(_Services(here))  # type: ignore[arg-type]  # it needs no more

    async def __call__(self, **params: Any) -> Any:
        async def notify(method: str, told: Any) -> None:
            raise AssertionError("nothing is to be told")

        return await self._methods.calls()["rerun"](p.Rerun(**params), Caller("user:eva", Role.OPERATOR), notify)


@asynccontextmanager
async def given_up(tmp_path: Path, count: int) -> AsyncIterator[Reruns]:
    async with world(tmp_path, refuse, retry=RetryPolicy(limit=1)) as here:
        await here.submit(count)
        with trio.fail_after(20):
            while len(here.reader.rerun_selection(_ALL, 10_000).ids) < count:
                await trio.sleep(0.05)
        here.lane.set_paused(True)
        yield Reruns(here)


async def test_a_selection_beyond_the_limit_is_refused_with_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RERUN_LIMIT", 9)
    async with given_up(tmp_path, 12) as rerun:
        for dry_run in (True, False):
            with pytest.raises(Refused, match="12 actions are too many to run again at once; at most 9 can be. Narrow"):
                await rerun(filters=p.RerunFilters(), dry_run=dry_run)
        assert rerun.here.states() == {}


async def test_a_full_disk_in_between_leaves_whole_slices_and_the_same_again_makes_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLICE", 4)
    async with given_up(tmp_path, 10) as rerun:
        ledger = rerun.here.ledger
        whole = ledger.perform
        monkeypatch.setattr(ledger, "perform", _full(whole, after=1))
        with pytest.raises(StoreFull, match="8 of 10 were run again; .* and those after it were not"):
            await rerun(filters=p.RerunFilters())
        assert rerun.here.states() == {"pending": 8}
        monkeypatch.setattr(ledger, "perform", whole)
        counted = await rerun(filters=p.RerunFilters(), dry_run=True)
        assert (counted.count, counted.left_out) == (2, 8)
        assert (await rerun(filters=p.RerunFilters(), expect=2)).count == 2
        assert rerun.here.states() == {"pending": 10}


def _full(perform: Callable[[Any], Any], *, after: int) -> Callable[[Any], Any]:
    done = 0

    async def limited(operation: Any) -> Any:
        nonlocal done
        done += 1
        if done > after:
            raise StoreFull("no room")
        return await perform(operation)

    return limited


async def test_two_at_the_same_time_make_no_double_work(tmp_path: Path) -> None:
    async with given_up(tmp_path, 20) as rerun:
        answers: list[Any] = []

        async def one() -> None:
            answers.append(await rerun(filters=p.RerunFilters(), expect=20))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one)
            nursery.start_soon(one)
        assert sorted((item.count, item.left_out) for item in answers) == [(0, 20), (20, 0)]
        assert rerun.here.states() == {"pending": 20}


async def test_ids_or_filters_but_not_both_and_not_neither(tmp_path: Path) -> None:
    async with given_up(tmp_path, 1) as rerun:
        for params in ({}, {"ids": ["x"], "filters": p.RerunFilters()}):
            with pytest.raises(InvalidRequest, match="one of the two"):
                await rerun(**params)


async def test_rule_16_all_of_them_or_none_and_what_was_run_again_is_left_out(tmp_path: Path) -> None:
    async with given_up(tmp_path, 2) as rerun:
        ledger, here = rerun.here.ledger, rerun.here
        ids = list(here.reader.rerun_selection(_ALL, 10).ids)
        with pytest.raises(NotFound, match="there is no action 01J0"):
            await ledger.perform(Rerun([*ids, "01J0"], "test"))
        assert here.states() == {}
        (open_one,) = await here.submit()
        with pytest.raises(Refused, match=f"action {open_one} is not closed"):
            await ledger.perform(Rerun([*ids, open_one], "test"))
        assert here.states() == {"pending": 1}
        (first,) = await ledger.perform(Rerun(ids[:1], "test"))
        (second,) = await ledger.perform(Rerun(ids, "test", once=True))
        assert [here.show(each.id).rerun_of for each in (first, second)] == ids
