"""Requests a second to an external system: connectord's transport against httpx's own, side by side.

``python benchmarks/http_out.py [--seconds 1] [--rounds 5] [--in-flight 1 64 256 1024] [--protocols http https]``

The ways are measured in turn within every round, so that what else the machine does falls on all of them alike.
Printed are medians: requests a second, processor time of this process for a request, and both as ratios to
``slots``, taken within each round. Ratios travel between machines, absolute figures do not. The server
(``sink.py`` beside this file) runs in processes of its own and needs far less for a request than any client here.

========== ==============================================================================================
``shared`` one stock client for everything (once, and not with more than 256 in flight: it takes for ever)
``slots``  a stock client for each request in flight, the fair baseline
``ours``   one client over connectord's transport, as adapters have it
``direct`` that transport called without a client: a new ``httpx.Request``, ``response.aread()``
``bare``   that transport called without a client: the same request each time, its stream read as it comes
========== ==============================================================================================
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TypeAlias

import httpx
import trio
from connectord.network import SystemNetwork
from sink import running_sink

BODY = b'{"action": {"id": "01JDE00000000000000000000", "system": "billing", "data": {}}, "callback_url": null}'
HEADERS = {"Content-Type": "application/json", "Idempotency-Key": "01JDE00000000000000000000"}
TIMEOUT = httpx.Timeout(60)
MOST_SHARED = 256

Post: TypeAlias = Callable[[], Awaitable[bytes]]
Way: TypeAlias = Callable[[httpx.URL, int, AsyncExitStack], Awaitable[list[Post]]]


@dataclass(frozen=True, slots=True)
class Figure:
    """What one measurement came to."""

    requests_per_second: float
    processor_microseconds: float


async def shared(url: httpx.URL, in_flight: int, stack: AsyncExitStack) -> list[Post]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    return [await _client(httpx.AsyncHTTPTransport(verify=False, limits=limits), url, stack)] * in_flight


async def slots(url: httpx.URL, in_flight: int, stack: AsyncExitStack) -> list[Post]:
    context = httpx.create_ssl_context(verify=False)
    return [await _client(httpx.AsyncHTTPTransport(verify=context), url, stack) for _ in range(in_flight)]


async def ours(url: httpx.URL, in_flight: int, stack: AsyncExitStack) -> list[Post]:
    return [await _client(_our_transport(), url, stack)] * in_flight


async def direct(url: httpx.URL, in_flight: int, stack: AsyncExitStack) -> list[Post]:
    transport = await stack.enter_async_context(_our_transport())

    async def post() -> bytes:
        response = await transport.handle_async_request(_request(url))
        return await response.aread()

    return [post] * in_flight


async def bare(url: httpx.URL, in_flight: int, stack: AsyncExitStack) -> list[Post]:
    transport = await stack.enter_async_context(_our_transport())
    request = _request(url)

    async def post() -> bytes:
        response = await transport.handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        body = b"".join([chunk async for chunk in response.stream])
        await response.stream.aclose()
        return body

    return [post] * in_flight


WAYS: tuple[Way, ...] = (shared, slots, ours, direct, bare)


def _our_transport() -> httpx.AsyncBaseTransport:
    return SystemNetwork().http_transport(connect_timeout_seconds=60, verify=False)


async def _client(transport: httpx.AsyncBaseTransport, url: httpx.URL, stack: AsyncExitStack) -> Post:
    client = await stack.enter_async_context(
        httpx.AsyncClient(transport=transport, trust_env=False, timeout=TIMEOUT, headers=HEADERS)
    )

    async def post() -> bytes:
        return (await client.post(url, content=BODY)).content

    return post


def _request(url: httpx.URL) -> httpx.Request:
    return httpx.Request("POST", url, content=BODY, headers=HEADERS, extensions={"timeout": TIMEOUT.as_dict()})


async def measure(way: Way, url: httpx.URL, in_flight: int, seconds: float) -> Figure:
    """Keep ``in_flight`` requests going for that long, once each has a warm connection."""
    done = 0

    async def post_once(post: Post) -> None:
        assert await post() == b"{}"

    async def keep_posting(post: Post) -> None:
        nonlocal done
        while time.perf_counter() < ends_at:
            await post_once(post)
            done += 1

    async with AsyncExitStack() as stack:
        posts = await way(url, in_flight, stack)
        async with trio.open_nursery() as warming_up:
            for post in posts:
                warming_up.start_soon(post_once, post)
        began_at, processor_began_at = time.perf_counter(), time.process_time()
        ends_at = began_at + seconds
        async with trio.open_nursery() as nursery:
            for post in posts:
                nursery.start_soon(keep_posting, post)
        took, processor_took = time.perf_counter() - began_at, time.process_time() - processor_began_at
    return Figure(done / took, processor_took / done * 1e6)


def compare(url: httpx.URL, in_flight: int, *, seconds: float, rounds: int) -> dict[str, list[Figure]]:
    """Every way's figures, one a round."""
    figures: dict[str, list[Figure]] = {way.__name__: [] for way in WAYS}
    for number in range(rounds):
        for way in WAYS:
            if way is shared and (number > 0 or in_flight > MOST_SHARED):
                continue
            figures[way.__name__].append(trio.run(measure, way, url, in_flight, seconds))
    return figures


def show(protocol: str, in_flight: int, figures: dict[str, list[Figure]]) -> None:
    """One line a way."""
    baseline = figures[slots.__name__]
    for name, measured in figures.items():
        if not measured:
            continue
        pairs = list(zip(measured, baseline, strict=False))
        rate = statistics.median(figure.requests_per_second for figure in measured)
        cost = statistics.median(figure.processor_microseconds for figure in measured)
        faster = statistics.median(one.requests_per_second / other.requests_per_second for one, other in pairs)
        cheaper = statistics.median(other.processor_microseconds / one.processor_microseconds for one, other in pairs)
        print(
            f"{protocol:<6} {in_flight:>9} {name:<7} {rate:>10,.0f} {faster:>8.2f} {cost:>12,.1f} {cheaper:>8.2f}",
            flush=True,
        )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each figure is measured")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 64, 256, 1024])
    parser.add_argument("--protocols", nargs="+", default=["http", "https"], choices=["http", "https"])
    arguments = parser.parse_args()
    print(f"{'':<6} {'in flight':>9} {'way':<7} {'requests/s':>10} {'ratio':>8} {'processor us':>12} {'ratio':>8}")
    for protocol in arguments.protocols:
        with running_sink(len(BODY), tls=protocol == "https") as url:
            for in_flight in arguments.in_flight:
                show(
                    protocol,
                    in_flight,
                    compare(httpx.URL(url), in_flight, seconds=arguments.seconds, rounds=arguments.rounds),
                )


if __name__ == "__main__":
    main()
