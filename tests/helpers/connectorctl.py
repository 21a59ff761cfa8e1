"""Runs the real connectorctl on a daemon's socket."""

from __future__ import annotations

import sys

import trio
from connectord.testing.daemon_process import DaemonProcess


class Connectorctl:
    """Runs connectorctl on a daemon's socket."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self._daemon = daemon

    async def __call__(self, *args: str, code: int = 0) -> str:
        """What it prints, on stderr where it is to end with another code than 0."""
        command = [sys.executable, "-m", "connectord.cli.control", "--socket", str(self._daemon.socket), *args]
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
        assert done.returncode == code, (args, done.stdout, done.stderr)
        return (done.stdout if code == 0 else done.stderr).decode()
