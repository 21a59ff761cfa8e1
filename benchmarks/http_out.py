"""Requests a second to an external system: connectord's transport against httpx's own, side by side.

``python benchmarks/http_out.py [--seconds 1] [--rounds 5] [--in-flight 1 64 256 1024] [--protocols http https]``

Everything is measured once in every round, so that what else the machine does falls on all ways alike. Printed are
medians: requests a second, processor time of this process for a request, and for both how many times better they
are than those of ``slots``, and than the same way's with 64 in flight, each taken within its round. Ratios travel
between machines, absolute figures do not. The server (``sink.py`` beside this file) is a loop over raw sockets in
two processes of its own and needs far less for a request than any client here. Python's cycle collector is set
up for all of them as the daemon sets its own up: as it is by default, it looks at all that a thousand requests in
flight hold again and again.

=========== ========================================================================================================
``shared``  one stock client for everything (once, and not with more than 256 in flight: it takes for ever)
``slots``   a stock client for each request in flight, the fair baseline
``ours``    one client over connectord's transport, as adapters have it
``direct``  that transport called without a client: a new ``httpx.Request``, ``response.aread()``
``bare``    that transport called without a client: the same request each time, its stream read as it comes
``whole``   that transport's own ``exchange``, without httpx's types, as the adapter ``http`` uses it
``adapter`` the adapter ``http`` itself: from a call to its outcome, the request made of the action, the answer judged
=========== ========================================================================================================
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
import msgspec
import trio
from connectord.adapters import ExchangeLimits, Taken, WholeExchanges, WholeRequest
from connectord.network import SystemNetwork
from connectord.running import tune_collector
from connectord.testing.calls import make_call, make_context, open_adapter
from connectord_http.adapter import HttpAdapter
from connectord_http.dialects import DIALECTS
from sink import running_sink

CALL = make_call(action_id="01JDE00000000000000000000", idempotency_key="01JDE00000000000000000000")
BODY = msgspec.json.encode(DIALECTS["connectord"].build_payload(CALL))
HEADERS = {"Content-Type": "application/json", "Idempotency-Key": CALL.idempotency_key}
TIMEOUT = httpx.Timeout(60)
MOST_SHARED = 256
REFERENCE = 64
"""The number in flight to which the others are compared."""

Post: TypeAlias = Callable[[], Awaitable[bytes]]
Way: TypeAlias = Callable[[httpx.URL, int, AsyncExitStack], Awaitable[list[Post]]]
Figures: TypeAlias = "dict[tuple[int, str], list[Figure]]"


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
    return [await _client(await _our_transport(stack), url, stack)] * in_flight


async def direct(url: httpx.URL, in_flight: int, stack: AsyncExitStack) -> list[Post]:
    transport = await stack.enter_async_context(await _our_transport(stack))

    async def post() -> bytes:
        response = await transport.handle_async_request(_request(url))
        return await response.aread()

    return [post] * in_flight


async def bare(url: httpx.URL, in_flight: int, stack: AsyncExitStack) -> list[Post]:
    transport = await stack.enter_async_context(await _our_transport(stack))
    request = _request(url)

    async def post() -> bytes:
        response = await transport.handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        body = b"".join([chunk async for chunk in response.stream])
        await response.stream.aclose()
        return body

    return [post] * in_flight


async def whole(url: httpx.URL, in_flight: int, stack: AsyncExitStack) -> list[Post]:
    transport = await stack.enter_async_context(await _our_transport(stack))
    assert isinstance(transport, WholeExchanges)
    headers = [*_request(url).headers.raw]
    limits = ExchangeLimits(60, 60, 180, 60, 2**20)

    async def post() -> bytes:
        answer = await transport.exchange(WholeRequest("POST", url, headers, BODY), limits)
        return answer.body or b""

    return [post] * in_flight


async def adapter(url: httpx.URL, in_flight: int, stack: AsyncExitStack) -> list[Post]:
    settings = {"url": str(url), "verify_tls": False}
    context = make_context(concurrency=in_flight, network=await _network(stack))
    http = await stack.enter_async_context(open_adapter(HttpAdapter, settings, context))

    async def post() -> bytes:
        assert isinstance(await http.trigger(CALL), Taken)
        return b"{}"

    return [post] * in_flight


WAYS: tuple[Way, ...] = (shared, slots, ours, direct, bare, whole, adapter)


async def _our_transport(stack: AsyncExitStack) -> httpx.AsyncBaseTransport:
    network = await _network(stack)
    return network.http_transport(connect_timeout_seconds=60, verify=False)


async def _network(stack: AsyncExitStack) -> SystemNetwork:
    network = SystemNetwork()
    nursery = await stack.enter_async_context(trio.open_nursery())
    stack.callback(nursery.cancel_scope.cancel)
    nursery.start_soon(network.run)  # as in the daemon
    return network


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


def compare(url: httpx.URL, in_flight: list[int], *, seconds: float, rounds: int) -> Figures:
    """Every way's figures at every number in flight, one a round."""
    figures: Figures = {(number, way.__name__): [] for number in in_flight for way in WAYS}
    for round_number in range(rounds):
        for number in in_flight:
            for way in WAYS:
                if way is shared and (round_number > 0 or number > MOST_SHARED):
                    continue
                figures[number, way.__name__].append(trio.run(measure, way, url, number, seconds))
    return figures


def show(protocol: str, figures: Figures) -> None:
    """One line for each number in flight and way."""
    for (number, name), measured in figures.items():
        if not measured:
            continue
        baseline = figures[number, slots.__name__]
        at_reference = figures.get((REFERENCE, name)) or measured
        print(
            f"{protocol:<6} {number:>9} {name:<7}"
            f" {statistics.median(each.requests_per_second for each in measured):>10,.0f}"
            f" {_ratio(measured, baseline, _rate):>8.2f} {_ratio(measured, at_reference, _rate):>7.2f}"
            f" {statistics.median(each.processor_microseconds for each in measured):>12,.1f}"
            f" {_ratio(measured, baseline, _thrift):>8.2f} {_ratio(measured, at_reference, _thrift):>7.2f}",
            flush=True,
        )


def _ratio(measured: list[Figure], reference: list[Figure], of: Callable[[Figure], float]) -> float:
    return statistics.median(of(one) / of(other) for one, other in zip(measured, reference, strict=False))


def _rate(figure: Figure) -> float:
    return figure.requests_per_second


def _thrift(figure: Figure) -> float:
    return 1 / figure.processor_microseconds


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each figure is measured")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 64, 256, 1024])
    parser.add_argument("--protocols", nargs="+", default=["http", "https"], choices=["http", "https"])
    arguments = parser.parse_args()
    tune_collector()
    print(f"{'':<26}{'requests/s':>8} {'/ slots':>8} {f'/ at {REFERENCE}':>7}", end="")
    print(f" {'processor us':>12} {'/ slots':>8} {f'/ at {REFERENCE}':>7}")
    for protocol in arguments.protocols:
        with running_sink(len(BODY), tls=protocol == "https") as url:
            show(
                protocol,
                compare(httpx.URL(url), arguments.in_flight, seconds=arguments.seconds, rounds=arguments.rounds),
            )


if __name__ == "__main__":
    main()
