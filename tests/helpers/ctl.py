"""connectorctl, run as an admin runs it."""

from __future__ import annotations

import subprocess
import sys

import trio
from connectord.testing.daemon_process import DaemonProcess


class Ctl:
    """Runs connectorctl on a daemon's socket; gives what it printed, on stderr where another exit code is expected.

    ``stdout`` is for a command that answers although its exit code is another one.
    """

    def __init__(self, daemon: DaemonProcess) -> None:
        self._daemon = daemon

    async def __call__(self, *args: str, code: int = 0, stdout: bool = False) -> str:
        command = [sys.executable, "-m", "connectord.cli.control", "--socket", str(self._daemon.socket), *args]
        done = await trio.run_process(
            command, capture_stdout=True, capture_stderr=True, check=False, stdin=subprocess.DEVNULL
        )
        assert done.returncode == code, (args, done.stdout, done.stderr)
        return (done.stdout if code == 0 or stdout else done.stderr).decode()
