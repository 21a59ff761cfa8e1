"""The wall clock jumps while the daemon runs, and between two of its lives (libfaketime; the monotonic clock stays)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
from connectord.testing.daemon_process import DaemonProcess
from connectord.testing.fake_system import FakeSystem
from helpers.audit import audit
from helpers.ports import lasting_port
from helpers.programs import require_program
from helpers.proofs import size

HOUR, YEAR = 3600, 365 * 86400
BACK = [(-YEAR, False), (-HOUR, True), *([(-HOUR, False), (-YEAR, True)] if size("CLOCK", 0) else [])]
"""How far it goes back, and whether that is while the daemon does not run."""
PATIENCE_SECONDS = 120.0
"""Far longer than anything here waits for, also on a busy machine, and far shorter than the jumps."""


class WallClock:
    """The wall clock of one process, set by a file."""

    def __init__(self, directory: Path) -> None:
        require_program("faketime")
        libraries = sorted(Path("/usr/lib").glob("**/faketime/libfaketimeMT.so.1"))
        if not libraries:
            pytest.skip("libfaketimeMT.so.1 is not below /usr/lib")
        self._file = directory / "wall-clock"
        self.jump(0)
        self.environ = {
            "LD_PRELOAD": str(libraries[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def jump(self, seconds: int) -> None:
        """So many seconds away from the true time, from now on."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n", encoding="ascii")
        fresh.rename(self._file)


@pytest.fixture
def wall_clock(tmp_path: Path) -> WallClock:
    return WallClock(tmp_path)


@pytest.fixture
def daemon(tmp_path: Path, wall_clock: WallClock) -> Any:
    process = DaemonProcess(tmp_path, wall_clock.environ)
    yield process
    process.kill()


@pytest.fixture
def configure(daemon: DaemonProcess, fake: FakeSystem) -> Callable[[], None]:
    port = lasting_port()

    def write() -> None:
        daemon.configure(
            daemon.head(port)
            + '[retry]\nlimit = 4\ndelay = "3s"\nfactor = 1.0\njitter = 0.0\n'
            + f'[systems.erp]\nadapter = "http"\ntimeout = "6s"\n[systems.erp.http]\nurl = "{fake.url}"\n'
            + f'[systems.slow]\nadapter = "http"\ntimeout = "8h"\n[systems.slow.http]\nurl = "{fake.url}"\n'
        )

    return write


@pytest.mark.parametrize(("seconds", "restarted"), BACK)
async def test_rules_4_13_the_clock_goes_back(
    daemon: DaemonProcess, fake: FakeSystem, wall_clock: WallClock, configure: Any, seconds: int, restarted: bool
) -> None:
    configure()
    await daemon.start()
    retrying = await _submit(daemon, "erp", {"play": "flaky", "times": 2})
    overdue = await _submit(daemon, "erp", {"play": "silent"})
    planned = await _submit(daemon, "erp", {"play": "answer"}, due_at=_later(overdue["submitted_at"], 5 * YEAR))
    await _tried(daemon, retrying["id"])
    await daemon.until(overdue["id"], "waiting")
    if restarted:
        daemon.kill()
    wall_clock.jump(seconds)
    if restarted:
        await daemon.start()
    # what is new is attempted now, and sorts after what was there
    fresh = await _submit(daemon, "erp", {"play": "answer"})
    assert fresh["id"] > planned["id"]
    await daemon.until(fresh["id"], "closed")
    # what was there waits for its few seconds, and not for an hour or a year
    limit = PATIENCE_SECONDS
    assert (await daemon.until(retrying["id"], "closed", seconds=limit))["resolution"] == "done_successfully"
    assert (await daemon.until(overdue["id"], "todo", seconds=limit))["reason"] == "timeout"
    # a time that somebody named is a date, and no time to wait
    assert (await daemon.call("show", id=planned["id"]))["due_at"] == planned["due_at"]
    assert await daemon.stop() == 0
    assert audit(daemon.directory / "state" / "connectord.db").problems == []


async def test_rules_4_13_the_clock_goes_forward(
    daemon: DaemonProcess, fake: FakeSystem, wall_clock: WallClock, configure: Any
) -> None:
    configure()
    await daemon.start()
    waiting = await _submit(daemon, "slow", {"play": "silent"})
    await daemon.until(waiting["id"], "waiting")
    retrying = await _submit(daemon, "erp", {"play": "flaky", "times": 2})
    await _tried(daemon, retrying["id"])
    wall_clock.jump(HOUR)
    fresh = await _submit(daemon, "erp", {"play": "answer"})
    assert fresh["id"] > retrying["id"]
    assert (await daemon.until(retrying["id"], "closed", seconds=PATIENCE_SECONDS))["attempts"] == 3
    # seven of its eight hours are still ahead
    assert (await daemon.call("show", id=waiting["id"]))["state"] == "waiting"
    assert await daemon.stop() == 0
    assert audit(daemon.directory / "state" / "connectord.db").problems == []


async def _submit(daemon: DaemonProcess, system: str, data: dict[str, Any], **more: Any) -> dict[str, Any]:
    action: dict[str, Any] = await daemon.call("submit", system=system, data=data, **more)
    return action


async def _tried(daemon: DaemonProcess, action_id: str) -> None:
    with trio.fail_after(20):
        while (await daemon.call("show", id=action_id))["label"] != "Retrying":
            await trio.sleep(0.02)


def _later(time: str, seconds: int) -> str:
    moved = datetime.fromisoformat(time) + timedelta(seconds=seconds)
    return moved.strftime("%Y-%m-%dT%H:%M:%S.000Z")
