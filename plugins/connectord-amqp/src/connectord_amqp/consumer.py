"""Responses from the reply queue."""

from __future__ import annotations

import zlib
from functools import partial
from typing import TypeAlias

import structlog
import trio
from connectord.adapters import Deliver, NotConnected, NotFound
from pamqp import commands
from pamqp.common import FieldTable

from connectord_amqp.connecting import connect
from connectord_amqp.link import Link
from connectord_amqp.messages import Unusable, action_id_of, response_of
from connectord_amqp.settings import AmqpSettings, ReplySettings
from connectord_amqp.wire import Message, Received, encode, plain

MOST_AT_ONCE = 16
"""How many responses are handed in at the same time; those of one action one after the other, in their order."""

_Response: TypeAlias = tuple[int, str, Message]
"""Its delivery tag, the action that it is about, and the message."""

log = structlog.get_logger()


async def consume(settings: AmqpSettings, replies: ReplySettings, system: str, deliver: Deliver) -> None:
    """Hand in every response of the reply queue until cancelled; each is acknowledged once ``deliver`` has returned.

    Raises :class:`NotConnected` once the connection is lost.
    """
    link = await connect(
        settings,
        f"connectord {system}: responses",
        partial(_set_up, replies=replies),
        max_body_bytes=replies.max_body_bytes,
    )
    consumer = _Consumer(link, replies, system, deliver)
    lost: NotConnected | None = None
    async with trio.open_nursery() as nursery:
        consumer.start(nursery)
        try:
            await link.run(consumer.take)
        except NotConnected as error:
            lost = error
            nursery.cancel_scope.cancel()
    if lost is not None:
        raise lost


class _Consumer:
    """Shares the messages of a connection out among tasks."""

    def __init__(self, link: Link, replies: ReplySettings, system: str, deliver: Deliver) -> None:
        self._link = link
        self._replies = replies
        self._system = system
        self._deliver = deliver
        self._lines: list[trio.MemorySendChannel[_Response]] = []

    def start(self, nursery: trio.Nursery) -> None:
        """Start the tasks that hand in."""
        for _ in range(min(MOST_AT_ONCE, self._replies.prefetch)):
            # the broker keeps to the prefetch, so none of them is ever full
            send, receive = trio.open_memory_channel[_Response](self._replies.prefetch)
            self._lines.append(send)
            nursery.start_soon(self._hand_in_all, receive)

    def take(self, received: Received) -> None:
        """Put a message into the line of its action. Raises :class:`NotConnected` for what is none."""
        match received:
            case Message(method=commands.Basic.Deliver(delivery_tag=int(tag))):
                self._line_up(tag, received)
            case commands.Basic.Cancel():
                raise NotConnected(f"the broker stopped the responses: the queue {self._replies.queue!r} was deleted")
            case _:
                raise NotConnected(f"the broker sent something that nobody asked for: {type(received).__name__}")

    def _line_up(self, tag: int, message: Message) -> None:
        try:
            action_id = action_id_of(message)
        except Unusable as error:
            self._refuse(tag, None, str(error))
            return
        line = self._lines[zlib.crc32(action_id.encode()) % len(self._lines)]
        try:
            line.send_nowait((tag, action_id, message))
        except trio.WouldBlock:
            raise NotConnected("the broker sends more responses than prefetch allows") from None

    async def _hand_in_all(self, line: trio.MemoryReceiveChannel[_Response]) -> None:
        async for tag, action_id, message in line:
            try:
                await self._deliver(action_id, response_of(message, self._replies))
            except (Unusable, NotFound, TypeError, ValueError) as error:
                self._refuse(tag, action_id, str(error))
            else:
                self._link.post(encode(commands.Basic.Ack(tag)))

    def _refuse(self, tag: int, action_id: str | None, why: str) -> None:
        self._link.post(encode(commands.Basic.Reject(tag, requeue=False)))
        log.warning(
            "response refused",
            system=self._system,
            queue=self._replies.queue,
            correlation_id=None if action_id is None else plain(action_id),
            error=plain(why),
            dead_letter_exchange=self._replies.dead_letter_exchange,
        )


async def _set_up(link: Link, *, replies: ReplySettings) -> None:
    arguments: FieldTable = {}
    if replies.queue_type is not None:
        arguments["x-queue-type"] = replies.queue_type
    if replies.dead_letter_exchange is not None:
        arguments["x-dead-letter-exchange"] = replies.dead_letter_exchange
    if replies.dead_letter_routing_key is not None:
        arguments["x-dead-letter-routing-key"] = replies.dead_letter_routing_key
    declare = commands.Queue.Declare(
        queue=replies.queue, passive=not replies.declare_queue, durable=True, arguments=arguments
    )
    await link.ask(declare, commands.Queue.DeclareOk)
    await link.ask(commands.Basic.Qos(prefetch_count=replies.prefetch), commands.Basic.QosOk)
    await link.ask(commands.Basic.Consume(queue=replies.queue), commands.Basic.ConsumeOk)
