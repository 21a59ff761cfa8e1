"""Plugins that observe: in order, never in the way, and told when they missed something."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from connectord.extensions import Change, Missed, Observed
from connectord.ledger.watchers import Watchers
from connectord.observing import change_of, observe
from connectord.plugins import Observer
from connectord.store.base import HistoryPage, HistoryRow
from structlog.testing import capture_logs


def row(seq: int) -> HistoryRow:
    return HistoryRow(seq, f"a{seq}", 0, None, "pending", "submitted", "17,18", "why", "who", None, 1, "erp", "C-1", 0)


async def no_page(after: int, upto: int, limit: int) -> HistoryPage:
    """A history of which nothing is kept any more."""
    await trio.lowlevel.checkpoint()
    return HistoryPage(None, ())


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


def test_a_change_has_the_members_of_an_event() -> None:
    assert change_of(row(7)) == Change(
        7, "a7", "1970-01-01T00:00:00.000Z", None, "pending", "submitted", ("17", "18"), "why", "who", None, 1, "erp",
        "C-1",
    )  # fmt: skip


async def test_changes_come_in_order_and_what_is_missed_is_told(autojump_clock) -> None:
    seen: list[Observed] = []
    watchers = Watchers(0, ring=8)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(observe, Observer(seen.append, "plugin 'x'", "x"), watchers, no_page)
        await settle()
        watchers.publish([row(1), row(2)])
        await settle()
        # it does not get to run while so many commits come that its place is gone
        for seq in range(3, 30):
            watchers.publish([row(seq)])
        await settle()
        watchers.publish([row(30)])
        await settle()
        nursery.cancel_scope.cancel()
    assert [each.seq if isinstance(each, Change) else each for each in seen] == [1, 2, Missed(2, 29), 30]


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt("x"), SystemExit("x"), GeneratorExit("x")])
async def test_a_fault_stops_nothing_and_does_not_flood_the_log(autojump_clock, error: BaseException) -> None:
    calls: list[Observed] = []

    def fail(change: Observed) -> None:
        calls.append(change)
        raise error

    watchers = Watchers(0)
    with capture_logs() as lines:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(observe, Observer(fail, "plugin 'x'", __name__), watchers, no_page)
            await settle()
            watchers.publish([row(seq) for seq in range(1, 201)])
            await settle()
            await trio.sleep(11)
            watchers.publish([row(201)])
            await settle()
            nursery.cancel_scope.cancel()
    assert len(calls) == 201
    assert [line["faults"] for line in lines] == [1, 201]
    assert lines[0]["at"] == f"{__file__}:{fail.__code__.co_firstlineno + 2}"


async def test_nobody_fills_the_ring_once_the_observer_is_gone(autojump_clock) -> None:
    watchers = Watchers(0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(observe, Observer(lambda change: None, "plugin 'x'", "x"), watchers, no_page)
        await settle()
        nursery.cancel_scope.cancel()
    watchers.publish([row(1)])
    assert watchers.after(0, 10) == []
