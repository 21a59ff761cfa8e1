"""Responses from a real reply queue: what is acknowledged when, and what becomes of those that cannot be used."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pika
import pytest
import structlog.testing
import trio
from connectord.adapters import Delivery, NotConnected, NotFound, Progress, Rejected, Response, Succeeded
from connectord_amqp.adapter import AmqpAdapter
from helpers.cancellation import cancel_after_steps
from helpers.rabbitmq import Broker

MakeAdapter = Callable[..., AbstractAsyncContextManager[AmqpAdapter]]
SUCCESS = b'{"status": "success", "data": {"n": 1}}'


@dataclass
class Desk:
    """The daemon's side: takes what is handed in, as far as the test lets it."""

    responses: list[tuple[str, Response]] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    open: trio.Event = field(default_factory=trio.Event)
    """Set: there is room on the disk."""

    async def deliver(self, action_id: str, response: Response) -> Delivery:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.open.wait()
            if action_id == "unknown":
                raise NotFound("there is no action unknown")
            self.responses.append((action_id, response))
            return Delivery.TAKEN
        finally:
            self.under_way -= 1

    async def until(self, count: int) -> None:
        while len(self.responses) < count:
            await trio.sleep(0.01)


@asynccontextmanager
async def listening(opened: MakeAdapter, *, room: bool = True, **replies: Any) -> AsyncIterator[Desk]:
    desk = Desk()
    if room:
        desk.open.set()
    async with opened(replies={"queue": "answers", **replies}) as adapter, trio.open_nursery() as nursery:
        nursery.start_soon(adapter.listen, desk.deliver)
        yield desk
        nursery.cancel_scope.cancel()


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(20):
        while not condition():
            await trio.sleep(0.02)


async def there_is_a_consumer(broker: Broker) -> None:
    def consumed() -> bool:
        try:
            return broker.consumers("answers") == 1
        except Exception:  # noqa: BLE001 - not there yet
            return False

    await until(consumed)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (SUCCESS, Succeeded({"n": 1})),
        (b'{"status": "failure", "reason": "Vendor unknown"}', Rejected("Vendor unknown")),
        (b'{"status": "progress", "text": "half", "percent": 50}', Progress("half", 50)),
    ],
)
async def test_the_correlation_id_names_the_action_and_the_body_is_the_response(
    broker: Broker, opened: MakeAdapter, body: bytes, expected: Response
) -> None:
    async with listening(opened) as desk:
        await there_is_a_consumer(broker)
        broker.publish("answers", body, correlation_id="A-7")
        await desk.until(1)
    assert desk.responses == [("A-7", expected)]
    # made durable, and acknowledged
    assert broker.depth("answers") == 0


async def test_a_response_is_acknowledged_only_once_it_is_handed_in(broker: Broker, opened: MakeAdapter) -> None:
    broker.make_queue("answers")
    broker.publish("answers", SUCCESS, SUCCESS, correlation_id="A-1")
    async with listening(opened, room=False) as desk:
        await until(lambda: desk.under_way == 1 and broker.depth("answers") == 0)
    # the daemon stopped before there was room on the disk
    await until(lambda: broker.depth("answers") == 2)
    method, _, _ = broker.get("answers")
    assert method.redelivered
    async with listening(opened) as desk:
        await desk.until(1)
    assert broker.depth("answers") == 0


async def test_no_more_than_prefetch_are_taken_before_they_are_on_disk(broker: Broker, opened: MakeAdapter) -> None:
    broker.make_queue("answers")
    for number in range(50):
        broker.publish("answers", SUCCESS, correlation_id=f"A-{number}")
    async with listening(opened, room=False, prefetch=8) as desk:
        await until(lambda: broker.depth("answers") <= 42)
        await trio.sleep(0.1)
        assert broker.depth("answers") == 42
        desk.open.set()
        await desk.until(50)
    assert desk.most_under_way <= 8
    assert {action_id for action_id, _ in desk.responses} == {f"A-{number}" for number in range(50)}


async def test_the_responses_of_one_action_are_handed_in_in_their_order(broker: Broker, opened: MakeAdapter) -> None:
    broker.make_queue("answers")
    with broker.channel() as channel:
        for percent in range(20):
            for action in range(10):
                body = json.dumps({"status": "progress", "percent": percent}).encode()
                channel.basic_publish("", "answers", body, pika.BasicProperties(correlation_id=f"A-{action}"))
    async with listening(opened) as desk:
        await desk.until(200)
    for action in range(10):
        assert [each.percent for name, each in desk.responses if name == f"A-{action}"] == list(range(20))


UNUSABLE = [
    ({"correlation_id": "unknown"}, SUCCESS, "there is no action unknown"),
    ({}, SUCCESS, "it has no correlation_id, which would name the action"),
    ({"correlation_id": "A-1"}, b"done", "it is no response: the body is not a response"),
    ({"correlation_id": "A-1"}, b'{"status": "won"}', "it is no response: the body is not a response"),
    ({"correlation_id": "A-1"}, b"", "it is no response: the body is not a response"),
    ({"correlation_id": "A-1"}, b'{"status": "\xff"}', "it is no response: the body is not UTF-8"),
    (
        {"correlation_id": "A-1"},
        b'{"status": "success", "data": {"n": ' + b"[" * 900_000,
        "it is no response: the body is nested too deeply",
    ),
    ({"correlation_id": "A-1"}, b" " * 1_048_577, "its body has more than 1048576 bytes"),
    ({"correlation_id": "A-1", "timestamp": 2**62}, SUCCESS, "its properties cannot be read"),
]


