"""A lowered limit, decided once and written by the slice: row by row what it was action by action (rule 10)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog.testing
import trio
from connectord.adapters import Call, NotConnected, Outcome
from connectord.ledger import limiting
from connectord.ledger.ids import IdSource
from connectord.ledger.limiting import EnforceLimit
from connectord.ledger.operations import Apply
from connectord.ledger.pace import Pace
from connectord.ledger.policies import PolicyBook
from connectord.ledger.unit import Consequences, Unit
from connectord.lifecycle import events as on
from connectord.lifecycle.action import Action, State
from connectord.lifecycle.alike import Decision, decide_alike
from connectord.lifecycle.effects import MergeData
from connectord.lifecycle.policy import Policy, RetryPolicy
from connectord.store.base import CaseChange, NewAction, WriteSet
from connectord.store.sqlite_writer import SqliteWriter
from helpers.world import world

NOW = 1_800_000_000_000
TABLES = ("actions", "history", "outbox", "attempts", "merges", "cases", "retention", "group_turns", "late_responses")


def seed(store: SqliteWriter, count: int) -> None:
    """Actions of two systems that are to be closed and that are not, of all kinds that there may be."""
    rng = random.Random(11)
    cases = [CaseChange("C-0", None, NOW), CaseChange("C-1", "anna@example.org", NOW)]
    inserted = []
    for number in range(count):
        attempts, state = rng.randrange(8), rng.choice((State.PENDING, State.PENDING, State.PENDING, State.WAITING))
        is_pending, failed = state is State.PENDING, attempts > 0 and rng.random() < 0.9
        action = Action(
            id=f"01J{number:023}",
            system=rng.choice(("depot", "depot", "other")),
            submitted_at=NOW - rng.randrange(10**6),
            case_id=rng.choice((None, "C-0", "C-1")),
            owner=rng.choice((None, "bert@example.org", 'Zoë "Z" O\'Hara')),
            state=state,
            attempts=attempts,
            due_at=NOW + number if is_pending else None,
            scheduled_at=rng.choice((None, NOW + number)) if is_pending else None,
            manual=is_pending and rng.random() < 0.2,
            probe=is_pending and attempts > 0 and rng.random() < 0.2,
            backoff_step=attempts,
            limit_at_failure=rng.choice((None, 5, 10)) if failed else None,
            error_at=NOW - rng.randrange(10**6) if failed and is_pending else None,
            error_message='refused, "later"\n\N{WARNING SIGN}' if failed and is_pending else None,
            deadline=None if is_pending else NOW + number,
            queue=rng.choice((None, "left-over")),
            progress_percent=rng.choice((None, 12.5)),
        )
        inserted.append(NewAction(action, '{"n": 1}', key=f"K{number}" if number % 3 else None, payload_digest=b"d"))
    store.begin()
    store.write(WriteSet(cases=cases, inserted=inserted))
    store.commit()


def dump(store: SqliteWriter) -> dict[str, list[Any]]:
    """All rows. Within one moment, which action is numbered first is nobody's concern: numbers are apart from rows."""
    rows = {table: store._all(f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES}  # noqa: S608
    for table in ("history", "outbox"):
        rows[f"numbers of {table}"] = [row[0] for row in rows[table]]
        rows[table] = sorted((row[1:] for row in rows[table]), key=lambda row: str(row[0]))
    return rows


def unit_of(store: SqliteWriter, limit: int) -> Unit:
    book = PolicyBook(3, {"depot": Policy(retry=RetryPolicy(limit=limit)), "other": Policy()})
    rng = random.Random(5)
    return Unit(store, now=NOW, rng=rng, ids=IdSource(rng, None), policies=book, last_seq=store.last_seq())


def one_by_one(store: SqliteWriter, limit: int) -> Consequences:
    unit = unit_of(store, limit)
    store.begin()
    rows = store._all(
        "SELECT id FROM actions INDEXED BY actions_retrying WHERE state = 'pending' AND attempts > 0 "
        "AND system = 'depot' AND attempts >= ? AND NOT probe",
        limit,
    )
    for (action_id,) in rows:
        unit.apply(action_id, on.LimitChanged(), "user:ops")
    unit.flush()
    store.commit()
    return unit.consequences


def in_slices(store: SqliteWriter, limit: int, size: int) -> list[Consequences]:
    told, more = [], True
    while more:
        unit = unit_of(store, limit)
        store.begin()
        more = EnforceLimit("depot", "user:ops", size).perform(unit).more
        unit.flush()
        store.commit()
        told.append(unit.consequences)
    return told


def sum_of(told: Sequence[Consequences]) -> Consequences:
    total = Consequences(NOW)
    for each in told:
        total.history += each.history
        total.outbox += each.outbox
        total.closed += each.closed
    return total


@pytest.mark.parametrize(("limit", "size"), [(4, 1000), (4, 7), (1, 50), (6, 1)])
def test_rule_10c_closing_together_writes_what_closing_one_by_one_does(tmp_path: Path, limit: int, size: int) -> None:
    with (
        closing(SqliteWriter(tmp_path / "each.db")) as each,
        closing(SqliteWriter(tmp_path / "together.db")) as together,
    ):
        for store in (each, together):
            seed(store, 400)
        assert dump(each) == dump(together)
        before = dump(each)["actions"]
        expected, got = one_by_one(each, limit), sum_of(in_slices(together, limit, size))
        assert expected.outbox > 10
        assert dump(each)["actions"] != before
        found, wanted = dump(together), dump(each)
        for table in wanted:
            assert found[table] == wanted[table], table
        assert (got.outbox, sorted(got.closed)) == (expected.outbox, sorted(expected.closed))
        assert [row.seq for row in got.history] == [row.seq for row in expected.history]
        assert {row._replace(seq=0) for row in got.history} == {row._replace(seq=0) for row in expected.history}


def test_rule_10c_numbers_of_notifications_that_retention_removed_are_not_given_out_again(tmp_path: Path) -> None:
    with closing(SqliteWriter(tmp_path / "connectord.db")) as store:
        seed(store, 40)
        store._run("UPDATE retention SET outbox_through = 500")
        in_slices(store, 4, 3)
        seqs = [row[0] for row in store._all("SELECT seq FROM outbox ORDER BY seq")]
        assert seqs == list(range(501, 501 + len(seqs)))
        assert len(seqs) > 3


def test_rule_10c_what_comes_later_in_the_batch_finds_the_action_closed(tmp_path: Path) -> None:
    with closing(SqliteWriter(tmp_path / "connectord.db")) as store:
        seed(store, 40)
        unit = unit_of(store, 4)
        store.begin()
        action_id = store.over_limit("depot", 4, 1)[0].id
        unit.load_ahead({action_id, "none"})
        assert Apply(action_id, on.RetryRequested(), "user:ops").perform(unit).action.manual
        assert EnforceLimit("depot", "user:ops", 100).perform(unit).touched > 1
        late = Apply(action_id, on.SuccessReceived("d"), "callback").perform(unit)
        unit.flush()
        store.commit()
        assert late.late
        closed = store.load_action(action_id)
        assert closed is not None
        assert (closed.state, closed.manual) == (State.CLOSED, False)


async def test_rule_10c_attempts_go_on_between_the_slices(tmp_path: Path, autojump_clock: object) -> None:
    async def refuse(call: Call) -> Outcome:
        raise NotConnected("refused")

    retry = RetryPolicy(limit=5, delay_ms=1000, factor=1.0, jitter=0.0)
    async with world(tmp_path, refuse, retry=retry, concurrency=64) as here:
        await here.submit(600)
        await trio.sleep(3.5)
        assert here.states() == {"pending": 600}
        here.policy = Policy(retry=RetryPolicy(limit=3))
        order: list[str] = []
        async with trio.open_nursery() as nursery:

            async def enforce() -> None:
                assert await here.ledger.enforce_limit("sys", "test") == 600
                order.append("all closed")

            nursery.start_soon(enforce)
            await trio.lowlevel.checkpoint()
            await here.submit()
            order.append("submitted")
        assert order == ["submitted", "all closed"]
        assert here.ledger.undelivered == 600


@pytest.mark.parametrize(
    ("took", "size"), [([20, 20, 20], 12), ([20, 3, 5], 100), ([8], 100), ([1] * 20, 200), ([99] * 9, 10)]
)
def test_a_pace_follows_how_long_pieces_take(took: list[int], size: int) -> None:
    pace = Pace(200, smallest=10, first=100, step=25, short_ms=5, long_ms=10)
    for ms in took:
        pace.adapt(ms)
    assert pace.size == size


def test_what_cannot_be_written_for_many_at_once_is_not_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(SqliteWriter(tmp_path / "connectord.db")) as store:
        seed(store, 60)
        before = dump(store)

        def merging(*circumstances: Any) -> Decision:
            decision = decide_alike(*circumstances)
            return replace(decision, effects=(MergeData({"n": 1}),))

        monkeypatch.setattr(limiting, "decide_alike", merging)
        store.begin()
        with pytest.raises(TypeError, match="MergeData.* cannot be written for many actions at once"):
            EnforceLimit("depot", "user:ops", 100).perform(unit_of(store, 3))
        store.rollback()
        assert dump(store) == before


async def test_rule_10c_one_line_tells_of_each_slice(tmp_path: Path, autojump_clock: object) -> None:
    async def refuse(call: Call) -> Outcome:
        raise NotConnected("refused")

    retry = RetryPolicy(limit=5, delay_ms=1000, factor=1.0, jitter=0.0)
    async with world(tmp_path, refuse, retry=retry, concurrency=64) as here:
        ids = await here.submit(250)
        await trio.sleep(3.5)
        here.policy = Policy(retry=RetryPolicy(limit=3))
        with structlog.testing.capture_logs() as logs:
            assert await here.ledger.enforce_limit("sys", "user:ops") == 250
    lines = [line for line in logs if line["event"] == "closed"]
    assert sum(line["actions"] for line in lines) == 250
    assert len(lines) <= 4
    assert {line["first"] for line in lines} < set(ids)
    assert {(line["system"], line["rules"], line["who"], line["log_level"]) for line in lines} == {
        ("sys", "10c,9", "user:ops", "info")
    }
