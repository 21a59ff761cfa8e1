"""The system of full_loop.py: takes every action at once and calls back over kept connections.

Raw bytes in a process of its own, so that it costs little. A request whose ``callback_url`` is null is only taken.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import trio


@contextmanager
def running_system() -> Generator[int, None, None]:
    """A system that calls back, in a process of its own; yields its port."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.kill()


def _run(pipe: Connection) -> None:
    trio.run(_serve, pipe)


async def _serve(pipe: Connection) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    send, receive = trio.open_memory_channel[str](100_000)
    pipe.send(listeners[0].socket.getsockname()[1])

    async def welcome(stream: trio.SocketStream) -> None:
        buffer = b""
        while chunk := await stream.receive_some(65536):
            buffer += chunk
            while (end := buffer.find(b"\r\n\r\n")) >= 0:
                head = buffer[:end].lower()
                length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
                if len(buffer) < end + 4 + length:
                    break
                body: dict[str, Any] = json.loads(buffer[end + 4 : end + 4 + length])
                buffer = buffer[end + 4 + length :]
                await stream.send_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
                if body["callback_url"] is not None:
                    send.send_nowait(body["callback_url"])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, welcome, listeners)
        for _ in range(16):
            nursery.start_soon(_call_back, receive.clone())


async def _call_back(urls: trio.MemoryReceiveChannel[str]) -> None:
    body = b'{"status":"success","data":{"ok":true}}'
    stream: trio.SocketStream | None = None
    async for url in urls:
        _, _, rest = url.partition("://")
        address, _, path = rest.partition("/")
        host, _, port = address.partition(":")
        request = (
            f"POST /{path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body
        for _ in range(50):
            try:
                if stream is None:
                    stream = await trio.open_tcp_stream(host, int(port))
                await stream.send_all(request)
                if not await stream.receive_some(65536):
                    raise trio.BrokenResourceError
                break
            except (OSError, trio.BrokenResourceError):
                stream = None
