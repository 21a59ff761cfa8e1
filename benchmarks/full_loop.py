"""The full loop, on loopback: submit, attempt recorded, request out, taken, callback in, closed. All of it durable.

``python benchmarks/full_loop.py [--actions 3000] [--rounds 5] [--in-flight 256] [--backlog 100000] [--metrics]
[--against DIR]``

The daemon is a process of its own, and so is the system that plays along (``calling_back.py``). Beside the loop it
measures the bare outbound half on stock httpx, a client for each request in flight, which keeps nothing and hears of
no callback: the best that stock httpx does. Both are measured once in every round, so that what else the machine does
falls on both alike; printed are medians, and ratios taken within their rounds. Processor time is that of the daemon,
or of the process with the clients, user and system together. At the end: what a backlog costs in memory.

``--metrics`` compares something else: a daemon that is scraped once a second with one that has no metrics, in turns.
``--against`` names a checkout of another version. Its daemon is measured in the same rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import trio
from calling_back import running_system
from connectord.running import tune_collector
from connectord.testing.daemon_process import DaemonProcess
from peers.processes import free_port

WARM_UP = 500
SUBMITTED_AT_ONCE = 1000
MICROSECONDS = 1e6


@dataclass(frozen=True, slots=True)
class Figure:
    """What one round came to, for one request or one action."""

    per_second: float
    processor_microseconds: float


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actions", type=int, default=3000, help="how many in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--backlog", type=int, default=100_000)
    parser.add_argument("--metrics", action="store_true", help="what metrics cost, scraped once a second")
    parser.add_argument("--against", type=Path, help="a checkout of another version")
    options = parser.parse_args()
    tune_collector()  # for the half that runs here, as the daemon does for the loop
    with running_system() as port, tempfile.TemporaryDirectory(prefix="connectord-bench-") as directory:
        trio.run(compare_metrics if options.metrics else compare, port, Path(directory), options)


async def compare_metrics(port: int, directory: Path, options: argparse.Namespace) -> None:
    """Measure a daemon with metrics and one without, round after round, each first in every other one."""
    bind = f"127.0.0.1:{free_port()}"
    plain = await start_daemon(directory / "plain", port, options.in_flight)
    measured = await start_daemon(directory / "measured", port, options.in_flight, f'[metrics]\nbind = "{bind}"\n')
    figures: dict[DaemonProcess, list[Figure]] = {plain: [], measured: []}
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scrape, f"http://{bind}/metrics")
            for daemon in figures:
                await run_loop(daemon, WARM_UP)
            for number in range(options.rounds):
                for daemon in (plain, measured) if number % 2 else (measured, plain):
                    figures[daemon].append(await measure_loop(daemon, options.actions))
            nursery.cancel_scope.cancel()
    finally:
        plain.kill()
        measured.kill()
    rounds = list(zip(figures[plain], figures[measured], strict=True))
    for what, cost in (
        ("processor us an action, without metrics", [without.processor_microseconds for without, _ in rounds]),
        ("processor us an action, scraped once a second", [scraped.processor_microseconds for _, scraped in rounds]),
        ("ratio of processor time", [b.processor_microseconds / a.processor_microseconds for a, b in rounds]),
        ("ratio of actions a second", [b.per_second / a.per_second for a, b in rounds]),
    ):
        print(f"{what:<54}{statistics.median(cost):>10.3f}   from {min(cost):.3f} to {max(cost):.3f}", flush=True)


async def scrape(url: str) -> None:
    """Scrape once a second, until cancelled."""
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            (await client.get(url)).raise_for_status()
            await trio.sleep(1)


async def compare(port: int, directory: Path, options: argparse.Namespace) -> None:
    """Measure round after round, then the memory."""
    halves, loops, others = [], [], []
    daemon = await start_daemon(directory / "this", port, options.in_flight)
    other = None
    if options.against is not None:
        other = await start_daemon(directory / "other", port, options.in_flight, environ=environ_of(options.against))
    try:
        await run_loop(daemon, WARM_UP)
        if other is not None:
            await run_loop(other, WARM_UP)
        for _ in range(options.rounds):
            halves.append(await measure_stock(port, options.actions, options.in_flight))
            loops.append(await measure_loop(daemon, options.actions))
            if other is not None:
                others.append(await measure_loop(other, options.actions))
        show(halves, loops, others)
        if options.backlog:
            await show_memory(daemon, options.backlog)
    finally:
        daemon.kill()
        if other is not None:
            other.kill()


async def show_memory(daemon: DaemonProcess, backlog: int) -> None:
    """What so many pending actions cost."""
    empty = memory(daemon.pid)
    await daemon.call("pause", system="sink")
    await submit(daemon, backlog)
    full = memory(daemon.pid)
    print(f"memory: {empty:.1f} MiB with nothing pending, {full:.1f} MiB with {backlog:,} pending")


def show(halves: list[Figure], loops: list[Figure], others: list[Figure]) -> None:
    """Medians, and the loop as a multiple of the bare half, and of the other version's loop."""
    print(f"{'':<54}{'a second':>10}{'processor us':>14}")
    for what, figures in (
        ("bare outbound half, stock httpx, a client per slot", halves),
        ("full loop through the daemon, durable", loops),
        ("full loop through the other version's daemon", others),
    ):
        if figures:
            rate = statistics.median(figure.per_second for figure in figures)
            cost = statistics.median(figure.processor_microseconds for figure in figures)
            print(f"{what:<54}{rate:>10,.0f}{cost:>14,.0f}")
    for what, figures in (("the bare half", halves), ("the other version's loop", others)):
        if figures:
            rounds = list(zip(figures, loops, strict=True))
            rate = statistics.median(loop.per_second / each.per_second for each, loop in rounds)
            cost = statistics.median(loop.processor_microseconds / each.processor_microseconds for each, loop in rounds)
            print(f"{f'the loop / {what}':<54}{rate:>10.2f}{cost:>14.2f}", flush=True)