@pytest.mark.parametrize("dead_letters", [True, False])
async def test_what_cannot_be_used_goes_to_the_dead_letters_and_holds_up_nothing(
    broker: Broker, opened: MakeAdapter, dead_letters: bool
) -> None:
    broker.make_queue("dead")
    replies = {"dead_letter_exchange": "", "dead_letter_routing_key": "dead"} if dead_letters else {}
    with structlog.testing.capture_logs() as logs:
        async with listening(opened, **replies) as desk:
            await there_is_a_consumer(broker)
            for properties, body, _ in UNUSABLE:
                broker.publish("answers", body, **properties)
            broker.publish("answers", SUCCESS, correlation_id="A-2")
            await desk.until(1)
            await until(lambda: len(logs) == len(UNUSABLE))
    assert desk.responses == [("A-2", Succeeded({"n": 1}))]
    assert broker.depth("answers") == 0
    told = {entry["error"] for entry in logs if entry["event"] == "response refused" and entry["queue"] == "answers"}
    for _, _, words in UNUSABLE:
        assert any(each.startswith(words) for each in told), words
    await until(lambda: broker.depth("dead") == (len(UNUSABLE) if dead_letters else 0))


async def test_a_response_in_a_format_of_its_own_is_mapped(broker: Broker, opened: MakeAdapter) -> None:
    expression = "{status: ok && 'success' || 'failure', reason: error, data: {invoice: no}}"
    async with listening(opened, response=expression) as desk:
        await there_is_a_consumer(broker)
        broker.publish("answers", b'{"ok": true, "no": "R-17"}', correlation_id="A-1")
        broker.publish("answers", b'{"ok": false, "error": "Vendor unknown"}', correlation_id="A-2")
        await desk.until(2)
    assert dict(desk.responses) == {
        "A-1": Succeeded({"invoice": "R-17"}),
        "A-2": Rejected("Vendor unknown", {"invoice": None}),
    }


async def test_a_lost_connection_says_why_and_its_responses_come_again(broker: Broker, opened: MakeAdapter) -> None:
    desk = Desk()
    async with opened(replies={"queue": "answers"}) as adapter:
        async with trio.open_nursery() as nursery:

            async def delete() -> None:
                await there_is_a_consumer(broker)
                broker.drop_queue("answers")

            nursery.start_soon(delete)
            with pytest.raises(NotConnected, match="the queue 'answers' was deleted"):
                await adapter.listen(desk.deliver)
        desk.open.set()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(adapter.listen, desk.deliver)
            await there_is_a_consumer(broker)
            broker.publish("answers", SUCCESS, correlation_id="A-1")
            await desk.until(1)
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("replies", "words"),
    [
        ({"queue": "nowhere", "declare_queue": False}, "404 NOT_FOUND - no queue 'nowhere' in vhost '/'"),
        ({"queue": "jobs", "dead_letter_exchange": "dead"}, "406 PRECONDITION_FAILED - inequivalent arg"),
        ({"queue": "amq.own"}, "403 ACCESS_REFUSED - queue name 'amq.own' contains reserved prefix 'amq.*'"),
    ],
)
async def test_a_queue_that_cannot_be_had_says_why(opened: MakeAdapter, replies: dict[str, Any], words: str) -> None:
    async with opened(replies=replies) as adapter:
        with pytest.raises(NotConnected) as caught:
            await adapter.listen(Desk().deliver)
        assert words in str(caught.value)


async def test_a_queue_that_is_there_is_taken_as_it_is(broker: Broker, opened: MakeAdapter) -> None:
    broker.make_queue("answers", x_max_length=5)
    async with listening(opened, declare_queue=False) as desk:
        await there_is_a_consumer(broker)
        broker.publish("answers", SUCCESS, correlation_id="A-1")
        await desk.until(1)


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
async def test_a_queue_of_either_type(broker: Broker, opened: MakeAdapter, queue_type: str) -> None:
    async with listening(opened, queue_type=queue_type) as desk:
        await there_is_a_consumer(broker)
        broker.publish("answers", SUCCESS, correlation_id="A-1")
        await desk.until(1)


async def test_cancelled_at_any_await_no_response_is_lost(broker: Broker, opened: MakeAdapter) -> None:
    broker.make_queue("answers")
    for steps in range(1, 40):
        broker.publish("answers", SUCCESS, correlation_id="A-1")
        desk = Desk()
        desk.open.set()
        async with opened(replies={"queue": "answers"}) as adapter, trio.open_nursery() as nursery:
            with cancel_after_steps(steps) as scope:
                nursery.start_soon(stop_once_handed_in, desk, scope)
                await adapter.listen(desk.deliver)
            assert scope.cancelled_caught
            nursery.cancel_scope.cancel()
        handed_in = len(desk.responses)
        async with listening(opened) as again:
            await until(lambda: broker.depth("answers") == 0)
            # what was handed in and not acknowledged comes a second time, which is harmless (rule 15)
            await again.until(1 - min(handed_in, 1))
        if handed_in:
            return
    raise AssertionError("it was never handed in")


async def stop_once_handed_in(desk: Desk, scope: trio.CancelScope) -> None:
    await desk.until(1)
    scope.cancel()
