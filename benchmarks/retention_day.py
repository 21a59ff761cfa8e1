"""A day with retention on, in simulated time, through the real ledger and the real store: does the file stay small?

``python benchmarks/retention_day.py [--actions 5000000] [--keep-hours 6] [--directory DIR]``

So many actions are submitted evenly over a day; half of them belong to cases, one in fifty is given up, and its owner
is told. What was done successfully is kept for ``--keep-hours``, the rest for four times as long. Every six hours, and
at the end: the file, the write-ahead log, and what is kept: the size of a copy without any free room (VACUUM INTO).
"""

from __future__ import annotations

import argparse
import logging
import random
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

import structlog
import trio
import trio.testing
from connectord.config import RetentionSettings
from connectord.ledger.ledger import Ledger
from connectord.ledger.operations import SettleNotifications
from connectord.ledger.policies import PolicyBook
from connectord.ledger.submission import Submission
from connectord.lifecycle import events as on
from connectord.lifecycle.policy import Policy, RetryPolicy
from connectord.store.base import DeliveryReport, FileState
from connectord.store.executors import InlineExecutor
from connectord.store.sqlite_log import LogWriter
from connectord.store.sqlite_reader import SqliteReader
from connectord.store.sqlite_writer import SqliteWriter
from connectord.testing.simulated_clock import SimulatedClock
from connectord.upkeep import LogWatch, Retention, bound_of

AT_ONCE = 240
HOUR_MS = 3_600_000
MIB = 2**20


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actions", type=int, default=5_000_000)
    parser.add_argument("--keep-hours", type=int, default=6)
    parser.add_argument("--directory", type=Path, help="where the database is made")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    if options.directory is not None:
        options.directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="connectord-day-", dir=options.directory) as name:
        clock = trio.testing.MockClock(autojump_threshold=0)
        trio.run(live, Path(name) / "connectord.db", options, clock=clock)


async def live(path: Path, options: argparse.Namespace) -> None:
    """The day."""
    writer, reader, clock = SqliteWriter(path), SqliteReader(path), SimulatedClock()
    book = PolicyBook(1, {"sys": Policy(retry=RetryPolicy(limit=1))})
    ledger = Ledger(writer, executor=InlineExecutor(), clock=clock, rng=random.Random(7), policies=lambda: book)
    keep = options.keep_hours * HOUR_MS
    settings = RetentionSettings(done_successfully_ms=keep, not_done_successfully_ms=4 * keep)

    async def state() -> FileState:
        return reader.file_state()

    retention = Retention(ledger, clock, lambda: settings, state)
    log = LogWriter(path)
    writer.leave_log_to_another(bound_of(0))
    watch = LogWatch(ledger, clock, path, InlineExecutor(), state, log)
    began, worst = time.perf_counter(), 0.0
    async with trio.open_nursery() as nursery:
        await nursery.start(ledger.run)
        nursery.start_soon(retention.run)
        nursery.start_soon(watch.run)
        batches = max(1, options.actions // AT_ONCE)
        for number in range(batches):
            await one_batch(ledger, number)
            await trio.sleep(86_400 / batches)
            if (number + 1) % (batches // 4 or 1) == 0:
                worst = max(worst, report(path, reader, 24 * (number + 1) / batches, time.perf_counter() - began))
        nursery.cancel_scope.cancel()
    print(f"at most {worst:.2f} times what is kept")
    reader.close()
    log.close()
    writer.close()


async def one_batch(ledger: Ledger, number: int) -> None:
    """So many actions from their submission to their end, together."""
    submissions = [
        Submission(
            "sys",
            case_id=f"C-{number}-{place // 4}" if place % 2 else None,
            owner="anna@example.org",
            data={"invoice": number * AT_ONCE + place, "text": "some text of a usual length, as data has it"},
        )
        for place in range(AT_ONCE)
    ]
    actions = await ledger.submit(submissions, "user:bench")
    await ledger.claim("sys", AT_ONCE)
    async with trio.open_nursery() as nursery:
        for place, action in enumerate(actions):
            event: on.Event = on.SuccessReceived(digest="0" * 64, data={"invoice_no": f"R-{place}"})
            if place % 50 == 0:
                event = on.ConnectionFailed(1, "connection refused")
            nursery.start_soon(ledger.report, action.id, event, "lane")
    due = await ledger.perform(SettleNotifications([], AT_ONCE))
    delivered = [DeliveryReport(item.seq, item.row.owner, done=True) for item in due.items]
    await ledger.perform(SettleNotifications(delivered, 0))


def report(path: Path, reader: SqliteReader, hours: float, seconds: float) -> float:
    """Print a line, and give how many times what is kept the file and the log are."""
    state = reader.file_state()
    copy = path.with_name("kept.db")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
        actions = connection.execute("SELECT count(*) FROM actions").fetchone()[0]
    kept = copy.stat().st_size
    copy.unlink()
    times = (state.file_bytes + state.log_bytes) / kept
    print(
        f"{hours:5.1f} h: {actions:>9,} actions, {kept / MIB:7,.0f} MiB kept; file {state.file_bytes / MIB:7,.0f} MiB "
        f"({state.free_bytes / MIB:5,.0f} free), log {state.log_bytes / MIB:4,.0f} MiB: {times:.2f} times; "
        f"{seconds:,.0f} s so far",
        flush=True,
    )
    return times


if __name__ == "__main__":
    main()
