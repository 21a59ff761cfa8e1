"""What a fake system can do wrong with one request.

Each fault is played once the request was read, or once the first bytes came where they are no HTTP; the connection
ends with it. One that is refused before that is :meth:`connectord.testing.FakeSystem.refusing`: a server cannot count
what it never sees.
"""

from __future__ import annotations

import abc
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import trio

from connectord.testing.messages import Answer, Request

MEBIBYTE = 1_048_576


@dataclass(slots=True, eq=False)
class Exchange:
    """One request on its connection, for a fault to spoil. ``request`` is None where what came was no HTTP."""

    stream: trio.SocketStream
    request: Request | None
    good_answer: Callable[[], Awaitable[Answer]]
    """What the system would have said; where it has work to do for it, it does it."""
    sent_bytes: int = 0

    async def send(self, data: bytes) -> None:
        """Send, and count what the peer's side took."""
        await self.stream.send_all(data)
        self.sent_bytes += len(data)


class Fault(abc.ABC):
    """Something that goes wrong with one request. ``str()`` says what, in words."""

    @abc.abstractmethod
    async def play(self, exchange: Exchange) -> None:
        """Do it; the connection is closed afterwards. May go on for ever: the system cancels it at its end."""

    def __str__(self) -> str:
        return (self.__doc__ or type(self).__name__).partition(".")[0].lower()


@dataclass(frozen=True)
class Say(Fault):
    """Another answer than the good one."""

    answer: Answer

    async def play(self, exchange: Exchange) -> None:
        headers = {**self.answer.headers, "Connection": "close"}
        await exchange.send(replace(self.answer, headers=headers).encode())

    def __str__(self) -> str:
        return f"status {self.answer.status}"


def Unavailable(status: int = 503) -> Say:  # noqa: N802 - reads as the faults beside it
    """A 5xx with a text that nobody can read as an answer."""
    return Say(Answer(status, b"<html>out of order</html>", {"Content-Type": "text/html"}))


def TooManyRequests(retry_after_seconds: int = 7) -> Say:  # noqa: N802 - reads as the faults beside it
    """429 with ``Retry-After``."""
    return Say(Answer(429, b"", {"Retry-After": str(retry_after_seconds)}))


@dataclass(frozen=True)
class Hang(Fault):
    """Never an answer."""

    async def play(self, exchange: Exchange) -> None:
        await trio.sleep_forever()


@dataclass(frozen=True)
class SlowHeaders(Fault):
    """Headers without end, a few bytes at a time."""

    pause_seconds: float = 0.02

    async def play(self, exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while True:
            await trio.sleep(self.pause_seconds)
            await exchange.send(b"s")


@dataclass(frozen=True)
class SlowBody(Fault):
    """A body without end, a few bytes at a time."""

    pause_seconds: float = 0.02

    async def play(self, exchange: Exchange) -> None:
        await exchange.send(Answer(200, b'{"', {"Content-Type": "application/json"}).encode(length=1_000_000))
        while True:
            await trio.sleep(self.pause_seconds)
            await exchange.send(b"s")


@dataclass(frozen=True)
class Drop(Fault):
    """The connection closed after the first bytes of the answer."""

    after_bytes: int = 0

    async def play(self, exchange: Exchange) -> None:
        answer = await exchange.good_answer()
        await exchange.send(answer.encode()[: self.after_bytes])

    def __str__(self) -> str:
        return f"closed after {self.after_bytes} bytes of the answer"


@dataclass(frozen=True)
class Reset(Fault):
    """The connection reset after the first bytes of the answer."""

    after_bytes: int = 0

    async def play(self, exchange: Exchange) -> None:
        answer = await exchange.good_answer()
        await exchange.send(answer.encode()[: self.after_bytes])
        if self.after_bytes:
            await trio.sleep(0.01)  # a reset overtakes bytes that were not read yet
        exchange.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    def __str__(self) -> str:
        return f"reset after {self.after_bytes} bytes of the answer"


@dataclass(frozen=True)
class Malformed(Fault):
    """An answer that is no HTTP."""

    data: bytes = b"HTTP/9.9 banana\r\nContent-Length: many\r\n\x00\xff: ?\r\n\r\n{}"

    async def play(self, exchange: Exchange) -> None:
        await exchange.send(self.data)


@dataclass(frozen=True)
class TlsGarbage(Fault):
    """Bytes of a broken TLS record where an answer should be."""

    async def play(self, exchange: Exchange) -> None:
        await exchange.send(b"\x15\x03\x01\x00\x02\x02\x28" + bytes(range(256)))


@dataclass(frozen=True)
class HugeBody(Fault):
    """A body of many megabytes."""

    size_bytes: int = 64 * MEBIBYTE

    async def play(self, exchange: Exchange) -> None:
        await exchange.send(Answer(200, b"", {"Content-Type": "application/json"}).encode(length=self.size_bytes))
        chunk = b"h" * 65_536
        for start in range(0, self.size_bytes, len(chunk)):
            await exchange.send(chunk[: self.size_bytes - start])


@dataclass(frozen=True)
class CutBody(Fault):
    """The connection closed in the middle of a good answer's body."""

    async def play(self, exchange: Exchange) -> None:
        await exchange.send(Answer(200, b'{"sta', {"Content-Type": "application/json"}).encode(length=1000))
