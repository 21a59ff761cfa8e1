"""A real ``connectord run`` in a process of its own, for tests and for the demo."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import trio

from connectord.control.client import ControlClient
from connectord.errors import DaemonUnreachable

START_TIMEOUT_SECONDS = 60.0


class DaemonProcess:
    """Starts, kills, stops and asks one daemon in ``directory``, whose configuration is written by the caller.

    ``python`` is the interpreter that runs it, which decides over the plugins that it finds.
    """

    def __init__(
        self, directory: Path, environ: Mapping[str, str] | None = None, *, python: str = sys.executable
    ) -> None:
        self.directory = directory
        self.config_file = directory / "connectord.toml"
        self.socket = directory / "control.sock"
        self.log_file = directory / "daemon.log"
        self._python = python
        self._environ = {**os.environ, **(environ or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def head(self, port: int = 0) -> str:
        """The first tables of a configuration that lives in the directory."""
        return (
            f'[daemon]\nstate_directory = "{self.directory / "state"}"\ncontrol_socket = "{self.socket}"\n'
            f'drain = "5s"\n[callbacks]\nbind = "127.0.0.1:{port}"\n'
        )

    def configure(self, text: str) -> None:
        """Write the configuration."""
        self.config_file.write_text(text, encoding="utf-8")

    async def start(self) -> None:
        """Start, and wait until it answers. Raises :class:`DaemonUnreachable` with its log where it does not."""
        with self.log_file.open("ab") as log:
            command = [self._python, "-m", "connectord.cli.daemon", "run", "--config", str(self.config_file)]
            self._process = subprocess.Popen(command, env=self._environ, stdout=log, stderr=log)  # noqa: ASYNC220
        with trio.move_on_after(START_TIMEOUT_SECONDS):
            while self._process.poll() is None:
                try:
                    await self.call("status")
                except DaemonUnreachable:
                    await trio.sleep(0.05)
                else:
                    return
        raise DaemonUnreachable(f"the daemon did not start:\n{self.log()}")

    def kill(self) -> None:
        """SIGKILL: no chance to write anything."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        if self._process is not None:
            self._process.send_signal(number)

    async def wait(self) -> int:
        """The exit code, once it has ended."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        return await trio.to_thread.run_sync(process.wait)

    async def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.signal(signal.SIGTERM)
        return await self.wait()

    @property
    def pid(self) -> int:
        """The process id; 0 where it does not run."""
        return 0 if self._process is None else self._process.pid

    def log(self) -> str:
        """What it has logged so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace") if self.log_file.exists() else ""

    async def call(self, method: str, **params: Any) -> Any:
        """One call on the control socket, on a connection of its own."""

        def ask() -> Any:
            with ControlClient(self.socket) as client:
                return client.call(method, params)

        return await trio.to_thread.run_sync(ask)

    async def until(self, action_id: str, *states: str, seconds: float = 20.0) -> dict[str, Any]:
        """Wait until an action is in one of ``states``; its view. Raises :class:`trio.TooSlowError`."""
        with trio.fail_after(seconds):
            while True:
                action: dict[str, Any] = await self.call("show", id=action_id)
                if action["state"] in states:
                    return action
                await trio.sleep(0.03)
