"""The system of full_loop.py: takes every action at once and calls back over kept connections.

Raw bytes in a process of its own, so that it costs little: ``calling_back.c`` where there is a C compiler, which takes
10 us of a processor for an action; else the same in Python, which takes a core that the daemon could use. A request
whose ``callback_url`` is null is only taken.
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

import trio

COMPILER = shutil.which("cc")


@dataclass(frozen=True, slots=True)
class System:
    """A running system: where it listens, and what it writes."""

    port: int
    log: IO[str]


@contextmanager
def running_system() -> Generator[int, None, None]:
    """A system that calls back, in a process of its own; yields its port."""
    if COMPILER is not None:
        with compiled_system() as system:
            yield system.port
        return
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.kill()


@contextmanager
def compiled_system(*modes: str) -> Generator[System, None, None]:
    """The system in C, with the ``modes`` that ``calling_back.c`` names."""
    if COMPILER is None:
        raise SystemExit("this benchmark needs a C compiler (cc)")
    with tempfile.TemporaryDirectory(prefix="connectord-system-") as directory:
        program, output = Path(directory) / "system", Path(directory) / "log"
        subprocess.run([COMPILER, "-O2", "-o", program, Path(__file__).with_suffix(".c")], check=True)
        with output.open("w") as sink, output.open() as log_read:
            process = subprocess.Popen([program, *modes], stdout=sink)
            try:
                while not (line := log_read.readline()).endswith("\n"):
                    log_read.seek(0)
                yield System(int(line), log_read)
            finally:
                process.kill()
                process.wait()


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
