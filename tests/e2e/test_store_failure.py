"""An I/O error of the store ends the daemon with 74; it never goes on as if nothing had happened."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from connectord.errors import DaemonUnreachable, RequestFailed
from connectord.testing.daemon_process import DaemonProcess

# The real daemon, but for one line: a commit fails once the file exists.
FAILING = """
import sqlite3, sys
from pathlib import Path
from connectord.cli.daemon import main
from connectord.store.sqlite_connection import translate_errors
from connectord.store.sqlite_writer import SqliteWriter

commit = SqliteWriter.commit

def fail_when_told(self):
    if Path(sys.argv[4]).exists():
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
        with translate_errors():
            raise error
    commit(self)

SqliteWriter.commit = fail_when_told
sys.exit(main(sys.argv[1:4]))
"""


async def test_an_fsync_error_ends_it_with_74_and_nothing_is_acknowledged(
    daemon: DaemonProcess, configure: Callable[..., None], tmp_path: Path
) -> None:
    switch = tmp_path / "fail"
    command = [sys.executable, "-c", FAILING, "run", "--config", str(daemon.config_file), str(switch)]
    with daemon.log_file.open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: ASYNC220  - waits for nothing
    try:
        with trio.fail_after(20):
            while True:
                try:
                    await daemon.call("status")
                    break
                except DaemonUnreachable:
                    await trio.sleep(0.05)
        kept = await daemon.call("submit", system="erp", data={"play": "silent"})
        await daemon.until(kept["id"], "waiting")
        switch.touch()
        with pytest.raises((RequestFailed, DaemonUnreachable)):
            await daemon.call("submit", system="erp", data={"n": 2})
        with trio.fail_after(10):
            assert await trio.to_thread.run_sync(process.wait) == 74
    finally:
        process.kill()
        process.wait()
    assert "disk I/O error; the daemon must be started again" in daemon.log()
    await daemon.start()
    actions = (await daemon.call("list"))["actions"]
    assert [action["id"] for action in actions] == [kept["id"]]
