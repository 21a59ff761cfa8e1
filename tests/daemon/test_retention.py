"""Retention: what is old goes, with everything that belongs to it, and nothing else does."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio
from connectord.config import RetentionSettings
from connectord.errors import NotFound, NotInHistory
from connectord.ledger.ledger import Ledger
from connectord.ledger.operations import SettleNotifications
from connectord.ledger.policies import PolicyBook
from connectord.ledger.removing import GiveBack, Prune
from connectord.ledger.submission import Submission
from connectord.lifecycle import events as on
from connectord.lifecycle.policy import Policy, RetryPolicy
from connectord.store import sqlite_pruning
from connectord.store.base import ChangeFilters, DeliveryReport, HistoryPage, Prunable, PrunePlace
from connectord.store.executors import InlineExecutor
from connectord.store.sqlite_reader import SqliteReader
from connectord.store.sqlite_writer import SqliteWriter
from connectord.testing.simulated_clock import SimulatedClock
from connectord.upkeep import Retention
from connectord.upkeep.retention import FREE_BYTES_KEPT, LARGEST_PIECE

DAY = 86_400_000
TABLES = ("actions", "cases", "history", "attempts", "late_responses", "outbox", "merges")
BOTH = RetentionSettings(done_successfully_ms=10 * DAY, not_done_successfully_ms=30 * DAY, keys_ms=20 * DAY)


@dataclass
class Keeping:
    """A ledger under retention."""

    ledger: Ledger
    retention: Retention
    reader: SqliteReader
    clock: SimulatedClock
    path: Path
    settings: list[RetentionSettings] = field(default_factory=lambda: [BOTH])

    async def submit(self, **params: Any) -> str:
        return (await self.ledger.submit([Submission("sys", **params)], "test"))[0].id

    async def close(self, action_id: str, *, well: bool = True) -> None:
        if well:
            await self.ledger.claim("sys", 1000)
            await self.ledger.apply(action_id, on.SuccessReceived(digest="d", data={"n": 1}), "callback")
        else:
            await self.ledger.apply(action_id, on.Cancelled("no more"), "user:anna")

    async def after(self, days: float) -> None:
        """So much later, when retention has looked."""
        self.clock.offset_ms += round(days * DAY)
        await trio.sleep(61)
        while self.retention.last.at is None or self.clock.now_ms() - self.retention.last.at > 70_000:
            if not self.settings[-1].ages():
                break
            await trio.sleep(1)

    def counts(self) -> dict[str, int]:
        with sqlite3.connect(self.path) as connection:
            found = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in TABLES}  # noqa: S608
        connection.close()
        return found

    def is_there(self, action_id: str) -> bool:
        return self.reader.record(action_id) is not None


@asynccontextmanager
async def keeping(directory: Path, policy: Policy | None = None) -> AsyncIterator[Keeping]:
    clock = SimulatedClock()
    path = directory / "connectord.db"
    writer, reader = SqliteWriter(path), SqliteReader(path)
    book = PolicyBook(1, {"sys": policy or Policy(retry=RetryPolicy(limit=3, jitter=0.0))})
    ledger = Ledger(writer, executor=InlineExecutor(), clock=clock, rng=random.Random(7), policies=lambda: book)

    async def file_state() -> Any:
        return reader.file_state()

    settings = [BOTH]
    retention = Retention(ledger, clock, lambda: settings[-1], file_state)
    async with trio.open_nursery() as nursery:
        await nursery.start(ledger.run)
        nursery.start_soon(retention.run)
        yield Keeping(ledger, retention, reader, clock, path, settings)
        nursery.cancel_scope.cancel()
    reader.close()
    writer.close()


async def test_each_goes_at_its_age_with_all_that_belongs_to_it(tmp_path: Path, autojump_clock: object) -> None:
    async with keeping(tmp_path) as kept:
        well, badly, live = [
            await kept.submit(case_id=f"C-{number}", owner="anna@example.org", data={"n": number})
            for number in range(3)
        ]
        await kept.close(badly, well=False)
        await kept.close(well)
        await kept.ledger.apply(well, on.FailureReceived(digest="late", reason="too late"), "callback")
        everything = kept.counts()
        assert everything["merges"] == everything["late_responses"] == 1
        await kept.after(days=9.9)
        assert kept.counts() == everything
        await kept.after(days=0.2)
        assert [kept.is_there(each) for each in (well, badly, live)] == [False, True, True]
        left = kept.counts()
        assert (left["cases"], left["merges"], left["late_responses"]) == (2, 0, 0)
        await kept.ledger.perform(SettleNotifications([DeliveryReport(1, "anna@example.org", done=True)], 10))
        await kept.after(days=20)
        assert [kept.is_there(each) for each in (well, badly, live)] == [False, False, True]
        assert kept.counts() == {
            "actions": 1, "cases": 1, "history": 2, "attempts": 1, "late_responses": 0, "outbox": 0, "merges": 0
        }  # fmt: skip
        record = kept.reader.retention_record()
        assert (record.actions, record.last_at) == (2, kept.retention.last.at)
        with pytest.raises(NotFound):
            await kept.ledger.apply(well, on.FailureReceived(digest="later", reason="x"), "callback")


async def test_a_case_stays_while_it_has_an_action(tmp_path: Path, autojump_clock: object) -> None:
    async with keeping(tmp_path) as kept:
        first, second = await kept.submit(case_id="C-1"), await kept.submit(case_id="C-1")
        await kept.close(first)
        await kept.after(days=11)
        assert (kept.is_there(first), kept.is_there(second)) == (False, True)
        case = kept.reader.case("C-1", None, 10)
        assert case is not None
        assert case.data == '{"n":1}'
        assert case.origins == {}


async def test_rule_17_a_key_is_known_for_its_time(tmp_path: Path, autojump_clock: object) -> None:
    async with keeping(tmp_path) as kept:
        keyed = await kept.submit(key="K", data={"n": 1})
        await kept.close(keyed)
        await kept.after(days=19.9)
        assert await kept.submit(key="K", data={"n": 1}) == keyed
        await kept.after(days=0.2)
        assert not kept.is_there(keyed)
        assert await kept.submit(key="K", data={"n": 1}) != keyed


async def test_rule_09_an_action_stays_until_its_owner_was_told(tmp_path: Path, autojump_clock: object) -> None:
    async with keeping(tmp_path) as kept:
        action = await kept.submit(owner="anna@example.org")
        for number in (1, 2, 3):
            await kept.ledger.apply(action, on.RetryRequested(), "user:anna") if number > 1 else None
            await kept.ledger.claim("sys", 10)
            await kept.ledger.apply(action, on.ConnectionFailed(number, "refused"), "lane")
        assert kept.ledger.undelivered == 1
        await kept.after(days=31)
        assert kept.is_there(action)
        await kept.ledger.perform(SettleNotifications([DeliveryReport(1, "anna@example.org", done=True)], 10))
        await kept.after(days=0.1)
        assert not kept.is_there(action)
        assert kept.ledger.undelivered == 0


async def test_rule_15_what_has_just_happened_to_an_action_keeps_it(tmp_path: Path, autojump_clock: object) -> None:
    async with keeping(tmp_path) as kept:
        action = await kept.submit()
        await kept.close(action)
        await kept.after(days=9)
        await kept.ledger.apply(action, on.FailureReceived(digest="late", reason="x"), "callback")
        late_row = kept.reader.history(action)[-1]
        await kept.after(days=2)
        # only where the late response is in the history; its row would be missing for who watches
        assert kept.is_there(action) is (late_row.event == "FailureReceived")


async def test_numbers_are_not_given_out_again(tmp_path: Path, autojump_clock: object) -> None:
    async with keeping(tmp_path) as kept:
        first = await kept.submit(owner="anna@example.org", case_id="C-1")
        await kept.ledger.claim("sys", 10)
        await kept.ledger.apply(first, on.FailureReceived(digest="d", reason="no"), "callback")
        await kept.ledger.apply(first, on.Completed(successful=False), "user:anna")
        await kept.ledger.perform(SettleNotifications([DeliveryReport(1, "anna@example.org", done=True)], 10))
        newest = kept.ledger.last_seq
        await kept.after(days=31)
        assert kept.counts()["history"] == kept.counts()["outbox"] == 0
        with closing(SqliteWriter(kept.path)) as again:
            assert again.last_seq() == newest
        second = await kept.submit(owner="anna@example.org", case_id="C-1")
        await kept.ledger.claim("sys", 10)
        await kept.ledger.apply(second, on.FailureReceived(digest="d", reason="no"), "callback")
        await kept.ledger.apply(second, on.Completed(successful=False), "user:anna")
        told = kept.reader.notifications(undelivered=True, owner=None, before=None, limit=10)
        assert [item.seq for item in told] == [2]


async def test_who_watches_is_told_from_where_on_nothing_is_missing(tmp_path: Path, autojump_clock: object) -> None:
    async with keeping(tmp_path) as kept:
        old, live = await kept.submit(), await kept.submit()
        await kept.close(old)
        newest_of_old = kept.reader.history(old)[-1].seq
        await kept.after(days=11)
        assert kept.is_there(live)
        page = kept.reader.history_page(ChangeFilters(), newest_of_old, 100, 10)
        assert page.oldest == newest_of_old + 1

        async def read(after: int, upto: int, limit: int) -> HistoryPage:
            return kept.reader.history_page(ChangeFilters(), after, upto, limit)

        with kept.ledger.watchers.subscribe(0, ChangeFilters(), read) as watcher:
            with pytest.raises(NotInHistory) as refused:
                await watcher.next_rows()
            assert refused.value.resume_after == newest_of_old


async def test_nothing_goes_by_itself_and_a_reload_acts_at_once(tmp_path: Path, autojump_clock: object) -> None:
    async with keeping(tmp_path) as kept:
        kept.settings.append(RetentionSettings())
        kept.retention.reconfigure()
        action = await kept.submit()
        await kept.close(action)
        await kept.after(days=4000)
        assert kept.is_there(action)
        kept.settings.append(RetentionSettings(done_successfully_ms=DAY))
        kept.retention.reconfigure()
        await trio.sleep(1)
        assert not kept.is_there(action)


async def test_many_go_in_small_pieces(tmp_path: Path, autojump_clock: object) -> None:
    async with keeping(tmp_path) as kept:
        ids = [action.id for action in await kept.ledger.submit([Submission("sys")] * 600, "test")]
        await kept.ledger.claim("sys", 1000)
        for start in range(0, 600, 200):
            async with trio.open_nursery() as nursery:
                for action_id in ids[start : start + 200]:
                    nursery.start_soon(kept.ledger.apply, action_id, on.SuccessReceived(digest="d"), "callback")
        sizes: list[int] = []
        perform = Prune.perform

        def noted(self: Prune, unit: Any) -> Any:
            took = perform(self, unit)
            sizes.append(len(took.result.ids))
            return took

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Prune, "perform", noted)
            await kept.after(days=11)
        assert kept.counts()["actions"] == 0
        assert sum(sizes) == 600
        assert max(sizes) <= LARGEST_PIECE


async def test_an_action_with_very_many_attempts_goes_in_steps(tmp_path: Path, autojump_clock: object) -> None:
    async with keeping(tmp_path) as kept:
        light, heavy = await kept.submit(case_id="C"), await kept.submit(case_id="C")
        await kept.close(light)
        await kept.close(heavy)
        with sqlite3.connect(kept.path) as connection:
            connection.execute("UPDATE actions SET attempts = 1200 WHERE id = ?", (heavy,))
            connection.executemany(
                "INSERT INTO attempts (action_id, number, started_at, ended_at) VALUES (?, ?, 0, 0)",
                [(heavy, number) for number in range(2, 1201)],
            )
        connection.close()
        what = Prunable("done_successfully", keyed=False, before=kept.clock.now_ms())
        place, steps = PrunePlace(), []
        while True:
            took = await kept.ledger.perform(Prune(what, place, 10, kept.clock))
            place = took.result.place
            steps.append((len(took.result.ids), kept.counts()["attempts"]))
            if not took.result.more:
                break
        assert steps[0] == (1, 1200)
        assert [left for _, left in steps[1:-1]] == [700, 200, 0]
        assert steps[-1] == (1, 0)
        assert kept.counts()["actions"] == kept.counts()["cases"] == 0


async def test_what_comes_for_an_action_in_the_batch_that_removes_it_finds_none(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with keeping(tmp_path) as kept:
        action = await kept.submit()
        await kept.close(action)
        what = Prunable("done_successfully", keyed=False, before=kept.clock.now_ms())
        outcome: list[str] = []

        async def respond(digest: str) -> None:
            try:
                await kept.ledger.apply(action, on.FailureReceived(digest=digest, reason="x"), "callback")
                outcome.append("taken")
            except NotFound:
                outcome.append("not found")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(respond, "first")
            nursery.start_soon(respond, "second")
            nursery.start_soon(kept.ledger.perform, Prune(what, PrunePlace(), 10, kept.clock))
            nursery.start_soon(respond, "third")
            nursery.start_soon(respond, "fourth")
        assert set(outcome) <= {"taken", "not found"}
        assert len(outcome) == 4
        assert await kept.submit()  # the store goes on


async def test_room_is_given_back_to_the_disk(tmp_path: Path, autojump_clock: object) -> None:
    async with keeping(tmp_path) as kept:
        big = {"text": "x" * 200_000}
        ids = [action.id for action in await kept.ledger.submit([Submission("sys", data=big)] * 100, "test")]
        await kept.ledger.claim("sys", 1000)
        for action_id in ids:
            await kept.ledger.apply(action_id, on.SuccessReceived(digest="d"), "callback")
        full = kept.reader.file_state()
        assert full.file_bytes > 20_000_000
        await kept.after(days=11)
        await trio.sleep(30)
        now = kept.reader.file_state()
        assert kept.counts()["actions"] == 0
        # what is left free is used again
        assert now.file_bytes < full.file_bytes / 2
        assert now.free_bytes <= FREE_BYTES_KEPT
        assert (await kept.ledger.perform(GiveBack(3_000, kept.clock))).result == 0
        assert kept.reader.file_state().file_bytes < 1_000_000


def test_the_look_for_what_is_old_reads_its_index_only(tmp_path: Path) -> None:
    with closing(SqliteWriter(tmp_path / "connectord.db")) as store:
        for sql, count in ((sqlite_pruning._CANDIDATES, 7), (sqlite_pruning._DUE, 3)):
            plan = [row[3] for row in store._connection.execute(f"EXPLAIN QUERY PLAN {sql}", (0,) * count)]
            assert "actions_closed" in plan[0], plan
            assert plan[0].startswith("SEARCH"), plan
            assert "closed_at" in plan[0], plan
            assert not any("TEMP B-TREE" in step for step in plan), plan
        for sql in (*sqlite_pruning._DELETES, sqlite_pruning._DELETE_CASES, *sqlite_pruning._PIECES):
            args = ("[]",) if sql not in sqlite_pruning._PIECES else ("x", 1)
            plan = [row[3] for row in store._connection.execute(f"EXPLAIN QUERY PLAN {sql}", args)]
            assert not any(
                step.startswith("SCAN") and "json_each" not in step and " j " not in f"{step} " for step in plan
            ), plan
