"""Watching: every change after a number, once and in order, whoever is slow; and a clear word where it cannot be."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio
import trio.testing
from connectord.adapters import Call, Outcome, Succeeded
from connectord.errors import NotInHistory, Overloaded, Refused, WatcherTooSlow
from connectord.ledger import watchers as watching
from connectord.ledger.watchers import RING, Watcher, Watchers
from connectord.lifecycle import events as on
from connectord.lifecycle.action import Action
from connectord.store.base import ChangeFilters, HistoryPage, HistoryRow, NewAction, WriteSet
from connectord.store.sqlite_reader import SqliteReader
from connectord.store.sqlite_writer import SqliteWriter
from helpers.world import World, world
from hypothesis import given, settings
from hypothesis import strategies as st

ACTIONS = [("A", "erp", "C-1"), ("B", "erp", "C-2"), ("C", "depot", "C-1")]
STATES = ["pending", "attempting", "closed"]
SMALL_RING = 8


class Store:
    """A real history on disk that the test writes as the ledger does, and reads with a pause as a thread does."""

    def __init__(self, directory: Path) -> None:
        self._writer = SqliteWriter(directory / "connectord.db")
        self._reader = SqliteReader(directory / "connectord.db")
        self.rows: list[HistoryRow] = []
        self.read_seconds = 0.0
        inserted = [
            NewAction(Action(id=id_, system=system, submitted_at=0, case_id=None, due_at=0, scheduled_at=0), "{}")
            for id_, system, _ in ACTIONS
        ]
        self._write(WriteSet(inserted=inserted))
        with sqlite3.connect(directory / "connectord.db") as other:
            other.executemany("INSERT INTO cases VALUES (?, null, '{}', 0, 0)", {(case,) for *_, case in ACTIONS})
            other.executemany("UPDATE actions SET case_id = ? WHERE id = ?", [(case, id_) for id_, _, case in ACTIONS])
        other.close()

    def append(self, changes: Sequence[tuple[int, int]]) -> list[HistoryRow]:
        """Commit a batch of (action, state)."""
        new = []
        for action, state in changes:
            id_, system, case = ACTIONS[action]
            seq = len(self.rows) + len(new) + 1
            new.append(HistoryRow(seq, id_, 0, None, STATES[state], "E", "18", "why", "who", None, 1, system, case))
        self._write(WriteSet(history=new))
        self.rows += new
        return new

    async def read(self, filters: ChangeFilters, after: int, upto: int, limit: int) -> HistoryPage:
        await trio.sleep(self.read_seconds)
        return self._reader.history_page(filters, after, upto, limit)

    def close(self) -> None:
        self._reader.close()
        self._writer.close()

    def _write(self, changes: WriteSet) -> None:
        self._writer.begin()
        self._writer.write(changes)
        self._writer.commit()


@dataclass
class Reader:
    """Somebody who watches, hangs up now and then, and goes on after what was told last."""

    begins_at: float
    after: int | None
    filters: ChangeFilters
    pace: float
    stays_for: int
    is_away_for: float
    start: int = 0
    told: list[HistoryRow] = field(default_factory=list)
    cut_off_before: int = 0

    def _last(self) -> int:
        return self.told[-1].seq if self.told else self.start

    async def run(self, watchers: Watchers, store: Store) -> None:
        await trio.sleep(self.begins_at)
        # as a client that knows a number from before: never one that has not been yet
        self.start = watchers.newest if self.after is None else min(self.after, watchers.newest)
        position = self.start if self.after is not None else None

        async def read(after: int, upto: int, limit: int) -> HistoryPage:
            return await store.read(self.filters, after, upto, limit)

        while True:
            try:
                with watchers.subscribe(position, self.filters, read) as watcher:
                    position = await self._stay(watcher, self.start if position is None else position)
            except WatcherTooSlow as error:
                self.cut_off_before = max(self.cut_off_before, self._last() - error.resume_after)
                position = error.resume_after
            await trio.sleep(self.is_away_for)

    async def _stay(self, watcher: Watcher, position: int) -> int:
        heard = 0
        while True:
            for row in await watcher.next_rows():
                await trio.sleep(self.pace)
                self.told.append(row)
                position = row.seq
                heard += 1
                if heard == self.stays_for:
                    return position


filters = st.builds(
    ChangeFilters,
    id=st.sampled_from([None, None, "A"]),
    system=st.sampled_from([None, None, "erp", "depot"]),
    case=st.sampled_from([None, None, "C-1"]),
    state=st.sampled_from([None, None, "closed"]),
)
readers = st.builds(
    Reader,
    begins_at=st.sampled_from([0, 0, 0.5, 3]),
    after=st.none() | st.integers(0, 30),
    filters=filters,
    pace=st.sampled_from([0, 0, 0.01, 0.3]),
    stays_for=st.integers(1, 12),
    is_away_for=st.sampled_from([0, 0.5, 2]),
)
changes = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=3 * SMALL_RING)
batches = st.lists(st.tuples(st.sampled_from([0, 0.1, 1]), changes), min_size=2, max_size=12)


@settings(max_examples=50, deadline=None)
@given(before=changes, batches=batches, people=st.lists(readers, min_size=1, max_size=4), read_seconds=st.floats(0, 1))
def test_every_watcher_is_told_what_matches_after_its_start_once_and_in_order(
    before: list[tuple[int, int]],
    batches: list[tuple[float, list[tuple[int, int]]]],
    people: list[Reader],
    read_seconds: float,
) -> None:
    async def main(store: Store) -> None:
        store.append(before)
        store.read_seconds = read_seconds
        watchers = Watchers(len(store.rows), ring=SMALL_RING)
        async with trio.open_nursery() as nursery:
            for reader in people:
                nursery.start_soon(reader.run, watchers, store)
            for pause, batch in batches:
                await trio.sleep(pause)
                watchers.publish(store.append(batch))
            await trio.sleep(80_000)
            nursery.cancel_scope.cancel()
        for reader in people:
            assert reader.cut_off_before == 0
            assert reader.told == [row for row in store.rows if row.seq > reader.start and reader.filters.match(row)]

    with tempfile.TemporaryDirectory() as directory:
        store = Store(Path(directory))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(watching, "PAGE", 3)
            patch.setattr(watching, "SPAN", 5)
            patch.setattr(watching, "CHUNK", 2)
            trio.run(main, store, clock=trio.testing.MockClock(autojump_threshold=0))
        store.close()


# -- with the ledger


async def succeed(call: Call) -> Outcome:
    return Succeeded()


@asynccontextmanager
async def quiet(tmp_path: Path) -> AsyncIterator[World]:
    """A ledger whose lane does nothing: every submission is one change."""
    async with world(tmp_path, succeed) as here:
        here.lane.set_paused(True)
        yield here


def reading(here: World, wanted: ChangeFilters) -> watching.ReadPage:
    async def read(after: int, upto: int, limit: int) -> HistoryPage:
        await trio.lowlevel.checkpoint()
        return here.reader.history_page(wanted, after, upto, limit)

    return read


def watch(here: World, after: int | None = None, **wanted: str) -> object:
    chosen = ChangeFilters(**wanted)
    return here.ledger.watchers.subscribe(after, chosen, reading(here, chosen))


async def take(watcher: Watcher, count: int) -> list[HistoryRow]:
    rows: list[HistoryRow] = []
    while len(rows) < count:
        rows += await watcher.next_rows()
    return rows


async def test_without_a_number_it_begins_with_what_happens_from_now_on(tmp_path: Path, autojump_clock: object) -> None:
    async with quiet(tmp_path) as here:
        await here.submit(3)
        with watch(here) as watcher:
            (new,) = await here.submit(1)
            (row,) = await watcher.next_rows()
            assert (row.seq, row.action_id) == (4, new)
            with trio.move_on_after(60) as waited:
                await watcher.next_rows()
            assert waited.cancelled_caught


async def test_rows_from_the_store_say_what_rows_from_the_ring_say(tmp_path: Path, autojump_clock: object) -> None:
    async with quiet(tmp_path) as here:
        with watch(here) as live:
            first, _ = await here.submit(2, case_id="C-1")
            await here.ledger.apply(first, on.Cancelled("why not"), "anna", "why not")
            told = await take(live, 3)
        with watch(here, after=0) as late:
            again = await take(late, 3)
        shown = [(row.seq, row.action_id, row.to_state, row.system, row.case_id, row.note, row.who) for row in told]
        assert shown == [
            (row.seq, row.action_id, row.to_state, row.system, row.case_id, row.note, row.who) for row in again
        ]
        assert {row[3:5] for row in shown} == {("sys", "C-1")}


async def test_a_reader_that_falls_behind_is_cut_off_and_loses_nothing(tmp_path: Path, autojump_clock: object) -> None:
    async with quiet(tmp_path) as here:
        with watch(here) as slow:
            await here.submit(1)
            told = list(await slow.next_rows())
            for _ in range(5):
                await here.submit(RING // 4 + 1)
            with pytest.raises(WatcherTooSlow, match="after 1 to go on") as caught:
                await slow.next_rows()
        assert isinstance(caught.value, Overloaded)
        with watch(here, after=caught.value.resume_after) as again:
            told += await take(again, 5 * (RING // 4 + 1))
        assert [row.seq for row in told] == list(range(1, len(told) + 1))
        assert here.ledger.watchers.newest == len(told)


async def test_one_commit_that_is_larger_than_the_ring_cuts_nobody_off(tmp_path: Path, autojump_clock: object) -> None:
    async with quiet(tmp_path) as here:
        rows: list[HistoryRow] = []

        async def listen() -> None:
            with watch(here) as watcher:
                rows.extend(await take(watcher, 3 * RING + 3))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await trio.testing.wait_all_tasks_blocked()
            await here.submit(2 * RING)
            await here.submit(RING)
            await here.submit(3)
        assert [row.seq for row in rows] == list(range(1, 3 * RING + 4))


async def test_while_nobody_watches_nothing_is_kept(tmp_path: Path, autojump_clock: object) -> None:
    async with quiet(tmp_path) as here:
        watchers = here.ledger.watchers
        await here.submit(5)
        assert (watchers.newest, watchers.after(0, 99)) == (5, [])
        with watch(here, after=2) as watcher:
            assert [row.seq for row in await take(watcher, 3)] == [3, 4, 5]
            await here.submit(2)
            assert len(watchers.after(5, 99)) == 2
        assert watchers.after(0, 99) == []


async def test_a_number_that_has_not_been_yet_is_refused(tmp_path: Path, autojump_clock: object) -> None:
    async with quiet(tmp_path) as here:
        await here.submit(2)
        with pytest.raises(NotInHistory, match="no change 3 yet: the newest is 2") as caught, watch(here, after=3):
            pass
        assert isinstance(caught.value, Refused)
        assert caught.value.resume_after == 2


async def test_a_number_that_is_pruned_is_refused_also_midway(tmp_path: Path, autojump_clock: object) -> None:
    def prune(before: int) -> None:
        with sqlite3.connect(tmp_path / "connectord.db") as database:
            database.execute("DELETE FROM history WHERE seq < ?", (before,))
        database.close()

    async with quiet(tmp_path) as here:
        await here.submit(3000)
        with watch(here, after=0) as midway:
            first = len(await midway.next_rows())
            prune(2001)
            with pytest.raises(NotInHistory, match="the oldest change that can be had is 2001"):
                await take(midway, 3000)
        assert first < 2000
        with pytest.raises(NotInHistory) as caught, watch(here, after=1999) as watcher:
            await watcher.next_rows()
        assert caught.value.resume_after == 2000
        with watch(here, after=2000) as watcher:
            assert (await watcher.next_rows())[0].seq == 2001
        prune(3001)
        with pytest.raises(NotInHistory, match="watch after 3000 to go on"), watch(here, after=2000) as watcher:
            await watcher.next_rows()


async def test_a_filter_that_matches_nothing_reads_on_to_the_present(tmp_path: Path, autojump_clock: object) -> None:
    async with quiet(tmp_path) as here:
        await here.submit(5000, case_id="C-1")
        with watch(here, after=0, case="C-2") as watcher:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(here.submit, 1)
                await trio.testing.wait_all_tasks_blocked()
                await here.submit(1, case_id="C-2")
                (row,) = await watcher.next_rows()
        assert (row.seq, row.case_id) == (5002, "C-2")
