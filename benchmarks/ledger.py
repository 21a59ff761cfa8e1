"""The ledger against raw SQLite group commit of the same rows, and against itself on a full store.

``python benchmarks/ledger.py [--actions 2000] [--batches 50 200] [--rounds 3] [--rows 500000]``

One process, no network: actions are submitted, claimed, taken by the system and closed by a response, in batches of
so many, each batch one transaction with ``synchronous=FULL``. What the ledger wrote is kept, and written again into a
fresh database by nothing but sqlite3: the same rows in the same transactions, once as ``executemany`` does it, a
statement for each row, and once with the ledger's own statements of many rows. A transition is one change of an
action's state, four for each. Everything is measured once in every round; printed are medians, and ratios taken within
their rounds.

``--rows`` is how many actions a full store has (built by SQL: a quarter each pending and waiting, half of them
closed, a row of history each; 5 million take some minutes and 3 GB). There, too, the query for what is due is timed.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, cast
from unittest.mock import patch

import structlog
import trio
from connectord.clock import SystemClock
from connectord.ledger.ledger import Ledger
from connectord.ledger.policies import PolicyBook
from connectord.ledger.submission import Submission
from connectord.lifecycle import events as on
from connectord.running import tune_collector
from connectord.store.executors import WriterThread
from connectord.store.sqlite_connection import open_writer
from connectord.store.sqlite_many import RowStatement
from connectord.store.sqlite_writer import SqliteWriter
from outcome import Value

TRANSITIONS = 4
"""For each action: submitted, attempted, taken, closed."""

WRITES = ("INSERT", "UPDATE")
BY_ROW, BY_MANY = "raw SQLite, row by row", "raw SQLite, by many"
run_by_many = RowStatement.run
FULL = "01JA0000000000000000000000"
"""The ids of a full store lie before all others."""


Written: TypeAlias = "list[list[tuple[RowStatement, Sequence[Any]]]]"
"""For each transaction, its statements and their rows."""


@dataclass
class Recorder:
    """Stands in the connection's place, and keeps what is written through it."""

    connection: sqlite3.Connection
    written: Written = field(default_factory=list)

    def execute(self, sql: str, values: Any = ()) -> sqlite3.Cursor:
        if sql.startswith("BEGIN"):
            self.written.append([])
        # what writes is a statement of many rows in all that this drives the ledger to
        assert not sql.startswith(WRITES)
        return self.connection.execute(sql, values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actions", type=int, default=2000, help="how many in each measurement")
    parser.add_argument("--batches", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=500_000, help="how many actions a full store has")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    tune_collector()  # as in the daemon
    with tempfile.TemporaryDirectory(prefix="connectord-bench-") as directory:
        full = Path(directory) / "full.db"
        fill(full, options.rows)
        print(f"{'transitions a second':<40}" + "".join(f"{f'batches of {batch}':>16}" for batch in options.batches))
        compare(Path(directory), full, options)
        show_due_query(full, options.rows)


def compare(directory: Path, full: Path, options: argparse.Namespace) -> None:
    """The ledger, raw SQLite, and the ledger on a full store."""
    rates: dict[str, list[list[float]]] = {"ledger": [], BY_ROW: [], BY_MANY: [], "ledger, full store": []}
    for batch in options.batches:
        ours, by_row, by_many, filled = (list[float]() for _ in range(4))
        for number in range(options.rounds):
            rate, written = measure_ledger(directory / f"ledger-{batch}-{number}.db", options.actions, batch)
            ours.append(rate)
            by_row.append(measure_raw(directory / f"row-{batch}-{number}.db", written, options.actions, run_by_row))
            by_many.append(measure_raw(directory / f"many-{batch}-{number}.db", written, options.actions, run_by_many))
            filled.append(measure_ledger(full, options.actions, batch)[0])
        for name, measured in zip(rates, (ours, by_row, by_many, filled), strict=True):
            rates[name].append(measured)
    for name, columns in rates.items():
        print(f"{name:<40}" + "".join(f"{statistics.median(column):>16,.0f}" for column in columns))
    for what, of, to in (
        (f"ledger / {BY_ROW}", "ledger", BY_ROW),
        (f"ledger / {BY_MANY}", "ledger", BY_MANY),
        (f"{options.rows:,} rows / none", "ledger, full store", "ledger"),
    ):
        pairs = zip(rates[of], rates[to], strict=True)
        ratios = [statistics.median(one / other for one, other in zip(*pair, strict=True)) for pair in pairs]
        print(f"{what:<40}" + "".join(f"{ratio:>16.2f}" for ratio in ratios), flush=True)


def measure_ledger(path: Path, actions: int, batch: int) -> tuple[float, Written]:
    """Transitions a second, and what was written."""
    with recording_store(path) as (store, recorder):
        return trio.run(run_ledger, store, actions, batch), recorder.written


@contextmanager
def recording_store(path: Path) -> Iterator[tuple[SqliteWriter, Recorder]]:
    store = SqliteWriter(path)
    recorder = Recorder(store._connection)  # noqa: SLF001 - what goes to SQLite is what this is about
    store._connection = cast("sqlite3.Connection", recorder)  # noqa: SLF001

    def run(self: RowStatement, connection: Any, rows: Sequence[Any]) -> None:
        connection.written[-1].append((self, rows))
        run_by_many(self, connection.connection, rows)

    with patch.object(RowStatement, "run", run):
        yield store, recorder
    store.close()


async def run_ledger(store: SqliteWriter, actions: int, batch: int) -> float:
    """Drive so many actions through a ledger, ``batch`` events in each transaction.

    What attempts and callbacks report comes from tasks that are there already, as a lane's are.
    """
    book = PolicyBook(1)
    ledger = Ledger(store, executor=WriterThread(), clock=SystemClock(), rng=random.Random(7), policies=lambda: book)
    async with trio.open_nursery() as nursery:
        await nursery.start(ledger.run)
        crew = Crew(ledger)
        for _ in range(batch):
            nursery.start_soon(crew.report)
        numbers = range(0, actions, batch)
        wanted = [[Submission("bench", data={"n": number}) for _ in range(batch)] for number in numbers]
        began = time.perf_counter()
        for submissions in wanted:
            submitted = await ledger.submit(submissions, "bench")
            claimed = await ledger.claim("bench", batch)
            assert len(claimed.attempts) == batch
            await crew.report_all([action.id for action in submitted])
        took = time.perf_counter() - began
        nursery.cancel_scope.cancel()
    return actions * TRANSITIONS / took


class Crew:
    """Reports what comes of actions, each of which has a task: the system has taken it, and has done it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._idle: list[trio.lowlevel.Task] = []
        self._left = 0
        self._all_done = trio.Event()

    async def report_all(self, ids: list[str]) -> None:
        """Returns when everything is on disk."""
        self._left, self._all_done = len(ids), trio.Event()
        idle, self._idle = self._idle, []
        for task, action_id in zip(idle, ids, strict=True):
            trio.lowlevel.reschedule(task, Value(action_id))
        await self._all_done.wait()

    async def report(self) -> None:
        """One of the tasks."""
        while True:
            self._idle.append(trio.lowlevel.current_task())
            action_id = await trio.lowlevel.wait_task_rescheduled(_give_up)
            await self._ledger.report(action_id, on.TakenBySystem(1, None), "system:bench")
            await self._ledger.apply(action_id, on.SuccessReceived("x", {"ok": True}), "callback")
            self._left -= 1
            if not self._left:
                self._all_done.set()


def _give_up(raise_cancel: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.SUCCEEDED


def measure_raw(
    path: Path, written: Written, actions: int, run: Callable[[RowStatement, sqlite3.Connection, Sequence[Any]], object]
) -> float:
    """Transitions a second of the same rows, written by nothing but sqlite3."""
    connection = open_writer(path)
    began = time.perf_counter()
    for transaction in written:
        connection.execute("BEGIN IMMEDIATE")
        for statement, rows in transaction:
            run(statement, connection, rows)
        connection.execute("COMMIT")
    took = time.perf_counter() - began
    connection.close()
    return actions * TRANSITIONS / took


def run_by_row(statement: RowStatement, connection: sqlite3.Connection, rows: Sequence[Any]) -> None:
    """As most would write them."""
    connection.executemany(statement.text(1), rows)


def fill(path: Path, rows: int) -> None:
    """So many actions: of four, one pending in a year, one waiting for a year, and two closed."""
    connection = open_writer(path)
    year = SystemClock().now_ms() + 365 * 86_400_000
    connection.execute("BEGIN")
    connection.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
        "INSERT INTO actions (id, system, state, submitted_at, attempts, due_at, scheduled_at, deadline, "
        "resolution, closed_at, data) SELECT substr(?, 1, 16) || printf('%010d', i), 'bench', "
        "CASE i % 4 WHEN 0 THEN 'pending' WHEN 1 THEN 'waiting' ELSE 'closed' END, i, 1, "
        "iif(i % 4 = 0, ? + i, NULL), iif(i % 4 = 0, ? + i, NULL), iif(i % 4 = 1, ? + i, NULL), "
        "iif(i % 4 > 1, 'done_successfully', NULL), iif(i % 4 > 1, i, NULL), '{\"n\": 1}' FROM n",
        (rows, FULL, year, year, year),
    )
    connection.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
        "INSERT INTO history (seq, action_id, at, to_state, event, rules, why, who) "
        "SELECT i, substr(?, 1, 16) || printf('%010d', i), i, 'pending', 'Submitted', '16', 'submitted', 'x' FROM n",
        (rows, FULL),
    )
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def show_due_query(path: Path, rows: int) -> None:
    """How long the query for what is due takes, with 64 due."""
    store = SqliteWriter(path)
    database = store._connection  # noqa: SLF001
    database.execute(
        "UPDATE actions SET due_at = 1 WHERE id IN (SELECT id FROM actions WHERE state = 'pending' LIMIT 64)"
    )
    now, took = SystemClock().now_ms(), []
    for _ in range(50):
        began = time.perf_counter()
        assert len(store.due_actions("bench", now, 64)) == 64
        store.next_due_at("bench")
        took.append((time.perf_counter() - began) * 1000)
    store.close()
    print(f"due query at {rows:,} rows, 64 due: {statistics.median(took):.2f} ms, the fastest {min(took):.2f} ms")


if __name__ == "__main__":
    main()
