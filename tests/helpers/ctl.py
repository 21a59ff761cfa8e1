"""connectorctl as people run it: a process of its own, on a real daemon's socket."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

import trio
from connectord.testing.daemon_process import DaemonProcess


class Ctl:
    """Runs connectorctl; gives what it prints, or what it complains of where ``code`` is not 0."""

    def __init__(self, daemon: DaemonProcess, environ: Mapping[str, str] | None = None) -> None:
        self._command = [sys.executable, "-m", "connectord.cli.control", "--socket", str(daemon.socket)]
        self._environ = {**os.environ, **(environ or {})}

    async def __call__(self, *args: str, code: int = 0) -> str:
        done = await trio.run_process(
            [*self._command, *args], capture_stdout=True, capture_stderr=True, check=False, env=self._environ
        )
        assert done.returncode == code, (args, done.stdout, done.stderr)
        return (done.stdout if code == 0 else done.stderr).decode()
