"""One connection to the broker, with its one channel: first asked in turn, then running."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import NoReturn, TypeVar

import trio
from connectord.adapters import NotConnected
from pamqp import commands
from pamqp.base import Frame

from connectord_amqp.failures import words_of
from connectord_amqp.wire import CHANNEL, HEARTBEAT, Received, Receiver, encode, plain

LOST = "the connection to the broker was lost"
GOODBYE_SECONDS = 1.0

_CHUNK = 65_536
_GOODBYE = commands.Connection.Close(reply_code=200, reply_text="done", class_id=0, method_id=0)

M = TypeVar("M", bound=Frame)
T = TypeVar("T")


class Link:
    """A connection. It is set up with :meth:`ask`; from then on :meth:`run` reads and writes.

    What is to be sent while it runs is given to :meth:`post`, which never waits, so a sender may be cancelled at any
    time without a frame left half sent.
    """

    def __init__(self, stream: trio.abc.Stream, *, max_body_bytes: int) -> None:
        self.receiver = Receiver(max_body_bytes=max_body_bytes)
        self.heartbeat_seconds = math.inf
        self.blocked: str | None = None
        """Why the broker takes no messages at the moment, in its words."""
        self.lost: str | None = None
        """Why there is no connection any more."""
        self._stream = stream
        self._unsent = bytearray()
        self._wake = trio.Event()
        self._sending = False

    @property
    def unsent_bytes(self) -> int:
        """How much was posted that the broker has not read yet."""
        return len(self._unsent)

    async def send(self, data: bytes) -> None:
        """Send at once; only while nothing else uses the connection. Raises :class:`NotConnected`."""
        await self._calmly(partial(self._stream.send_all, data))

    async def ask(self, request: Frame | None, expected: type[M], *, channel: int = CHANNEL) -> M:
        """Send a method and receive its answer; only before :meth:`run`. Raises :class:`NotConnected`."""
        if request is not None:
            await self.send(encode(request, channel=channel))
        while True:
            received = await self._next()
            if isinstance(received, expected):
                return received
            self._take_notice(received)

    def post(self, data: bytes) -> None:
        """Have ``data`` sent. Never waits; what is posted to a connection that is lost goes nowhere."""
        if self.lost is None:
            self._unsent += data
            self._wake.set()

    async def run(self, handle: Callable[[Received], None]) -> NoReturn:
        """Send what is posted, and give what comes in to ``handle``, until cancelled: then take leave of the broker.

        Raises :class:`NotConnected` once the connection is lost. Closes it in any case.
        """
        try:
            async with trio.open_nursery() as nursery:
                for work in (self._write, partial(self._read, handle)):
                    nursery.start_soon(self._until_lost, work, nursery.cancel_scope)
        finally:
            await self.close()
        raise NotConnected(self.lost or LOST)

    async def close(self) -> None:
        """Close the connection, politely where that is possible within a second."""
        with trio.CancelScope(shield=True):
            with trio.move_on_after(GOODBYE_SECONDS):
                if not self._sending:
                    await self._take_leave()
            self.lost = self.lost or "the connection was closed"
            await trio.aclose_forcefully(self._stream)

    async def _take_leave(self) -> None:
        with suppress(NotConnected):
            if self.lost is not None:
                # the broker may be waiting for the answer to its own farewell
                await self.send(bytes(self._unsent))
                return
            await self.send(bytes(self._unsent) + encode(_GOODBYE, channel=0))
            while not isinstance(await self._next(), commands.Connection.CloseOk):
                pass

    async def _until_lost(self, work: Callable[[], Awaitable[NoReturn]], scope: trio.CancelScope) -> None:
        try:
            await work()
        except NotConnected as error:
            self.lost = self.lost or str(error)
            scope.cancel()

    async def _write(self) -> NoReturn:
        while True:
            with trio.move_on_after(self.heartbeat_seconds / 2):
                await self._wake.wait()
            if self._wake.is_set():
                self._wake = trio.Event()
            data = bytes(self._unsent) or HEARTBEAT
            self._unsent.clear()
            # a frame that was cut off cannot be followed by a farewell
            self._sending = True
            await self.send(data)
            self._sending = False

    async def _read(self, handle: Callable[[Received], None]) -> NoReturn:
        while True:
            received = await self._next()
            if not self._take_notice(received):
                handle(received)

    async def _next(self) -> Received:
        while (received := self.receiver.next()) is None:
            await self._receive()
        return received

    async def _receive(self) -> None:
        patience_seconds = 2 * self.heartbeat_seconds
        with trio.move_on_after(patience_seconds) as limit:
            data = await self._calmly(partial(self._stream.receive_some, _CHUNK))
        if limit.cancelled_caught:
            raise NotConnected(f"{LOST}: nothing came from it for {patience_seconds:g} s")
        if not data:
            raise NotConnected(f"{LOST}: it closed it")
        self.receiver.feed(data)

    async def _calmly(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise NotConnected(f"{LOST}: {words_of(error)}") from error

    def _take_notice(self, received: Received) -> bool:
        """Whether it was about the connection. Raises :class:`NotConnected` where it ends it."""
        match received:
            case commands.Connection.Close():
                self.post(encode(commands.Connection.CloseOk(), channel=0))
                self.lost = f"the broker closed the connection: {_reason(received)}"
                raise NotConnected(self.lost)
            case commands.Channel.Close():
                raise NotConnected(f"the broker refused: {_reason(received)}")
            case commands.Connection.Blocked():
                self.blocked = plain(received.reason) or "it gave no reason"
            case commands.Connection.Unblocked():
                self.blocked = None
            case _:
                return False
        return True


def _reason(closed: commands.Connection.Close | commands.Channel.Close) -> str:
    return f"{closed.reply_code} {plain(closed.reply_text)}"