async def measure_stock(port: int, count: int, in_flight: int) -> Figure:
    """Stock httpx, one client for each request in flight."""
    left = iter(range(count))
    body = json.dumps({"action": {"id": "x", "data": {"n": 1}}, "callback_url": None}).encode()
    context = httpx.create_ssl_context(verify=False)
    url = f"http://127.0.0.1:{port}/jobs"

    async def work() -> None:
        async with httpx.AsyncClient(trust_env=False, verify=context) as client:
            (await client.post(url, content=body)).raise_for_status()  # opens the connection
            warm.set()
            await begin.wait()
            for _ in left:
                await client.post(url, content=body)

    begin = trio.Event()
    async with trio.open_nursery() as nursery:
        for _ in range(in_flight):
            warm = trio.Event()
            nursery.start_soon(work)
            await warm.wait()
        began_at, processor_began_at = time.perf_counter(), time.process_time()
        begin.set()
    took, processor_took = time.perf_counter() - began_at, time.process_time() - processor_began_at
    return Figure(count / took, processor_took / count * MICROSECONDS)


async def start_daemon(
    directory: Path, port: int, in_flight: int, more: str = "", environ: dict[str, str] | None = None
) -> DaemonProcess:
    """A daemon with one system, which says nothing but errors; ``more`` is added to its configuration."""
    directory.mkdir(exist_ok=True)
    daemon = DaemonProcess(directory, environ)
    text = daemon.head().replace("[daemon]", '[daemon]\nlog_level = "error"')
    text += f'[systems.sink]\nadapter = "http"\nconcurrency = {in_flight}\n'
    text += f'[systems.sink.http]\nurl = "http://127.0.0.1:{port}/jobs"\n'
    daemon.configure(text + more)
    await daemon.start()
    return daemon


def environ_of(checkout: Path) -> dict[str, str]:
    """What makes an interpreter take the modules of another checkout."""
    places = ["daemon", "schema", "plugins/connectord-http/src"]
    return {"PYTHONPATH": os.pathsep.join(str(checkout.resolve() / place) for place in places)}


async def measure_loop(daemon: DaemonProcess, count: int) -> Figure:
    """So many actions through the daemon, from submission to the last one closed."""
    began_at, processor_began_at = time.perf_counter(), processor_seconds(daemon.pid)
    await run_loop(daemon, count)
    took, processor_took = time.perf_counter() - began_at, processor_seconds(daemon.pid) - processor_began_at
    return Figure(count / took, processor_took / count * MICROSECONDS)


async def run_loop(daemon: DaemonProcess, count: int) -> None:
    """Submit so many actions, and wait until nothing is left to do."""
    await submit(daemon, count)
    while any((await daemon.call("status"))["counts"].values()):
        await trio.sleep(0.1)  # being asked costs the daemon, too


async def submit(daemon: DaemonProcess, count: int) -> None:
    """Submit so many actions, a thousand at a time."""
    for start in range(0, count, SUBMITTED_AT_ONCE):
        numbers = range(start, min(start + SUBMITTED_AT_ONCE, count))
        await daemon.call("submit_many", actions=[{"system": "sink", "data": {"n": number}} for number in numbers])


def processor_seconds(pid: int) -> float:
    """Processor time of a process so far, user and system."""
    # the name in parentheses may hold spaces; the 14th and 15th fields are what counts
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    """Resident memory of a process in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
