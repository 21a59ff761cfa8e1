"""Writing the log back fails: an I/O error ends the daemon with 74, a full disk does not, and nothing is lost."""

from __future__ import annotations

import random

import pytest
import trio
from connectord.testing.daemon_process import DaemonProcess
from connectord.testing.fake_system import FakeSystem
from helpers.injection import injecting
from helpers.load import Load
from helpers.ports import lasting_port
from helpers.programs import require_program

STORE_FAILED = 74
# the daemon as it is, but for how often it writes the log back
OFTEN = """
from connectord.upkeep import log_watch
log_watch.LEAST_BOUND = log_watch.MOST_BOUND = 131072
log_watch.LogWatch.__init__.__kwdefaults__["dose_bytes"] = 32768
"""


@pytest.mark.parametrize(
    ("call", "error", "code"),
    [("pwrite64", "EIO", STORE_FAILED), ("fdatasync", "EIO", STORE_FAILED), ("pwrite64", "ENOSPC", None)],
)
async def test_a_failure_beside_the_writer(
    call: str, error: str, code: int | None, daemon: DaemonProcess, fake: FakeSystem
) -> None:
    require_program("strace")
    (daemon.directory / "sitecustomize.py").write_text(OFTEN)
    daemon = DaemonProcess(daemon.directory, {"PYTHONPATH": str(daemon.directory)})
    database = daemon.directory / "state" / "connectord.db"
    load = Load(daemon, fake, lasting_port(), random.Random(1))
    load.configure(3)
    await daemon.start()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load.run)
            # nothing but a checkpoint writes to the database file
            async with injecting(daemon.pid, [database], daemon.directory / "injected", call, error, 1) as injected:
                goal = len(load.acknowledged) + 60
                ended = None
                with trio.fail_after(60):
                    while ended is None and len(load.acknowledged) < goal:
                        ended = await daemon.exited(0.05)
            assert injected.failed
            assert ended == code, daemon.log()[-2000:]
            if code is not None:
                assert "the daemon must be started again" in daemon.log()
                await daemon.start()
            load.stopping = True
        await load.settle()
        assert await daemon.stop() == 0
        assert load.compare(database).problems == []
    finally:
        daemon.kill()
