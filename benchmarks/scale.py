"""A daemon with a million actions pending and a million waiting: memory, start, questions, a reload that touches them.

``python benchmarks/scale.py [--pending 1000000] [--waiting 1000000] [--directory DIR] [--store DIR]``

The rows are made by SQL, with the history and the attempts that such actions have. Measured, each on the large store
and, where it says so, on an empty one beside it: the time from the process's start to its first answer; resident
memory; ``list`` and ``show`` (median and worst of 50); the full loop (submit, request, callback, closed); the reload
that lowers the retry limit, so that every pending action is closed (rule 10c), with an action submitted to another
system every 50 ms meanwhile: how long after its submission its attempt began, and how long ``list`` and ``show`` took.
``--directory`` should be on a disk.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import trio
from calling_back import running_system
from connectord.control.client import ControlClient
from connectord.errors import StoreTooNew
from connectord.store.sqlite_writer import SqliteWriter
from connectord.testing.daemon_process import DaemonProcess
from full_loop import memory

QUESTIONS = 50
RELOAD_SECONDS = 1800
FAR_MS = 30 * 86_400_000

_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count) "
_ID = "'01K' || :kind || printf('%022d', i)"
_BUILD = (
    _NUMBERS + "INSERT INTO actions (id, system, state, submitted_at, attempts, due_at, scheduled_at, backoff_step, "
    "limit_at_failure, error_at, error_message, deadline, data) "
    f"SELECT {_ID}, :system, :state, :now - i, 4, iif(:state = 'pending', :now + :far + i, NULL), "
    "iif(:state = 'pending', :now + :far + i, NULL), 4, 10, :now, 'connection refused', "
    "iif(:state = 'waiting', :now + :far + i, NULL), "
    "'{\"invoice\":' || i || ',\"text\":\"some text of a usual length\"}' FROM n",
    _NUMBERS + "INSERT INTO attempts (action_id, number, started_at, ended_at, outcome, message) "
    f"SELECT {_ID}, 1, :now, :now, 'not_connected', 'connection refused' FROM n",
    _NUMBERS + "INSERT INTO history (action_id, at, to_state, event, rules, why, who, config_version) "
    f"SELECT {_ID}, :now, 'pending', 'Submitted', '17', 'submitted', 'user:bench', 1 FROM n",
    _NUMBERS + "INSERT INTO history (action_id, at, from_state, to_state, event, rules, why, who, config_version) "
    f"SELECT {_ID}, :now, 'attempting', :state, 'ConnectionFailed', '7', 'connection failed; tried again later', "
    "'lane', 1 FROM n",
)


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pending", type=int, default=1_000_000)
    parser.add_argument("--waiting", type=int, default=1_000_000)
    parser.add_argument("--loop", type=int, default=3_000, help="actions in each round of the full loop")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", type=Path, help="where the databases are made")
    parser.add_argument("--store", type=Path, help="a directory where the rows are kept for the next time")
    options = parser.parse_args()
    if options.directory is not None:
        options.directory.mkdir(parents=True, exist_ok=True)
    # each calls back over kept connections, so each daemon has one of its own
    with (
        running_system() as port,
        running_system() as other,
        tempfile.TemporaryDirectory(prefix="connectord-scale-", dir=options.directory) as name,
    ):
        trio.run(measure, (port, other), Path(name), options)


async def measure(ports: tuple[int, int], directory: Path, options: argparse.Namespace) -> None:
    """All of it, in order."""
    # as an installed one starts: with byte code
    large, empty = (DaemonProcess(directory / name, {"PYTHONDONTWRITEBYTECODE": ""}) for name in ("large", "empty"))
    for daemon, port in zip((large, empty), ports, strict=True):
        (daemon.directory / "state").mkdir(parents=True)
        daemon.configure(configuration(daemon, port, limit=10))
    began = time.perf_counter()
    provide(large.directory / "state" / "connectord.db", options)
    size = (large.directory / "state" / "connectord.db").stat().st_size / 2**20
    print(f"{options.pending:,} pending, {options.waiting:,} waiting: {size:,.0f} MiB, made in {took(began):.0f} s")
    try:
        for daemon, what in ((empty, "empty"), (large, "large")):
            began = time.perf_counter()
            await daemon.start()
            tell_start(what, daemon, began)
        ask(large)
        await compare_loops(large, empty, options)
        await reload(large, ports[0])
        print(f"large, at the end: {memory(large.pid):.0f} MiB resident")
        large.kill()
        began = time.perf_counter()
        await large.start()
        tell_start("large, after a crash", large, began)
    finally:
        large.kill()
        empty.kill()


def tell_start(what: str, daemon: DaemonProcess, began: float) -> None:
    """Print how long it took until it answered."""
    print(
        f"{what}: start to first answer {took(began):.2f} s, {processor_seconds(daemon.pid):.2f} s of processor time, "
        f"{memory(daemon.pid):.0f} MiB resident",
        flush=True,
    )


def configuration(daemon: DaemonProcess, port: int, *, limit: int) -> str:
    """Three systems: one that answers, one that all the pending actions are for, one that all the waiting are for."""
    text = daemon.head().replace("[daemon]", '[daemon]\nlog_level = "error"')
    for name in ("sink", "depot", "slow"):
        text += f'[systems.{name}]\nadapter = "http"\nconcurrency = 64\ntimeout = "60d"\n'
        text += f"retry.limit = {limit if name == 'depot' else 10}\n"
        text += f'[systems.{name}.http]\nurl = "http://127.0.0.1:{port}/jobs"\n'
    return text


def provide(path: Path, options: argparse.Namespace) -> None:
    """Make the rows, or take those that were kept."""
    if options.store is None:
        build(path, options.pending, options.waiting)
        return
    kept = options.store / f"{options.pending}-{options.waiting}.db"
    if not is_usable(kept):
        options.store.mkdir(parents=True, exist_ok=True)
        building = kept.with_suffix(".new")
        building.unlink(missing_ok=True)
        build(building, options.pending, options.waiting)
        building.rename(kept)
    shutil.copyfile(kept, path)
    path.chmod(0o600)
    os.sync()


def is_usable(kept: Path) -> bool:
    """Whether there is a store that today's schema fits, or can be brought to."""
    try:
        if kept.exists():
            SqliteWriter(kept).close()
            return True
    except StoreTooNew:
        kept.unlink()
    return False


