"""Publishing with confirms: many messages under way on one connection, each waiting for its own confirm."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import structlog
import trio
from connectord.adapters import NotConnected
from pamqp import commands

from connectord_amqp.connecting import connect
from connectord_amqp.link import Link
from connectord_amqp.settings import AmqpSettings
from connectord_amqp.wire import Message, Received, encode_message, plain

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0
MOST_UNCONFIRMED = 10_000
MOST_UNSENT_BYTES = 64 * 1024 * 1024

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class _Confirm:
    """What became of one published message."""

    message_id: str | None
    settled: trio.Event = field(default_factory=trio.Event)
    failure: str | None = None
    outcome_unknown: bool = False

    def settle(self, failure: str | None = None, *, outcome_unknown: bool = False) -> None:
        if self.failure is None:
            self.failure, self.outcome_unknown = failure, outcome_unknown
        self.settled.set()


class _Session:
    """One connection for publishing, from its set-up to its end."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.ended = trio.Event()
        self._scope = trio.CancelScope()
        self._next_tag = 1
        self._unconfirmed: dict[int, _Confirm] = {}

    @property
    def usable(self) -> bool:
        return self.link.lost is None and not self._scope.cancel_called

    def publish(self, method: commands.Basic.Publish, properties: commands.Basic.Properties, body: bytes) -> _Confirm:
        if self.link.blocked is not None:
            raise NotConnected(f"the broker takes no messages now: {self.link.blocked}")
        if self.link.unsent_bytes > MOST_UNSENT_BYTES:
            raise NotConnected("the broker does not read what is sent to it")
        if len(self._unconfirmed) >= MOST_UNCONFIRMED:
            self.end()
            raise NotConnected(f"the broker owes {MOST_UNCONFIRMED} confirms: the connection is made anew")
        data = encode_message(method, properties, body, frame_max=self.link.receiver.frame_max)
        self.link.post(data)
        confirm = self._unconfirmed[self._next_tag] = _Confirm(properties.message_id)
        self._next_tag += 1
        return confirm

    def start(self) -> None:
        """Run in a task of its own, which outlives the call that needed the connection first, until :meth:`end`."""
        trio.lowlevel.spawn_system_task(self._run, name="connectord-amqp: publishing")

    def end(self) -> None:
        self._scope.cancel()

    async def _run(self) -> None:
        words = "the connection was closed"
        try:
            with self._scope:
                await self.link.run(self._handle)
        except NotConnected as error:
            words = str(error)
        except Exception as error:
            # it would end the daemon, as every exception of a system task does
            words = f"a fault of the adapter: {type(error).__name__}"
            log.error("adapter fault", adapter="amqp", exc_info=error)
        finally:
            for confirm in self._unconfirmed.values():
                confirm.settle(f"{words}, before the message was confirmed", outcome_unknown=True)
            self._unconfirmed.clear()
            self.ended.set()

    def _handle(self, received: Received) -> None:
        match received:
            case commands.Basic.Ack():
                self._settle(received.delivery_tag or 0, multiple=received.multiple, failure=None)
            case commands.Basic.Nack():
                failure = "the broker could not take the message (nack)"
                self._settle(received.delivery_tag or 0, multiple=received.multiple, failure=failure)
            case Message(method=commands.Basic.Return() as returned):
                self._give_back(received, returned)
            case _:
                raise NotConnected(f"the broker sent something that nobody asked for: {type(received).__name__}")

    def _settle(self, tag: int, *, multiple: bool, failure: str | None) -> None:
        tags = [tag]
        if multiple:
            # 0: all of them
            tags = [each for each in self._unconfirmed if tag in (0, each) or each < tag]
        for each in tags:
            confirm = self._unconfirmed.pop(each, None)
            if confirm is not None:
                confirm.settle(failure)

    def _give_back(self, message: Message, returned: commands.Basic.Return) -> None:
        # the confirm of a message that is given back follows it
        message_id = message.properties().message_id
        why = f"{returned.reply_code} {plain(returned.reply_text)}"
        for confirm in self._unconfirmed.values():
            if confirm.message_id == message_id and confirm.failure is None:
                confirm.failure = (
                    f"the broker gave the message back: {why} (exchange {returned.exchange!r}, "
                    f"routing key {returned.routing_key!r}); no queue is bound there"
                )
                return


class Publisher:
    """Publishes over one connection, which is made when it is needed and made again when it is lost.

    Who needs it while it is being made waits for the same try; a try that fails is followed by a pause, which doubles
    up to 5 seconds.
    """

    def __init__(self, settings: AmqpSettings, system: str) -> None:
        self._settings = settings
        self._name = f"connectord {system}: publishing"
        self._session: _Session | None = None
        self._closed = False
        self._making = trio.Lock()
        self._failures = 0
        self._failure = ""
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._not_before = -math.inf

    async def publish(self, method: commands.Basic.Publish, properties: commands.Basic.Properties, body: bytes) -> None:
        """Publish; returns once the broker has confirmed that it has the message.

        Raises :class:`NotConnected` where it did not. When cancelled, it may have got the message or not.
        """
        session = await self.session()
        confirm = session.publish(method, properties, body)
        seconds = self._settings.confirm_timeout / 1000
        with trio.move_on_after(seconds):
            await confirm.settled.wait()
        if not confirm.settled.is_set():
            raise NotConnected(f"the broker did not confirm the message within {seconds:g} s", outcome_unknown=True)
        if confirm.failure is not None:
            raise NotConnected(confirm.failure, outcome_unknown=confirm.outcome_unknown)

    async def check(self) -> None:
        """Raises :class:`NotConnected` where nothing could be published now."""
        session = await self.session()
        if session.link.blocked is not None:
            raise NotConnected(f"the broker takes no messages now: {session.link.blocked}")

    async def session(self) -> _Session:
        """The connection, made where there is none. Raises :class:`NotConnected`."""
        if self._session is not None and self._session.usable:
            return self._session
        failures = self._failures
        async with self._making:
            if self._session is not None and self._session.usable:
                return self._session
            if self._failures != failures:
                raise NotConnected(self._failure)
            await trio.sleep_until(max(self._not_before, trio.current_time()))
            return await self._make()

    async def close(self) -> None:
        """End the connection and its task, also when cancelled."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            session.end()
            with trio.CancelScope(shield=True):
                # taking leave has its own limit
                await session.ended.wait()

    async def _make(self) -> _Session:
        try:
            link = await connect(self._settings, self._name, self._set_up)
        except NotConnected as error:
            self._failures += 1
            self._failure = str(error)
            self._not_before = trio.current_time() + self._pause_seconds
            self._pause_seconds = min(self._pause_seconds * 2, LONGEST_PAUSE_SECONDS)
            raise
        if self._closed:
            await link.close()
            raise NotConnected("the adapter was closed")
        self._pause_seconds = FIRST_PAUSE_SECONDS
        # no await from here on: a connection is never left without a task
        session = self._session = _Session(link)
        session.start()
        return session

    async def _set_up(self, link: Link) -> None:
        exchange = self._settings.exchange
        if exchange:
            await link.ask(
                commands.Exchange.Declare(exchange=exchange, passive=True, exchange_type="direct"),
                commands.Exchange.DeclareOk,
            )
        await link.ask(commands.Confirm.Select(), commands.Confirm.SelectOk)
