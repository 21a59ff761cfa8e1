"""The power goes: every state of the disk that may be left is opened, and compared with what was promised by then.

A real daemon runs under load while strace writes down what it does to its files, and what it says to the outside. From
that every moment is gone through: nothing of what was not synced is kept, all of it, all but one write, or any part of
it, sector by sector (``make prove-power-loss``).
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import structlog
import trio
from connectord.callbacks import TokenKey
from connectord.clock import SystemClock
from connectord.ledger.ledger import Ledger
from connectord.ledger.policies import PolicyBook
from connectord.lifecycle.policy import Policy
from connectord.store.executors import InlineExecutor
from connectord.store.sqlite_writer import SqliteWriter
from connectord.testing.daemon_process import DaemonProcess
from connectord.testing.fake_system import FakeSystem
from helpers.audit import audit
from helpers.load import Load
from helpers.ports import lasting_port
from helpers.power_loss import Disk, Image
from helpers.programs import require_program
from helpers.promises import Promises
from helpers.proofs import size
from helpers.syscalls import SystemCall, read_calls, recording

STATES = size("STATES", 80)
SEED = size("SEED", 1)
ACTIONS = size("ACTIONS", 12)

# the daemon as it is, but for how often it writes the WAL back: with the real sizes it never would in so short a time
OFTEN = """
from connectord.upkeep import log_watch
log_watch.LEAST_BOUND = log_watch.MOST_BOUND = 131072
log_watch.LogWatch.__init__.__kwdefaults__["dose_bytes"] = 32768
"""
CARELESS = """
from connectord.store import sqlite_connection
careful = sqlite_connection.prepare_writer
def prepare_writer(connection, path=None):
    database = careful(connection, path)
    connection.execute("PRAGMA synchronous = NORMAL")
    return database
sqlite_connection.prepare_writer = prepare_writer
"""


@dataclass(slots=True)
class Findings:
    """What came of it."""

    states: int = 0
    lost: list[str] = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)
    promises: int = 0


async def test_no_power_loss_loses_or_corrupts_anything(tmp_path: Path, fake: FakeSystem) -> None:
    calls = await record(tmp_path / "run", fake, OFTEN)
    assert _times_begun_anew(calls) > 3
    found = await replay(calls, tmp_path, STATES)
    print(
        f"\n{found.states} states after {len(calls)} system calls with {found.promises} promises: "
        f"{len(found.lost)} lost, {len(found.corrupt)} corrupt"
    )
    assert found.lost == []
    assert found.corrupt == []
    assert found.states >= STATES
    assert found.promises > ACTIONS


async def test_the_proof_finds_what_synchronous_normal_would_lose(tmp_path: Path, fake: FakeSystem) -> None:
    calls = await record(tmp_path / "run", fake, CARELESS)
    found = await replay(calls, tmp_path, 40)
    assert found.lost
    assert found.corrupt == []


async def record(directory: Path, fake: FakeSystem, patch: str) -> list[SystemCall]:
    """Three lives of one daemon under load: one is stopped, two are killed."""
    require_program("strace")
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(patch)
    daemon = DaemonProcess(directory, {"PYTHONPATH": str(directory)})
    load = Load(daemon, fake, lasting_port(), random.Random(SEED))
    load.configure(3)
    outputs = [directory / f"calls-{life}" for life in range(3)]
    try:
        for life, output in enumerate(outputs):
            daemon.prefix = recording(output)
            await daemon.start()
            load.stopping = False
            async with trio.open_nursery() as nursery:
                nursery.start_soon(load.run)
                with trio.fail_after(60):
                    while len(load.acknowledged) < (life + 1) * ACTIONS / 3:
                        await trio.sleep(0.01)
                if life != 1:
                    daemon.kill()
                    nursery.cancel_scope.cancel()
                load.stopping = True
            if life == 1:
                assert await daemon.stop() == 0
    finally:
        daemon.kill()
    return [call for output in outputs for call in read_calls(output)]


def _times_begun_anew(calls: list[SystemCall]) -> int:
    """How often the WAL was written from its beginning: all of it had been written back by then."""
    return sum(
        call.name == "pwrite64" and (call.arguments[0].path or "").endswith("-wal") and call.arguments[3].text == "0"
        for call in calls
    )


async def replay(calls: list[SystemCall], tmp_path: Path, wanted: int) -> Findings:
    """Open ``wanted`` states or some more, spread over all moments."""
    found = Findings()
    state = tmp_path / "run" / "state"
    moments = sum(1 for _ in _moments(calls, state))
    each = max(1, -(-wanted // moments))
    step = max(1, moments * each // wanted)
    rng = random.Random(SEED)
    for number, (disk, promises) in enumerate(_moments(calls, state)):
        if number % step and number != moments - 1:
            continue
        for image in _images(disk, rng, each):
            found.states += 1
            where = f"state {found.states}, moment {number}: "
            lost, corrupt = await _open(image, promises, tmp_path / "crashed")
            found.lost += [where + problem for problem in lost]
            found.corrupt += [where + problem for problem in corrupt]
        found.promises = promises.count
    return found


def _moments(calls: list[SystemCall], state: Path) -> Iterator[tuple[Disk, Promises]]:
    disk, promises = Disk(state), Promises()
    said = 0
    for call in calls:
        promises.hear(call)
        # a promise is a moment of its own: the power may go right after it
        if disk.apply(call) or promises.count != said:
            said = promises.count
            yield disk, promises


def _images(disk: Disk, rng: random.Random, count: int) -> Iterator[Image]:
    for number in range(count):
        choice = rng.randrange(6) if count < 6 else number % 6
        if choice < 2:
            yield disk.after_power_loss(rng, float(choice))
        elif choice == 2:
            missing = disk.without(rng.randrange(8))
            yield disk.after_power_loss(rng, 0.5) if missing is None else missing
        else:
            yield disk.after_power_loss(rng, rng.choice((0.2, 0.5, 0.9)))


async def _open(image: Image, promises: Promises, directory: Path) -> tuple[list[str], list[str]]:
    """Open it as a daemon does at its start, and say what is lost and what is corrupt."""
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(mode=0o700)
    for name, content in image.items():
        file = directory / name
        file.write_bytes(content)
        file.chmod(0o600)
    if promises.requests:
        key = image.get("callback.key")
        if key is None or len(key) != 32:
            return ["the key of the callback addresses that were handed out"], []
    try:
        TokenKey.load_or_create(directory / "callback.key", random.randbytes)
        await _recover(directory / "connectord.db")
    except Exception as error:  # noqa: BLE001  - whatever it is, the daemon would not start
        return [], [f"it cannot be opened: {error!r}"]
    found = audit(directory / "connectord.db")
    if "attempting" in found.states.values():
        found.problems.append("an attempt is under way after recovery")
    with closing(sqlite3.connect(directory / "connectord.db")) as connection:
        versions = {row[0] for row in connection.execute("SELECT version FROM config_versions")}
    return promises.broken(found, versions), found.problems


async def _recover(database: Path) -> None:
    store = SqliteWriter(database)
    try:
        policies = PolicyBook(1, {}, Policy())
        ledger = Ledger(
            store, executor=InlineExecutor(), clock=SystemClock(), rng=random.Random(SEED), policies=lambda: policies
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(ledger.run)
            with structlog.testing.capture_logs():
                await ledger.recover()
            nursery.cancel_scope.cancel()
    finally:
        store.close()
