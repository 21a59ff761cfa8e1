"""The full loop, on loopback: submit, attempt recorded, request out, taken, callback in, closed. All of it durable.

The system that plays along is a second process, so that the daemon has a core of its own. Beside the loop it
measures the bare outbound half on stock httpx (a client per slot, nothing kept), in the same run, and what a backlog
costs in memory. Bounded in count; needs about a minute.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
import trio
from connectord.testing.daemon_process import DaemonProcess

IN_FLIGHT = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--actions", type=int, default=5000)
    parser.add_argument("--backlog", type=int, default=100_000)
    options = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    sink = multiprocessing.get_context("spawn").Process(target=run_sink, args=(theirs,), daemon=True)
    sink.start()
    port = ours.recv()
    try:
        stock = trio.run(measure_stock, port, options.actions)
        loop, rss = trio.run(measure_loop, port, options.actions, options.backlog)
    finally:
        sink.kill()
    print(f"bare outbound half, stock httpx, a client per slot: {stock:8.0f} requests a second")
    print(f"full loop through the daemon, durable:              {loop:8.0f} actions a second")
    print(f"ratio:                                              {loop / stock:8.2f}")
    empty, full = rss
    print(f"memory: {empty:.1f} MiB with nothing pending, {full:.1f} MiB with {options.backlog} pending")


async def measure_stock(port: int, count: int) -> float:
    """Requests a second of stock httpx, one client for each of the slots."""
    left = iter(range(count))
    body = json.dumps({"action": {"id": "x", "data": {"n": 1}}, "callback_url": None}).encode()

    async def work() -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            for _ in left:
                await client.post(f"http://127.0.0.1:{port}/jobs", content=body)

    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(IN_FLIGHT):
            nursery.start_soon(work)
    return count / (time.perf_counter() - began)


async def measure_loop(port: int, count: int, backlog: int) -> tuple[float, tuple[float, float]]:
    """Actions closed a second by a daemon, and its memory in MiB without and with a backlog."""
    with tempfile.TemporaryDirectory(prefix="connectord-bench-") as directory:
        daemon = DaemonProcess(Path(directory))
        text = daemon.head().replace("[daemon]", '[daemon]\nlog_level = "error"')
        text += f'[systems.sink]\nadapter = "http"\nconcurrency = {IN_FLIGHT}\n'
        text += f'[systems.sink.http]\nurl = "http://127.0.0.1:{port}/jobs"\n'
        daemon.configure(text)
        await daemon.start()
        try:
            await submit(daemon, 500)
            await drained(daemon)
            began = time.perf_counter()
            await submit(daemon, count)
            await drained(daemon)
            rate = count / (time.perf_counter() - began)
            empty = memory(daemon.pid)
            await daemon.call("pause", system="sink")
            await submit(daemon, backlog)
            return rate, (empty, memory(daemon.pid))
        finally:
            daemon.kill()


async def submit(daemon: DaemonProcess, count: int) -> None:
    for start in range(0, count, 1000):
        actions = [{"system": "sink", "data": {"n": n}} for n in range(start, min(start + 1000, count))]
        await daemon.call("submit_many", actions=actions)


async def drained(daemon: DaemonProcess) -> None:
    while any((await daemon.call("status"))["counts"].values()):
        await trio.sleep(0.02)


def memory(pid: int) -> float:
    """Resident memory of a process in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


# -- the sink: takes every action at once and calls back over kept connections; raw bytes, so that it costs little


def run_sink(pipe: Connection) -> None:
    trio.run(serve_sink, pipe)


async def serve_sink(pipe: Connection) -> None:
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
            nursery.start_soon(call_back, receive.clone())


async def call_back(urls: trio.MemoryReceiveChannel[str]) -> None:
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


if __name__ == "__main__":
    main()
