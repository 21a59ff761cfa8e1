"""The broker's side of AMQP 0-9-1, as far as a test scripts it: for what a real broker does not do on demand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pamqp.frame
import trio
from pamqp import commands
from pamqp.base import Frame
from pamqp.frame import FrameTypes
from pamqp.header import ContentHeader


@dataclass
class Conversation:
    """One connection. Methods that come in are answered from ``answers``; the others wait in :meth:`receive`."""

    stream: trio.SocketStream
    buffer: bytes = b""
    heartbeats: int = 0
    saw: list[str] = field(default_factory=list)

    async def send(self, *frames: FrameTypes, channel: int = 1) -> None:
        """Send frames."""
        await self.stream.send_all(b"".join(pamqp.frame.marshal(frame, channel) for frame in frames))

    async def receive(self) -> FrameTypes:
        """The next frame that is no heartbeat."""
        while True:
            length = int.from_bytes(self.buffer[3:7], "big") + 8
            if self.buffer[:4] == b"AMQP":
                length = 8
            if len(self.buffer) >= length and len(self.buffer) >= 7:
                used, _, frame = pamqp.frame.unmarshal(self.buffer)
                self.buffer = self.buffer[used:]
                if frame.name == "Heartbeat":
                    self.heartbeats += 1
                    continue
                self.saw.append(frame.name)
                return frame
            data = await self.stream.receive_some()
            if not data:
                raise trio.EndOfChannel
            self.buffer += data

    async def receive_message(self) -> ContentHeader:
        """The header of the next message."""
        while True:
            frame = await self.receive()
            if isinstance(frame, ContentHeader):
                await self.receive()  # its body
                return frame

    async def greet(self, *, heartbeat: int = 0, frame_max: int = 131_072) -> None:
        """Let the client log in and make its channel, for publishing or for consuming."""
        await self.receive()
        await self.send(commands.Connection.Start(mechanisms="PLAIN AMQPLAIN"), channel=0)
        await self.receive()
        await self.send(commands.Connection.Tune(2047, frame_max, heartbeat), channel=0)
        await self.receive()
        await self.receive()
        await self.send(commands.Connection.OpenOk(), channel=0)
        await self.receive()
        await self.send(commands.Channel.OpenOk())
        while True:
            match await self.receive():
                case commands.Confirm.Select():
                    await self.send(commands.Confirm.SelectOk())
                    return
                case commands.Queue.Declare() as declare:
                    await self.send(commands.Queue.DeclareOk(declare.queue, 0, 0))
                case commands.Basic.Qos():
                    await self.send(commands.Basic.QosOk())
                case commands.Basic.Consume():
                    await self.send(commands.Basic.ConsumeOk("ctag"))
                    return

    async def say_goodbye(self) -> None:
        """Wait for the client's farewell, and answer it."""
        while not isinstance(await self.receive(), commands.Connection.Close):
            pass
        await self.send(commands.Connection.CloseOk(), channel=0)


Script = Callable[[Conversation], Awaitable[None]]


@dataclass
class ScriptedBroker:
    """What the tests see of it."""

    port: int
    conversations: list[Conversation] = field(default_factory=list)


def properties_of(number: int) -> commands.Basic.Properties:
    """The properties of a response to the action with this number."""
    return commands.Basic.Properties(correlation_id=f"A-{number}")


def frame(method: Frame) -> bytes:
    """A method's bytes."""
    return pamqp.frame.marshal(method, 1)


@asynccontextmanager
async def scripted_broker(*scripts: Script) -> AsyncIterator[ScriptedBroker]:
    """A server on loopback whose first connection follows the first script, and so on; the last one's for the rest."""
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        broker = ScriptedBroker(listeners[0].socket.getsockname()[1])

        async def serve(stream: trio.SocketStream) -> None:
            conversation = Conversation(stream)
            broker.conversations.append(conversation)
            script = scripts[min(len(broker.conversations), len(scripts)) - 1]
            async with stream:
                with suppress(trio.EndOfChannel, trio.BrokenResourceError):
                    await script(conversation)

        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield broker
        nursery.cancel_scope.cancel()
