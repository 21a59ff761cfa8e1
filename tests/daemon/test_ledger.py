"""The ledger: all or none, one commit for what arrives together, counts that never drift."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing
from connectord.adapters import Call, Outcome, Succeeded
from connectord.errors import KeyConflict, NotFound, Overloaded, Refused, StoreFull
from connectord.ledger import ledger as module
from connectord.ledger import operations
from connectord.ledger.ledger import QUEUE_LIMIT
from connectord.ledger.submission import Submission
from connectord.lifecycle import events as on
from connectord.store.base import Filters, WriteSet
from helpers.world import world


async def succeed(call: Call) -> Outcome:
    return Succeeded()


async def test_two_payloads_under_one_key_in_one_request_take_none(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, succeed) as here:
        here.lane.set_paused(True)
        pair = [Submission("sys", key="k", data={"n": 1}), Submission("sys", key="k", data={"n": 2})]
        with pytest.raises(KeyConflict):
            await here.ledger.submit([Submission("sys"), *pair], "test")
        assert here.reader.list_records(Filters(), None, 10) == []
        assert here.states() == {}


async def test_one_key_twice_in_one_request_is_one_action(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, succeed) as here:
        here.lane.set_paused(True)
        same = [Submission("sys", key="k", data={"n": 1}), Submission("sys", key="k", data={"n": 1})]
        first, second = await here.ledger.submit(same, "test")
        assert first.id == second.id
        assert here.states() == {"pending": 1}


async def test_what_arrives_together_is_one_commit(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, succeed) as here:
        here.lane.set_paused(True)
        await trio.testing.wait_all_tasks_blocked()
        before = here.ledger.commits
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(here.submit)
        # the first may go alone; the others gather behind it
        assert here.ledger.commits - before <= 2
        assert here.states() == {"pending": 100}


async def test_a_refusal_in_a_batch_leaves_the_others_alone(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, succeed) as here:
        here.lane.set_paused(True)
        (action_id,) = await here.submit()
        errors: list[Exception] = []

        async def ask(which: str, event: on.Event) -> None:
            try:
                await here.ledger.apply(which, event, "test")
            except (NotFound, Refused) as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, action_id, on.Took("ben"))
            nursery.start_soon(ask, "01J00000000000000000000000", on.RetryRequested())
            nursery.start_soon(ask, action_id, on.Cancelled("no"))
        assert sorted(type(error).__name__ for error in errors) == ["NotFound", "Refused"]
        assert here.show(action_id).action.state.value == "closed"


async def test_the_queue_has_an_end(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, succeed) as here:
        here.lane.set_paused(True)
        refused = 0

        async def submit() -> None:
            nonlocal refused
            try:
                await here.submit()
            except Overloaded:
                refused += 1

        async with trio.open_nursery() as nursery:
            for _ in range(QUEUE_LIMIT + 500):
                nursery.start_soon(submit)
        assert refused > 0
        assert here.states() == {"pending": QUEUE_LIMIT + 500 - refused}


async def test_what_has_happened_already_waits_for_a_place_in_the_queue(
    tmp_path: Path, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUEUE_LIMIT", 1)
    async with world(tmp_path, succeed) as here:
        here.lane.set_paused(True)
        ids = await here.submit(1) + await here.submit(1) + await here.submit(1)
        refused: list[str] = []

        async def respond(action_id: str) -> None:
            try:
                await here.ledger.apply(action_id, on.Cancelled("no"), "test")
            except (Overloaded, Refused):  # no place in the queue, or what the system has done was written before it
                refused.append(action_id)

        async with trio.open_nursery() as nursery:
            for action_id in ids:
                nursery.start_soon(here.ledger.report, action_id, on.SuccessReceived("d"), "system:sys")
            nursery.start_soon(respond, ids[0])
            nursery.start_soon(respond, ids[1])
        # an edge may be refused; what a system has done is written, however many write at once
        assert {here.show(each).action.state.value for each in ids} == {"closed"}


async def test_counts_read_at_start_are_those_that_commits_kept(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, succeed) as here:
        here.lane.set_paused(True)
        ids = await here.submit(10)
        for action_id in ids[:3]:
            await here.ledger.apply(action_id, on.Cancelled("no"), "test")
        await here.ledger.apply(ids[4], on.FailureReceived("d", "why"), "callback")
        kept = here.states()
    async with world(tmp_path, succeed) as again:
        assert again.states() == kept == {"pending": 6, "todo": 1}


async def test_without_memory_for_it_nothing_is_taken_and_it_goes_on(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, succeed) as here:
        here.lane.set_paused(True)
        write = here.ledger._store.write

        def fail(changes: WriteSet) -> None:
            write(changes)
            raise MemoryError

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(here.ledger._store, "write", fail)
            with pytest.raises(StoreFull, match="no memory"):
                await here.submit()
        assert here.states() == {}
        await here.submit()
        assert here.states() == {"pending": 1}
        assert len(here.reader.list_records(Filters(), None, 10)) == 1


async def test_rule_14_attempts_without_end_are_interrupted_in_slices(
    tmp_path: Path, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "SLICE", 4)
    async with world(tmp_path, succeed) as here:
        here.lane.set_paused(True)
        ids = await here.submit(10)
        await here.ledger.claim("sys", 10)
        assert here.states() == {"attempting": 10}
    # a daemon that is killed leaves them so
    async with world(tmp_path, succeed) as again:
        # the first one was recovered whole before the lane began
        assert {again.reader.attempts(each)[0].outcome for each in ids} == {"interrupted"}


async def test_a_poll_of_what_is_gone_has_no_next_one(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, succeed) as here:
        assert await here.ledger.end_poll("01J00000000000000000000000", on.SuccessReceived("d"), "system:sys") is None
        assert await here.ledger.end_poll("01J00000000000000000000000", None, "system:sys") is None


async def test_who_asks_the_writer_is_answered_only_while_it_goes_round(
    tmp_path: Path, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, succeed) as here:
        here.lane.set_paused(True)
        (action_id,) = await here.submit()
        await here.ledger.ask_writer()
        assert not here.ledger.waits_for_room
        write, full = here.ledger._store.write, True

        def refuse(changes: WriteSet) -> None:
            if full:
                raise StoreFull("no room")
            write(changes)

        monkeypatch.setattr(here.ledger._store, "write", refuse)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.ledger.report, action_id, on.SuccessReceived("d"), "system:sys")
            await trio.testing.wait_all_tasks_blocked()
            assert here.ledger.waits_for_room
            full = False
        assert not here.ledger.waits_for_room
        assert here.show(action_id).action.state.value == "closed"


async def test_secrets_in_words_are_masked_before_they_are_written(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, succeed) as here:
        here.lane.set_paused(True)
        here.ledger.mask = lambda text: text.replace("hunter2", "***")
        (action_id,) = await here.submit()
        event = on.FailureReceived("d", "token hunter2 is unknown", {"echo": "hunter2"})
        await here.ledger.report(action_id, event, "system:sys")
        record = here.show(action_id)
        # custom data is the system's: it goes back to it as it was
        assert (record.action.rejected_reason, record.response_data) == ("token *** is unknown", '{"echo":"hunter2"}')
