"""Adapters that listen: responses through a queue, lost connections, faults, and the end of an instance."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import trio
from connectord.adapters import (
    Call,
    Deliver,
    Delivery,
    NotConnected,
    NotFound,
    Outcome,
    Progress,
    Rejected,
    Response,
    Succeeded,
    Taken,
)
from connectord.errors import StoreFull
from connectord.ledger.submission import Submission
from connectord.store.sqlite_writer import SqliteWriter
from helpers.world import World, world

Message = tuple[str, Response]


async def settle(seconds: float = 1.0) -> None:
    await trio.sleep(seconds)


async def take(call: Call) -> Outcome:
    return Taken()


class Queue:
    """A message queue: keeps a message until it is acknowledged, and notes what became of each."""

    def __init__(self) -> None:
        self.send, self._receive = trio.open_memory_channel[Message](100)
        self.outcomes: list[object] = []
        self.connections = 0

    async def listen(self, deliver: Deliver) -> None:
        self.connections += 1
        async for action_id, response in self._receive:
            try:
                self.outcomes.append(await deliver(action_id, response))
            except (NotFound, TypeError, ValueError) as error:
                self.outcomes.append(error)


def committed(here: World, action_id: str) -> str:
    return here.show(action_id).action.state.value


async def test_a_message_is_acknowledged_once_it_is_committed(tmp_path: Path, autojump_clock: object) -> None:
    seen = []

    async def listen(deliver: Deliver) -> None:
        async for action_id, response in queue._receive:
            outcome = await deliver(action_id, response)
            seen.append((outcome, committed(here, action_id)))

    queue = Queue()
    async with world(tmp_path, take, listen=listen) as here:
        (action_id,) = await here.submit()
        await settle()
        for response in (Progress("half", 50), Succeeded({"n": 1}), Succeeded({"n": 1}), Rejected("no")):
            queue.send.send_nowait((action_id, response))
        await settle()
        assert seen == [
            (Delivery.TAKEN, "waiting"),
            (Delivery.TAKEN, "closed"),
            (Delivery.TAKEN, "closed"),  # the same again
            (Delivery.LATE, "closed"),
        ]
        record = here.show(action_id)
        assert record.action.resolution == "done_successfully"
        assert [late.reason for late in record.late_responses] == ["no"]
        assert here.reader.history(action_id)[-1].who == "listen:sys"


async def test_an_adapter_may_not_answer_for_another_systems_action(tmp_path: Path, autojump_clock: object) -> None:
    queue = Queue()
    async with world(tmp_path, take, listen=queue.listen) as here:
        (other,) = await here.ledger.submit([Submission("other")], "test")
        for action_id in ("01J", other.id):
            queue.send.send_nowait((action_id, Succeeded()))
        await settle()
        assert [str(error) for error in queue.outcomes] == [
            "there is no action 01J",
            f"the system sys has no action {other.id}",
        ]
        assert all(isinstance(error, NotFound) for error in queue.outcomes)
        assert committed(here, other.id) == "pending"


@pytest.mark.parametrize(
    "message",
    [(5, Succeeded()), ("01J", "yes"), ("01J", Taken()), ("\ud800", Succeeded()), ("01J", Succeeded({"x": object()}))],
)
async def test_rubbish_is_refused_and_never_reaches_the_store(
    tmp_path: Path, autojump_clock: object, message: Message
) -> None:
    queue = Queue()
    async with world(tmp_path, take, listen=queue.listen) as here:
        queue.send.send_nowait(message)
        await settle()
        assert [type(outcome) for outcome in queue.outcomes] in ([TypeError], [UnicodeEncodeError])
        assert (queue.connections, here.lane.health.shown) == (1, "ok")


async def test_a_lost_connection_is_shown_and_made_again_while_triggers_go_on(
    tmp_path: Path, autojump_clock: object
) -> None:
    starts = []

    async def listen(deliver: Deliver) -> None:
        starts.append(trio.current_time())
        if len(starts) <= 4:
            raise NotConnected("the broker is away", retry_after_seconds=10 if len(starts) == 4 else None)
        await trio.sleep_forever()

    async with world(tmp_path, take, listen=listen) as here:
        await settle(2)
        assert here.lane.health.shown == "not listening"
        assert here.lane.health.last_error == "not listening: the broker is away"
        (action_id,) = await here.submit()
        await settle(0.1)
        assert committed(here, action_id) == "waiting"
        await settle(60)
        assert [round(after - before, 1) for before, after in pairwise(starts)] == [0.5, 1, 2, 10]
        assert here.lane.health.shown == "ok"
        assert len(here.opened) == 1


@pytest.mark.parametrize("fault", [ValueError("broken"), SystemExit(3), KeyboardInterrupt(), None], ids=repr)
async def test_a_fault_costs_the_listening_alone(
    tmp_path: Path, autojump_clock: object, fault: BaseException | None
) -> None:
    starts = 0

    async def listen(deliver: Deliver) -> None:
        nonlocal starts
        starts += 1
        if fault is not None:
            raise fault

    async with world(tmp_path, take, listen=listen) as here:
        await here.submit(3)
        await settle(40)
        told = here.lane.health.last_error or ""
        expected = "RuntimeError: listen() returned" if fault is None else type(fault).__name__
        assert told.startswith(f"not listening: adapter fault: {expected}")
        assert "(adapter programmed, " in told
        # 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s after the first
        assert starts == 7
        assert here.states() == {"waiting": 3}
        assert len(here.opened) == 1


async def test_it_listens_until_the_last_attempt_has_ended_and_is_closed_after(
    tmp_path: Path, autojump_clock: object
) -> None:
    ended: list[float] = []

    async def slow(call: Call) -> Outcome:
        await trio.sleep(5)
        return Taken()

    async def listen(deliver: Deliver) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())
            with trio.CancelScope(shield=True):
                await trio.sleep(1)

    async with world(tmp_path, slow, listen=listen) as here:
        await here.submit()
        await settle(1)
        stopped = trio.current_time()
        here.lane.stop()
        await settle(30)
        assert [round(at - stopped) for at in (*ended, *here.closed)] == [4, 5]


async def test_a_full_disk_keeps_the_message_unacknowledged(
    tmp_path: Path, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = False
    commit = SqliteWriter.commit

    def refuse_while_full(self: SqliteWriter) -> None:
        if full:
            raise StoreFull("the store cannot take it now: database or disk is full")
        commit(self)

    monkeypatch.setattr(SqliteWriter, "commit", refuse_while_full)
    queue = Queue()
    async with world(tmp_path, take, listen=queue.listen) as here:
        (action_id,) = await here.submit()
        await settle()
        full = True
        queue.send.send_nowait((action_id, Succeeded()))
        await settle(60)
        assert queue.outcomes == []
        full = False
        await settle(5)
        assert queue.outcomes == [Delivery.TAKEN]
        assert committed(here, action_id) == "closed"


async def test_a_response_that_outruns_the_answer_decides(tmp_path: Path, autojump_clock: object) -> None:
    async def slow(call: Call) -> Outcome:
        await queue.send.send((call.action_id, Succeeded()))
        await trio.sleep(5)
        return Taken()

    queue = Queue()
    async with world(tmp_path, slow, listen=queue.listen) as here:
        (action_id,) = await here.submit()
        await settle(10)
        assert here.show(action_id).action.resolution == "done_successfully"
        assert here.reader.attempts(action_id)[0].outcome == "taken"


async def test_a_fresh_instance_listens_too(tmp_path: Path, autojump_clock: object) -> None:
    async def crash_once(call: Call) -> Outcome:
        if call.attempt == 1:
            raise ValueError("broken")
        return Taken()

    queue = Queue()
    async with world(tmp_path, crash_once, listen=queue.listen) as here:
        (action_id,) = await here.submit()
        await settle(60)
        queue.send.send_nowait((action_id, Succeeded()))
        await settle(1)
        assert (queue.connections, len(here.closed)) == (2, 1)
        assert committed(here, action_id) == "closed"
