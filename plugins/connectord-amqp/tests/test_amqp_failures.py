"""A broker that fails in the middle: what a real one does not do on demand, played by a script."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from connectord.adapters import AdapterContext, Call, Delivery, NotConnected, Outcome, Response, Succeeded, Taken
from connectord.network import SystemNetwork
from connectord_amqp import publisher
from connectord_amqp.adapter import AmqpAdapter
from connectord_amqp.settings import AmqpSettings
from helpers.calls import make_call
from helpers.scripted_broker import Conversation, Script, properties_of, scripted_broker
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

CONTEXT = AdapterContext(system="billing", concurrency=16, network=SystemNetwork())


@asynccontextmanager
async def adapter_of(*scripts: Script, **changes: Any) -> AsyncIterator[AmqpAdapter]:
    with trio.fail_after(60):
        async with scripted_broker(*scripts) as broker:
            values = {"host": "127.0.0.1", "port": broker.port, "username": "u", "password": "p", "routing_key": "jobs"}
            adapter = AmqpAdapter(AmqpSettings.model_validate({**values, **changes}), CONTEXT)
            try:
                yield adapter
            finally:
                await adapter.close()


def call_of(number: int) -> Call:
    return make_call(action_id=f"A-{number}", idempotency_key=f"A-{number}")


async def outcomes(adapter: AmqpAdapter, count: int) -> list[Outcome | str]:
    """What became of so many actions, published at once in their order."""
    seen: dict[int, Outcome | str] = {}

    async def trigger(number: int) -> None:
        try:
            seen[number] = await adapter.trigger(call_of(number))
        except NotConnected as error:
            seen[number] = str(error)

    await adapter.healthcheck()
    async with trio.open_nursery() as nursery:
        for number in range(1, count + 1):
            nursery.start_soon(trigger, number)
            await trio.testing.wait_all_tasks_blocked()
    return [seen[number] for number in range(1, count + 1)]


async def quiet(conversation: Conversation) -> None:
    """Takes messages, and says nothing about them."""
    await conversation.greet()
    await conversation.say_goodbye()


async def confirm_all(conversation: Conversation) -> None:
    await conversation.greet()
    tag = 0
    while True:
        await conversation.receive_message()
        tag += 1
        await conversation.send(commands.Basic.Ack(tag))


async def test_rule_12_no_confirm_in_time_is_an_unknown_outcome() -> None:
    async with adapter_of(quiet, confirm_timeout="50ms") as adapter:
        with pytest.raises(NotConnected, match=r"did not confirm the message within 0.05 s") as caught:
            await adapter.trigger(make_call())
        assert caught.value.outcome_unknown


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([commands.Basic.Ack(4, multiple=True)], "TTTT"),
        ([commands.Basic.Ack(0, multiple=True)], "TTTT"),
        ([commands.Basic.Ack(3), commands.Basic.Ack(1), commands.Basic.Nack(2), commands.Basic.Ack(4)], "TnTT"),
        ([commands.Basic.Ack(2, multiple=True), commands.Basic.Nack(4, multiple=True)], "TTnn"),
        ([commands.Basic.Ack(9), commands.Basic.Ack(2), commands.Basic.Ack(2), commands.Basic.Ack(4, True)], "TTTT"),
    ],
)  # fmt: skip
async def test_confirms_come_in_any_order_and_several_at_once(
    answers: list[commands.Basic.Ack | commands.Basic.Nack], expected: str
) -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.greet()
        for _ in range(4):
            await conversation.receive_message()
        await conversation.send(*answers)
        await conversation.say_goodbye()

    async with adapter_of(script) as adapter:
        seen = await outcomes(adapter, 4)
    assert "".join("T" if each == Taken() else "n" if "(nack)" in str(each) else "?" for each in seen) == expected


async def test_rule_12_a_connection_lost_before_the_confirm_is_an_unknown_outcome_and_is_made_again() -> None:
    async def hang_up(conversation: Conversation) -> None:
        await conversation.greet()
        await conversation.receive_message()
        await conversation.receive_message()
        await conversation.receive_message()
        await conversation.send(commands.Basic.Ack(1))

    async with adapter_of(hang_up, confirm_all) as adapter:
        assert await outcomes(adapter, 3) == [
            Taken(),
            *["the connection to the broker was lost: it closed it, before the message was confirmed"] * 2,
        ]
        assert await adapter.trigger(call_of(2)) == Taken()


async def test_a_broker_that_is_stopped_says_so() -> None:
    async def shut_down(conversation: Conversation) -> None:
        await conversation.greet()
        await conversation.receive_message()
        await conversation.send(commands.Connection.Close(320, "CONNECTION_FORCED - broker forced", 0, 0), channel=0)
        await conversation.receive()

    async with adapter_of(shut_down) as adapter:
        (words,) = await outcomes(adapter, 1)
    assert words == (
        "the broker closed the connection: 320 CONNECTION_FORCED - broker forced, before the message was confirmed"
    )


async def test_rule_12_a_broker_that_is_low_on_memory_gets_nothing_until_it_has_room() -> None:
    async def block(conversation: Conversation) -> None:
        await conversation.greet()
        await conversation.send(commands.Connection.Blocked("low on memory"), channel=0)
        await go_on.wait()
        await conversation.send(commands.Connection.Unblocked(), channel=0)
        await conversation.receive_message()
        await conversation.send(commands.Basic.Ack(1))
        await conversation.say_goodbye()

    go_on = trio.Event()
    async with adapter_of(block) as adapter:
        link = (await adapter._publisher.session()).link
        while link.blocked is None:
            await trio.sleep(0.01)
        for work in (adapter.trigger(make_call()), adapter.healthcheck()):
            with pytest.raises(NotConnected, match="takes no messages now: low on memory") as caught:
                await work
            assert not caught.value.outcome_unknown
        go_on.set()
        while link.blocked is not None:
            await trio.sleep(0.01)
        assert await adapter.trigger(make_call()) == Taken()


async def test_a_broker_that_owes_too_many_confirms_gets_a_new_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "MOST_UNCONFIRMED", 2)
    async with adapter_of(quiet, confirm_all, confirm_timeout="20ms") as adapter:
        words = []
        for number in range(3):
            with pytest.raises(NotConnected) as caught:
                await adapter.trigger(call_of(number))
            words.append(str(caught.value))
        assert words[2] == "the broker owes 2 confirms: the connection is made anew"
        assert await adapter.trigger(call_of(3)) == Taken()


async def test_a_broker_that_does_not_read_fills_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    async def read_nothing(conversation: Conversation) -> None:
        await conversation.greet()
        await trio.sleep_forever()

    monkeypatch.setattr(publisher, "MOST_UNSENT_BYTES", 1_000_000)
    async with adapter_of(read_nothing, confirm_timeout="20ms") as adapter:
        for _ in range(40):
            with pytest.raises(NotConnected) as caught:
                await adapter.trigger(make_call(data={"text": "x" * 1_000_000}))
            if str(caught.value) == "the broker does not read what is sent to it":
                assert not caught.value.outcome_unknown
                return
    raise AssertionError("it went on taking messages")


async def test_heartbeats_keep_the_connection_and_a_silent_broker_loses_it() -> None:
    async def fall_silent(conversation: Conversation) -> None:
        await conversation.greet(heartbeat=1)
        await conversation.receive_message()
        await conversation.receive()

    async with scripted_broker(fall_silent) as broker:
        values = {"host": "127.0.0.1", "port": broker.port, "username": "u", "password": "p", "routing_key": "jobs"}
        adapter = AmqpAdapter(AmqpSettings.model_validate(values), CONTEXT)
        with trio.fail_after(30), pytest.raises(NotConnected, match="nothing came from it for 2 s"):
            await adapter.trigger(make_call())
        await adapter.close()
        assert broker.conversations[0].heartbeats >= 1


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not AMQP 0-9-1: it may speak another protocol"),
        (b"AMQP\x00\x01\x00\x00", "not AMQP 0-9-1: it may speak another protocol, or another version"),
        (b"", "cannot log in at 127.0.0.1:PORT: the connection to the broker was lost: "),
    ],
)
async def test_what_is_no_broker_is_named(said: bytes, words: str) -> None:
    async def speak(conversation: Conversation) -> None:
        await conversation.stream.send_all(said)

    async with adapter_of(speak) as adapter:
        with pytest.raises(NotConnected) as caught:
            await adapter.trigger(make_call())
        assert words.replace("PORT", str(adapter.settings.port)) in str(caught.value)


async def test_a_broker_that_never_answers_costs_no_more_than_connect_timeout() -> None:
    async def sleep(conversation: Conversation) -> None:
        await trio.sleep_forever()

    async with adapter_of(sleep, connect_timeout="100ms") as adapter:
        with pytest.raises(NotConnected, match="did not let us in within 0.1 s"):
            await adapter.trigger(make_call())


async def test_who_waits_for_a_connection_shares_the_try_and_its_failure() -> None:
    async def refuse(conversation: Conversation) -> None:
        await conversation.receive()
        await conversation.send(commands.Connection.Start(mechanisms="AMQPLAIN"), channel=0)
        await conversation.receive()

    async with scripted_broker(refuse) as broker:
        values = {"host": "127.0.0.1", "port": broker.port, "username": "u", "password": "p", "routing_key": "jobs"}
        adapter = AmqpAdapter(AmqpSettings.model_validate(values), CONTEXT)
        seen: list[str] = []

        async def trigger(number: int) -> None:
            with pytest.raises(NotConnected) as caught:
                await adapter.trigger(call_of(number))
            seen.append(str(caught.value))

        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                for number in range(50):
                    nursery.start_soon(trigger, number)
        assert len(broker.conversations) == 1
        assert len(seen) == 50
        assert {each.partition(": ")[2] for each in seen} == {"the broker does not offer PLAIN, but AMQPLAIN"}
        await adapter.close()


@pytest.mark.parametrize("frame_max", [0, 4096])
async def test_frames_are_no_longer_than_the_broker_allows(frame_max: int) -> None:
    async def measure(conversation: Conversation) -> None:
        await conversation.greet(frame_max=frame_max)
        left = 1
        while left > 0:
            match await conversation.receive():
                case ContentHeader() as header:
                    left = header.body_size
                case ContentBody() as body:
                    sizes.append(len(body.value) + 8)
                    left -= len(body.value)
        await conversation.send(commands.Basic.Ack(1))
        await conversation.say_goodbye()

    sizes: list[int] = []
    async with adapter_of(measure) as adapter:
        assert await adapter.trigger(make_call(data={"text": "x" * 300_000})) == Taken()
    assert max(sizes) == (frame_max or 131_072)


async def test_a_broker_that_exceeds_prefetch_is_cut_off() -> None:
    async def flood(conversation: Conversation) -> None:
        await conversation.greet()
        body = b'{"status": "success"}'
        for tag in range(1, 10):
            await conversation.send(
                commands.Basic.Deliver("ctag", tag, False, "", "answers"),
                ContentHeader(body_size=len(body), properties=properties_of(1)),
                ContentBody(body),
            )
        await conversation.say_goodbye()

    async def deliver(action_id: str, response: Response) -> Delivery:
        await trio.sleep_forever()
        raise AssertionError

    async with adapter_of(flood, replies={"queue": "answers", "prefetch": 2}) as adapter:
        with pytest.raises(NotConnected, match="sends more responses than prefetch allows"):
            await adapter.listen(deliver)


async def test_taking_leave_sends_what_was_acknowledged_first() -> None:
    async def hand_over(conversation: Conversation) -> None:
        await conversation.greet()
        body = b'{"status": "success"}'
        await conversation.send(
            commands.Basic.Deliver("ctag", 7, False, "", "answers"),
            ContentHeader(body_size=len(body), properties=properties_of(1)),
            ContentBody(body),
        )
        await conversation.say_goodbye()
        ended.set()

    async def deliver(action_id: str, response: Response) -> Delivery:
        assert (action_id, response) == ("A-1", Succeeded())
        nursery.cancel_scope.cancel()
        return Delivery.TAKEN

    ended = trio.Event()
    async with scripted_broker(hand_over) as broker:
        values = {"host": "127.0.0.1", "port": broker.port, "username": "u", "password": "p", "routing_key": "jobs"}
        adapter = AmqpAdapter(AmqpSettings.model_validate({**values, "replies": {"queue": "answers"}}), CONTEXT)
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(adapter.listen, deliver)
            await ended.wait()
    assert broker.conversations[0].saw[-2:] == ["Basic.Ack", "Connection.Close"]
