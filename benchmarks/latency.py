"""How long an action waits: from its submission to its first byte at the system, and a retry from its due time.

``python benchmarks/latency.py [--idle 300] [--rate 1000] [--seconds 5] [--per-call 1] [--retries 300]``

The daemon is a process of its own, and so is the system (``calling_back.c``, which needs a C compiler); it writes
down when each request's bytes were received. Printed are the median and the 99th percentile in milliseconds.

========= ===========================================================================================================
``idle``  one submission at a time; counted from before it is sent to the control socket
``busy``  submissions at ``--rate``, ``--per-call`` of them in each call, as they are due whether the daemon keeps up
          or not; counted from the time at which each was due to be sent
``timer`` the system refuses every first attempt; counted from the time at which the second one is due
========= ===========================================================================================================
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import trio
from calling_back import System, compiled_system
from connectord.control.client import ControlClient
from connectord.testing.daemon_process import DaemonProcess

RETRY_DELAY_MS = 300
PATIENCE_SECONDS = 60


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idle", type=int, default=300, help="how many submissions, one at a time")
    parser.add_argument("--rate", type=int, default=1000, help="submissions a second")
    parser.add_argument("--seconds", type=float, default=5.0, help="for how long")
    parser.add_argument("--per-call", type=int, default=1, help="how many of them in each call")
    parser.add_argument("--retries", type=int, default=300, help="how many actions that are tried again")
    options = parser.parse_args()
    print(f"{'milliseconds':<52}{'median':>8}{'99 %':>8}{'longest':>9}")
    with tempfile.TemporaryDirectory(prefix="connectord-bench-") as directory:
        with compiled_system("log") as system:
            trio.run(measure_submissions, Path(directory) / "busy", system, options)
        with compiled_system("log", "refuse") as system:
            trio.run(measure_retries, Path(directory) / "timer", system, options.retries)


async def start(directory: Path, port: int) -> DaemonProcess:
    """A daemon with one system, which says nothing but errors."""
    directory.mkdir()
    daemon = DaemonProcess(directory)
    text = daemon.head().replace("[daemon]", '[daemon]\nlog_level = "error"')
    text += '[systems.sink]\nadapter = "http"\nconcurrency = 64\ncircuit = false\n'
    text += f'retry.delay = "{RETRY_DELAY_MS}ms"\nretry.jitter = 0\n'
    text += f'[systems.sink.http]\nurl = "http://127.0.0.1:{port}/jobs"\n'
    daemon.configure(text)
    await daemon.start()
    return daemon


async def measure_submissions(directory: Path, system: System, options: argparse.Namespace) -> None:
    """Idle, then busy."""
    daemon = await start(directory, system.port)
    try:
        sent = await trio.to_thread.run_sync(submit_singly, daemon.socket, options.idle)
        arrived = await arrivals(system.log, options.idle)
        show("idle: submission to first byte", [arrived[1, action] - at for action, at in sent.items()])
        sent = await submit_at_rate(daemon.socket, options)
        arrived = await arrivals(system.log, len(sent))
        what = f"busy: the same at {options.rate:,} a second, {options.per_call} in each call"
        show(what, [arrived[1, action] - at for action, at in sent.items()])
    finally:
        daemon.kill()


async def measure_retries(directory: Path, system: System, count: int) -> None:
    """How late second attempts come."""
    daemon = await start(directory, system.port)
    try:
        await trio.to_thread.run_sync(submit_singly, daemon.socket, count)
        arrived = await arrivals(system.log, 2 * count)
    finally:
        daemon.kill()
    with sqlite3.connect(f"file:{directory}/state/connectord.db?mode=ro", uri=True) as database:
        failed = database.execute("SELECT action_id, ended_at FROM attempts WHERE number = 1").fetchall()
    database.close()
    late = [arrived[2, action] - (ended_at + RETRY_DELAY_MS) * 1000 for action, ended_at in failed]
    show("timer: a retry after its due time", late)


def submit_singly(socket: Path, count: int) -> dict[str, int]:
    """When each action was submitted, in microseconds since the epoch."""
    sent: dict[str, int] = {}
    with ControlClient(socket) as client:
        for number in range(count):
            at = now_us()
            action = client.call("submit", {"system": "sink", "data": {"n": number}})
            sent[action["id"]] = at
            time.sleep(0.015)
    return sent


async def submit_at_rate(socket: Path, options: argparse.Namespace) -> dict[str, int]:
    """When each action was due to be submitted. Replies are read beside, so nothing waits for them."""
    due: dict[int, int] = {}
    sent: dict[str, int] = {}
    calls = int(options.rate * options.seconds / options.per_call)
    stream = await trio.open_unix_socket(str(socket))

    async def write() -> None:
        began = now_us()
        for number in range(calls):
            due[number] = began + number * options.per_call * 1_000_000 // options.rate
            await trio.sleep(max(due[number] - now_us(), 0) / 1e6)
            actions = [{"system": "sink", "data": {"n": number}}] * options.per_call
            request = {"jsonrpc": "2.0", "id": number, "method": "submit_many", "params": {"actions": actions}}
            await stream.send_all(json.dumps(request).encode() + b"\n")

    async with stream, trio.open_nursery() as nursery:
        nursery.start_soon(write)
        buffer = b""
        while len(sent) < calls * options.per_call:
            chunk = bytes(await stream.receive_some(65536))
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                reply = json.loads(line)
                sent.update((action["id"], due[reply["id"]]) for action in reply["result"]["actions"])
    return sent


async def arrivals(log: IO[str], count: int) -> dict[tuple[int, str], int]:
    """When so many requests came, by attempt and action, in microseconds since the epoch."""
    arrived: dict[tuple[int, str], int] = {}
    with trio.fail_after(PATIENCE_SECONDS):
        rest = ""
        while len(arrived) < count:
            *lines, rest = (rest + log.read()).split("\n")
            for line in lines:
                at, attempt, action = line.split()
                arrived[int(attempt), action] = int(at)
            await trio.sleep(0.05)
    return arrived


def now_us() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000


def show(what: str, microseconds: Sequence[int]) -> None:
    """One line of the table."""
    ordered = sorted(each / 1000 for each in microseconds)
    high = ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)]
    print(f"{what:<52}{statistics.median(ordered):>8.1f}{high:>8.1f}{ordered[-1]:>9.1f}", flush=True)


if __name__ == "__main__":
    main()
