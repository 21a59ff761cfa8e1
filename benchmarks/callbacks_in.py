"""How many callbacks a second the listener answers, with a handler that does nothing.

64 keep-alive connections from a second process, one request at a time on each, over loopback, for at most 5 seconds::

    python benchmarks/callbacks_in.py [--seconds 4] [--connections 64]
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Mapping

import structlog
import trio
from connectord.callbacks import CallbackAnswer, TokenKey, open_callback_listeners, serve_callbacks
from connectord.callbacks.limits import Limits

MOST_SECONDS = 5.0
ACTION_ID = "01JDE0000000000000000000ZZ"
BODY = b'{"status": "success", "data": {"invoice_no": "R-17"}}'
KEY = TokenKey(bytes(32))


class NoOp:
    """Takes everything."""

    async def handle_callback(self, action_id: str, headers: Mapping[str, str], body: bytes) -> CallbackAnswer:
        """Take it."""
        return CallbackAnswer.TAKEN


def request() -> bytes:
    """A callback as an HTTP client library sends it."""
    lines = [
        f"POST /callback/{KEY.issue(ACTION_ID)} HTTP/1.1",
        "Host: 127.0.0.1:8470",
        "Accept: */*",
        "Accept-Encoding: gzip, deflate",
        "Connection: keep-alive",
        "User-Agent: python-httpx/0.28.1",
        f"Content-Length: {len(BODY)}",
        "Content-Type: application/json",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + BODY


async def client(port: int, seconds: float, connections: int) -> int:
    """The number of 200s in ``seconds``."""
    bytes_out = request()
    answered = 0

    async def talk() -> None:
        nonlocal answered
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream:
            while True:
                await stream.send_all(bytes_out)
                answer = bytes(await stream.receive_some(4096))
                assert answer.startswith(b"HTTP/1.1 200 "), answer
                assert answer.endswith(b'{"status": "taken"}'), answer
                answered += 1

    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            for _ in range(connections):
                nursery.start_soon(talk)
    return answered


def run_client(port: int, seconds: float, connections: int) -> None:
    """The second process."""
    began = time.perf_counter()
    answered = trio.run(client, port, seconds, connections)
    elapsed = time.perf_counter() - began
    print(f"{answered / elapsed:,.0f} callbacks a second ({answered:,} in {elapsed:.2f} s, {connections} connections)")


async def serve(seconds: float, connections: int) -> None:
    """The listener, until the client is done."""
    listeners = await open_callback_listeners("127.0.0.1", 0)
    port = listeners[0].socket.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=run_client, args=(port, seconds, connections))
    process.start()
    began = time.process_time()
    async with trio.open_nursery() as nursery:
        limits = Limits(max_requests_per_connection=10**9)
        nursery.start_soon(lambda: serve_callbacks(listeners, key=KEY, handler=NoOp(), limits=limits.in_force))
        await trio.to_thread.run_sync(process.join)
        nursery.cancel_scope.cancel()
    print(f"the listener's process used {time.process_time() - began:.2f} s of CPU")


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--connections", type=int, default=64)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("info"))
    trio.run(serve, min(arguments.seconds, MOST_SECONDS), arguments.connections)


if __name__ == "__main__":
    main()
