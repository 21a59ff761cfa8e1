"""Byte streams without a socket: what peers of a simulated daemon are connected by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio

from connectord.control.peers import Peer
from connectord.doors import Entrances

CAPACITY = 64 * 1024
"""How much fits on the way in one direction: who sends more waits until the other side reads."""


class _Way:
    """One direction. ``tap`` sees what leaves the sender, before anybody can have read it."""

    __slots__ = ("broken", "buffer", "ended", "lot", "tap")

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.ended = False
        self.broken = False
        self.tap: Callable[[bytes], None] | None = None
        self.lot = trio.lowlevel.ParkingLot()


class SimulatedStream(trio.abc.HalfCloseableStream):
    """One end of a connection."""

    def __init__(self, incoming: _Way, outgoing: _Way) -> None:
        self._in = incoming
        self._out = outgoing
        self._closed = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything; waits while the other side does not read."""
        await trio.lowlevel.checkpoint()
        rest = bytes(data)
        way = self._out
        while rest:
            if self._closed or way.ended:
                raise trio.ClosedResourceError
            if way.broken:
                raise trio.BrokenResourceError("the connection is broken")
            room = CAPACITY - len(way.buffer)
            if room <= 0:
                await way.lot.park()
                continue
            piece, rest = rest[:room], rest[room:]
            if way.tap is not None:
                way.tap(piece)
            way.buffer += piece
            way.lot.unpark_all()

    async def wait_send_all_might_not_block(self) -> None:
        """Nobody asks for it."""
        await trio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        """Say that nothing more comes."""
        await trio.lowlevel.checkpoint()
        self._out.ended = True
        self._out.lot.unpark_all()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What is there; empty at the end."""
        way = self._in
        if way.buffer or self._closed or way.broken or way.ended:
            await trio.lowlevel.checkpoint()
        while not way.buffer:
            if self._closed:
                raise trio.ClosedResourceError
            if way.broken:
                raise trio.BrokenResourceError("the connection is broken")
            if way.ended:
                return b""
            await way.lot.park()
        piece = bytes(way.buffer[:max_bytes])
        del way.buffer[:max_bytes]
        way.lot.unpark_all()
        return piece

    async def aclose(self) -> None:
        """Close both directions: the other side reads what is on the way, then the end."""
        self._closed = True
        self._out.ended = True
        self._in.broken = True
        self._out.lot.unpark_all()
        self._in.lot.unpark_all()
        await trio.lowlevel.checkpoint()

    def cut(self) -> None:
        """The machine at one end is off: nothing more comes from it, and what is sent there is lost."""
        for way in (self._in, self._out):
            way.broken = True
            way.lot.unpark_all()

    @property
    def is_hung_up(self) -> bool:
        """Whether the other side has closed both directions."""
        return self._in.ended and self._out.broken


class SimulatedListener(trio.abc.Listener[SimulatedStream]):
    """Where peers connect to."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[SimulatedStream](128)
        self._streams: list[SimulatedStream] = []
        self.is_open = True

    def connect(self, tap: Callable[[bytes], None]) -> SimulatedStream:
        """The peer's end of a new connection; ``tap`` sees what the daemon sends. Raises ConnectionRefusedError."""
        if not self.is_open:
            raise ConnectionRefusedError("nobody listens there")
        there, back = _Way(), _Way()
        back.tap = tap
        try:
            self._send.send_nowait(SimulatedStream(there, back))
        except trio.WouldBlock:
            raise ConnectionRefusedError("too many connections wait there") from None
        peer = SimulatedStream(back, there)
        self._streams.append(peer)
        return peer

    def cut(self) -> None:
        """The machine is off."""
        self.is_open = False
        for stream in self._streams:
            stream.cut()

    async def accept(self) -> SimulatedStream:
        return await self._receive.receive()

    async def aclose(self) -> None:
        self.is_open = False
        # who connected and was never accepted learns it
        while True:
            try:
                stream: Any = self._receive.receive_nowait()
            except (trio.WouldBlock, trio.ClosedResourceError):
                break
            stream.cut()
        self._receive.close()
        await trio.lowlevel.checkpoint()


def simulated_entrances(callbacks: SimulatedListener, control: SimulatedListener) -> Entrances:
    """The daemon's listeners without a socket. Whoever connects to ``control`` is root on this machine."""

    async def open_callbacks(host: str, port: int) -> list[SimulatedListener]:
        await trio.lowlevel.checkpoint()
        return [callbacks]

    async def open_control(path: Path) -> SimulatedListener:
        await trio.lowlevel.checkpoint()
        return control

    return Entrances(
        open_callbacks=open_callbacks,
        open_control=open_control,
        address_of=lambda stream: ("192.0.2.1", 50_000),
        peer_of=lambda stream: Peer(uid=0, gid=0, pid=1),
        is_hung_up=_is_hung_up,
        port_of=lambda listener: 8470,
        descriptor_of=lambda listener: None,
    )


def _is_hung_up(stream: SimulatedStream) -> bool:
    return stream.is_hung_up
