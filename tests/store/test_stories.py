"""What the store tells of an action's story, from a real database that a ledger and a lane have written."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import trio
from connectord.adapters import Call, NotConnected, Outcome, Taken
from connectord.ledger.operations import Rerun, SettleNotifications
from connectord.lifecycle import events as on
from connectord.lifecycle.action import State
from connectord.lifecycle.circumstances import LateResponses, Notification
from connectord.lifecycle.policy import RetryPolicy
from connectord.store import sqlite_stories
from connectord.store.base import DeliveryReport
from connectord.testing.simulated_clock import EPOCH_MS
from helpers.world import world


async def take(call: Call) -> Outcome:
    return Taken()


async def refuse(call: Call) -> Outcome:
    raise NotConnected("connection refused")


async def test_a_fresh_action_has_little_of_a_story(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, take) as w:
        (action_id,) = await w.submit(due_at=EPOCH_MS + 60_000, owner="anna")
        story = w.reader.story(action_id)
        assert story is not None
        assert (story.newest.event, story.newest.rules, story.newest.config_version) == ("Submitted", "17", 1)
        assert (story.owner, story.attempt_started_at, story.handed_over) == ("anna", None, None)
        assert (story.late, story.notification, story.rerun_of, story.reruns) == (None, None, None, ())


async def test_an_unknown_action_has_none(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, take) as w:
        assert w.reader.story("01X") is None
        # and the reader is not left in a transaction that would hold the log back
        assert await w.submit()


async def test_what_made_it_to_do_stays_known_whatever_people_do(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, take) as w:
        (action_id,) = await w.submit(case_id="C-1", owner="anna")
        await trio.sleep(10)
        await w.ledger.apply(action_id, on.FailureReceived("d1", "Vendor unknown"), "callback")
        await w.ledger.apply(action_id, on.Took("ben"), "user:ben")
        await w.ledger.apply(action_id, on.Released(), "user:ben")
        await trio.sleep(10)
        await w.ledger.apply(action_id, on.SuccessReceived("d2"), "callback")
        await w.ledger.apply(action_id, on.FailureReceived("d3", "no"), "callback")
        await w.submit(case_id="C-1", owner="olga")
        story = w.reader.story(action_id)
        assert story is not None
        assert story.action == w.show(action_id).action
        assert (story.newest.event, story.newest.who) == ("Released", "user:ben")
        assert story.handed_over is not None
        assert (story.handed_over.event, story.handed_over.rules, story.handed_over.at) == (
            "FailureReceived",
            "3",
            EPOCH_MS + 10_000,
        )
        assert story.attempt_started_at == EPOCH_MS
        assert story.owner == "olga"
        assert story.late is not None
        assert (story.late.count, story.late.last_at) == (2, EPOCH_MS + 20_000)


async def test_notification_and_reruns(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, refuse, retry=RetryPolicy(limit=1)) as w:
        (action_id,) = await w.submit(owner="anna")
        await trio.sleep(1)
        assert w.show(action_id).action.state is State.CLOSED
        story = w.reader.story(action_id)
        assert story is not None
        assert story.notification == Notification(EPOCH_MS, "anna", None, EPOCH_MS, 0, None)
        due = await w.ledger.perform(SettleNotifications([], 1))
        report = DeliveryReport(due.items[0].seq, "anna", done=False, error="no route", next_try_at=EPOCH_MS + 5000)
        await w.ledger.perform(SettleNotifications([report], 0))
        story = w.reader.story(action_id)
        assert story is not None
        assert story.notification == Notification(EPOCH_MS, "anna", None, EPOCH_MS + 5000, 1, "no route")
        again = [action.id for _ in range(7) for action in await w.ledger.perform(Rerun([action_id], "user:ben"))]
        story, rerun = w.reader.story(action_id), w.reader.story(again[0])
        assert story is not None
        assert rerun is not None
        assert story.reruns == tuple(sorted(again, reverse=True)[: sqlite_stories.RERUNS_SHOWN])
        assert rerun.rerun_of == action_id


async def test_a_late_response_is_the_last_one(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, take) as w:
        (action_id,) = await w.submit()
        await trio.sleep(1)
        await w.ledger.apply(action_id, on.SuccessReceived("d1"), "callback")
        await w.ledger.apply(action_id, on.FailureReceived("z", "no"), "callback")
        await trio.sleep(1)
        await w.ledger.apply(action_id, on.SuccessReceived("a"), "callback")
        story = w.reader.story(action_id)
        assert story is not None
        assert story.late == LateResponses(2, EPOCH_MS + 2000, "success")


async def test_nothing_is_scanned(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, take) as w:
        await w.submit()
        with sqlite3.connect(tmp_path / "connectord.db") as connection:
            for name, sql in vars(sqlite_stories).items():
                if isinstance(sql, str) and sql.startswith("SELECT"):
                    plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", ("x",) * sql.count("?")).fetchall()
                    steps = [row[-1] for row in plan]
                    assert steps, name
                    assert all(step.startswith("SEARCH") for step in steps), (name, steps)
        connection.close()
