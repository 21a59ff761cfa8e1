"""Requests a second over one httpx client: httpx's own transport against connectord's.

``python benchmarks/http_out.py [--seconds 3]``. The server runs in a process of its own and does as little as it
can, so the figures are the client's. Ratios travel between machines, absolute figures do not.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from functools import partial

import httpx
import trio
from connectord.network import SystemNetwork

IN_FLIGHT = (1, 64, 256)
BODY = b'{"action": {"id": "01JDE00000000000000000000", "system": "billing", "data": {}}, "callback_url": null}'
ANSWER = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


async def answer(stream: trio.SocketStream) -> None:
    """Answer every request on a connection; each carries :data:`BODY`."""
    received = b""
    async with stream:
        try:
            while data := await stream.receive_some(65536):
                received += data
                while (end := received.find(b"\r\n\r\n")) >= 0 and len(received) >= end + 4 + len(BODY):
                    received = received[end + 4 + len(BODY) :]
                    await stream.send_all(ANSWER)
        except trio.BrokenResourceError:
            return


async def serve() -> None:
    """Serve until killed; the port is the first line of the output."""
    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
        print(listener.socket.getsockname()[1], flush=True)


async def measure(transport: httpx.AsyncBaseTransport, url: str, in_flight: int, seconds: float) -> float:
    """Requests a second, each one answered, with ``in_flight`` of them at any time."""
    done = 0
    ends_at = 0.0

    async def post() -> None:
        response = await client.post(url, content=BODY)
        response.raise_for_status()

    async def keep_posting() -> None:
        nonlocal done
        while time.perf_counter() < ends_at:
            await post()
            done += 1

    async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=60) as client:
        async with trio.open_nursery() as warming_up:
            for _ in range(in_flight):
                warming_up.start_soon(post)
        began_at = time.perf_counter()
        ends_at = began_at + seconds
        async with trio.open_nursery() as nursery:
            for _ in range(in_flight):
                nursery.start_soon(keep_posting)
        return done / (time.perf_counter() - began_at)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each figure is measured")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        trio.run(serve)
        return
    with subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            url = f"http://127.0.0.1:{int(server.stdout.readline())}/"
            print(f"{'in flight':>10} {'stock httpx':>12} {'slotted':>12}   requests a second")
            for in_flight in IN_FLIGHT:
                limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
                stock = httpx.AsyncHTTPTransport(trust_env=False, limits=limits)
                slotted = SystemNetwork().http_transport(connect_timeout_seconds=10)
                figures = [
                    trio.run(measure, transport, url, in_flight, arguments.seconds) for transport in (stock, slotted)
                ]
                print(f"{in_flight:>10} {figures[0]:>12,.0f} {figures[1]:>12,.0f}")
        finally:
            server.kill()


if __name__ == "__main__":
    main()