def build(path: Path, pending: int, waiting: int) -> None:
    """Make the rows, as quickly as SQLite can."""
    SqliteWriter(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -200000")
        connection.execute("BEGIN")
        for kind, system, state, count in (("A", "depot", "pending", pending), ("B", "slow", "waiting", waiting)):
            known = {"kind": kind, "system": system, "state": state, "count": count, "far": FAR_MS, "now": now_ms()}
            for sql in _BUILD if count else ():
                connection.execute(sql, known)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def ask(daemon: DaemonProcess) -> None:
    """How long ``list`` and ``show`` take."""
    with ControlClient(daemon.socket) as client:
        page = client.call("list", {})["actions"]
        questions: dict[str, tuple[str, dict[str, Any]]] = {
            "list": ("list", {}),
            "list --state waiting": ("list", {"state": "waiting"}),
            "list --system depot": ("list", {"system": "depot"}),
            "list --system slow --state waiting": ("list", {"system": "slow", "state": "waiting"}),
            "show": ("show", {"id": page[0]["id"]}),
            "status": ("status", {}),
        }
        for name, (method, params) in questions.items():
            times = []
            for _ in range(QUESTIONS):
                began = time.perf_counter()
                client.call(method, params)
                times.append(took(began) * 1000)
            print(f"{name:<40} {statistics.median(times):7.1f} ms, worst {max(times):7.1f} ms", flush=True)


async def compare_loops(large: DaemonProcess, empty: DaemonProcess, options: argparse.Namespace) -> None:
    """The full loop on both, round by round."""
    ratios, rates = [], []
    for daemon in (large, empty):
        # the loop's end is seen by the counts, and there is something to do in both of them
        await warm(daemon)
    for _ in range(options.rounds):
        one = await loop(large, options.loop)
        other = await loop(empty, options.loop)
        ratios.append(one / other)
        rates.append((one, other))
    one, other = (statistics.median(rate[side] for rate in rates) for side in (0, 1))
    print(
        f"full loop: {one:,.0f} a second, {other:,.0f} on the empty store: {statistics.median(ratios):.2f}", flush=True
    )


async def warm(daemon: DaemonProcess) -> None:
    """A few actions, so that connections are open."""
    await loop(daemon, 300)


async def loop(daemon: DaemonProcess, count: int) -> float:
    """So many actions through ``sink``; how many a second."""
    began = time.perf_counter()
    for start in range(0, count, 1000):
        numbers = range(start, min(start + 1000, count))
        await daemon.call("submit_many", actions=[{"system": "sink", "data": {"n": number}} for number in numbers])
    while True:
        systems = {each["name"]: each for each in (await daemon.call("systems"))["systems"]}
        if not systems["sink"]["pending"] and not systems["sink"]["waiting"] and not systems["sink"]["in_flight"]:
            return count / took(began)
        await trio.sleep(0.05)


async def reload(daemon: DaemonProcess, port: int) -> None:
    """Lower the limit of ``depot`` to what its actions were tried already, and see who waits meanwhile."""
    daemon.configure(configuration(daemon, port, limit=4))
    plan: dict[str, int] = {}

    async def foretell() -> None:
        plan.update(await reload_now(daemon, plan=True))

    began = time.perf_counter()
    await delays(daemon, foretell)
    print(f"reload --plan: {took(began) - 1:.1f} s, {plan['close']:,} to be closed", flush=True)

    async def nothing() -> None:
        await trio.sleep(5)

    quiet = await delays(daemon, nothing)
    print(f"attempts before the reload began within {percentiles(quiet)} of their submission", flush=True)
    closed = 0

    async def apply() -> None:
        nonlocal closed
        closed = (await reload_now(daemon))["close"]

    began, worked = time.perf_counter(), processor_seconds(daemon.pid)
    busy = await delays(daemon, apply)
    seconds, worked = took(began) - 1, processor_seconds(daemon.pid) - worked
    print(
        f"reload: {seconds:.1f} s, {worked:.1f} s of the daemon's processor time, {closed:,} closed "
        f"({closed / seconds:,.0f} a second), load {os.getloadavg()[0]:.0f}"
    )
    print(f"attempts during the reload began within {percentiles(busy)} of their submission", flush=True)


async def reload_now(daemon: DaemonProcess, **params: Any) -> Any:
    """What a reload says of the actions that it concerns, however long it takes."""

    def ask() -> Any:
        with ControlClient(daemon.socket, RELOAD_SECONDS) as client:
            return client.call("reload", params)["plan"]["actions"]

    return await trio.to_thread.run_sync(ask)


async def delays(daemon: DaemonProcess, work: Callable[[], Awaitable[Any]]) -> list[float]:
    """Submit an action every 50 ms while ``work`` is done; how long after its submission each attempt began (ms).

    Prints how long ``list`` and ``show`` took meanwhile.
    """
    sent: dict[str, int] = {}
    asked: list[float] = []
    async with trio.open_nursery() as nursery:

        async def submit() -> None:
            while True:
                at = now_ms()
                sent[(await daemon.call("submit", system="sink", data={}))["id"]] = at
                await trio.sleep(0.05)

        async def look() -> None:
            while True:
                for method, params in (("list", {}), ("show", {"id": next(reversed(sent), None)})):
                    if params.get("id", "") is not None:
                        began = time.perf_counter()
                        await daemon.call(method, **params)
                        asked.append(took(began) * 1000)
                await trio.sleep(0.1)

        nursery.start_soon(submit)
        nursery.start_soon(look)
        await work()
        nursery.cancel_scope.cancel()
    await trio.sleep(1)
    found = []
    for action_id, at in sent.items():
        attempts = (await daemon.call("attempts", id=action_id))["attempts"]
        found.append(datetime.fromisoformat(attempts[0]["started_at"]).timestamp() * 1000 - at)
    print(f"`list` and `show` meanwhile: {percentiles(asked)}")
    return found


def percentiles(times: list[float]) -> str:
    """Median, 99th percentile and worst, in milliseconds."""
    ordered = sorted(times)
    middle, late = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    return f"{middle:.0f} ms (median), {late:.0f} ms (99 %), {ordered[-1]:.0f} ms (worst of {len(ordered)})"


def processor_seconds(pid: int) -> float:
    """How much processor time a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def now_ms() -> int:
    """The time."""
    return time.time_ns() // 1_000_000


def took(began: float) -> float:
    """Seconds since ``began``."""
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
