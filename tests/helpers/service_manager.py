"""A service manager for one service, where there is no systemd: it reads our own units, and does what they say.

It speaks sd_notify (with the sender's credentials), the watchdog, socket activation, ``Restart=`` with
``RestartPreventExitStatus=``, ``ExecReload=``, and ``TimeoutStopSec=`` with the time that the daemon asks for.
"""

from __future__ import annotations

import fcntl
import math
import os
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath

import trio
from connectord.service.units import SERVICE, UnitOptions, render_units

_CREDENTIALS = struct.Struct("3i")
_LOWEST_COPY = 10
_EXECUTE = """
import os, sys
end = sys.argv.index("--")
os.environ["LISTEN_PID"] = os.environ["WATCHDOG_PID"] = str(os.getpid())
for index, copy in enumerate(map(int, sys.argv[1:end])):
    os.dup2(copy, 3 + index)
    os.close(copy)
os.execv(sys.argv[end + 1], sys.argv[end + 1:])
"""
"""What becomes the service, once it has its own process id."""

SCRIPTS = Path(sys.executable).parent


class Unit:
    """The directives of a unit and its drop-ins; the last one counts, and an empty one takes back those before."""

    def __init__(self, *texts: str) -> None:
        self._values: dict[str, list[str]] = {}
        for text in texts:
            for key, value in re.findall(r"^(\w+)=(.*)$", text, re.M):
                values = self._values.setdefault(key, [])
                if value:
                    values.append(value)
                else:
                    values.clear()

    def get(self, key: str, default: str = "") -> str:
        return self._values.get(key, [default])[-1]

    def seconds(self, key: str) -> float:
        value = self.get(key)
        return math.inf if value == "infinity" else float(value.removesuffix("s"))


class ServiceManager:
    """Runs ``connectord.service`` in ``directory``. What happens is in :attr:`messages` and :attr:`exits`."""

    def __init__(self, options: UnitOptions, directory: Path, drop_in: str, environ: Mapping[str, str]) -> None:
        files = render_units(options)
        parts = [text for name, text in files.items() if name.parent == PurePosixPath(f"{SERVICE}.d")]
        self.unit = Unit(files[PurePosixPath(SERVICE)], *parts, drop_in)
        self.directory = directory
        self.messages: list[str] = []
        self.exits: list[int] = []
        """How each process ended: an exit code, or a signal's number below 0."""
        self.active = trio.Event()
        self.settled = trio.Event()
        """Set while no process runs and none will."""
        self.settled.set()
        self.status = ""
        self.sockets = {unit.get("FileDescriptorName"): self._listen(unit) for unit in self._socket_units(files)}
        self._environ = dict(environ)
        self._notified = trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._process: subprocess.Popen[bytes] | None = None
        self._nursery: trio.Nursery | None = None
        self._wanted = False
        self._ended = trio.Event()
        self._fed_at = math.inf
        self._stop_until = math.inf

    # -- what systemctl does

    async def start(self) -> None:
        """Returns once it is active, or has failed for good."""
        assert self._nursery is not None
        self._wanted = True
        self.settled = trio.Event()
        self._nursery.start_soon(self._keep_running)
        await self._active_or_settled()

    async def stop(self) -> float:
        """SIGTERM, and SIGKILL after the time; how many seconds it took."""
        self._wanted = False
        began = trio.current_time()
        self._stop_until = began + self.unit.seconds("TimeoutStopSec")
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        while not self.settled.is_set():
            if trio.current_time() > self._stop_until and self._process is not None:
                self._process.kill()
            with trio.move_on_after(0.1):
                await self.settled.wait()
        return trio.current_time() - began

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def reload(self) -> subprocess.CompletedProcess[str]:
        """What ``ExecReload=`` comes to."""
        command = shlex.split(self.unit.get("ExecReload").removeprefix("+"))
        return await trio.run_process(command, check=False, capture_stdout=True, capture_stderr=True, env=self._environ)  # type: ignore[return-value]

    @property
    def pid(self) -> int:
        return 0 if self._process is None else self._process.pid

    async def active_again(self, pid: int) -> None:
        """Wait until another process than ``pid`` is active."""
        while self.pid == pid or not self.active.is_set():
            await trio.sleep(0.02)

    async def _active_or_settled(self) -> None:
        async with trio.open_nursery() as nursery:

            async def wait(event: trio.Event) -> None:
                await event.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(wait, self.active)
            nursery.start_soon(wait, self.settled)

    # -- running

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ServiceManager]:
        """Manage the service until the block ends; what still runs then is killed."""
        path = self.directory / "notify"
        await self._notified.bind(str(path))
        self._notified.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._hear)
                yield self
                nursery.cancel_scope.cancel()
        finally:
            self._notified.close()
            for each in self.sockets.values():
                each.close()
            if self._process is not None and self._process.poll() is None:
                self._process.kill()
                self._process.wait()

    async def _keep_running(self) -> None:
        while True:
            code = await self._run_once()
            self.exits.append(code)
            failed = code not in (0, -signal.SIGTERM)
            prevented = str(code) in self.unit.get("RestartPreventExitStatus").split()
            if not self._wanted or not failed or prevented or self.unit.get("Restart") != "on-failure":
                break
            await trio.sleep(self.unit.seconds("RestartSec"))
        self.settled.set()

    async def _run_once(self) -> int:
        command = shlex.split(self.unit.get("ExecStart"))
        watchdog = self.unit.seconds("WatchdogSec")
        environ = {
            **self._environ,
            "NOTIFY_SOCKET": str(self.directory / "notify"),
            "WATCHDOG_USEC": str(int(watchdog * 1_000_000)),
            "LISTEN_FDS": str(len(self.sockets)),
            "LISTEN_FDNAMES": ":".join(self.sockets),
        }
        copies = [fcntl.fcntl(each.fileno(), fcntl.F_DUPFD, _LOWEST_COPY) for each in self.sockets.values()]
        with (self.directory / "service.log").open("ab") as log:
            self._process = process = subprocess.Popen(  # noqa: ASYNC220
                [sys.executable, "-I", "-S", "-c", _EXECUTE, *map(str, copies), "--", *command],
                env=environ,
                pass_fds=copies,
                stdout=log,
                stderr=log,
            )
        for copy in copies:
            os.close(copy)
        self._ended = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, process, watchdog)
            while process.poll() is None:
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
        self.active = trio.Event()
        self._fed_at = math.inf
        return process.returncode

    async def _watch(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        while trio.current_time() < self._fed_at + seconds:
            await trio.sleep(0.05)
        process.send_signal(signal.SIGABRT)

    async def _hear(self) -> None:
        while True:
            data, ancillary, _, _ = await self._notified.recvmsg(4096, socket.CMSG_SPACE(_CREDENTIALS.size))
            (sender,) = [_CREDENTIALS.unpack(raw)[0] for _, kind, raw in ancillary if kind == socket.SCM_CREDENTIALS]
            if sender != self.pid:
                continue  # NotifyAccess=main
            lines = data.decode().splitlines()
            self.messages += lines
            for key, _, value in (line.partition("=") for line in lines):
                if key == "STATUS":
                    self.status = value
                elif key in ("WATCHDOG", "READY"):
                    self._fed_at = trio.current_time()
                elif key == "EXTEND_TIMEOUT_USEC":
                    self._stop_until = max(self._stop_until, trio.current_time() + int(value) / 1_000_000)
            if "READY=1" in lines:
                self.active.set()

    # -- sockets

    def _socket_units(self, files: Mapping[PurePosixPath, str]) -> list[Unit]:
        return [Unit(text) for name, text in files.items() if name.suffix == ".socket"]

    def _listen(self, unit: Unit) -> socket.socket:
        where = unit.get("ListenStream")
        if where.startswith("/"):
            listening = socket.socket(socket.AF_UNIX)
            listening.bind(str(self.directory / PurePosixPath(where).name))
        else:
            host, _, port = where.rpartition(":")
            listening = socket.socket(socket.AF_INET)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, int(port)))
        listening.listen(4096)
        return listening

    def log(self) -> str:
        """What the service has printed."""
        return (self.directory / "service.log").read_text(encoding="utf-8", errors="replace")


def manage(
    directory: Path,
    port: int,
    *,
    sockets: bool = True,
    drop_in: str = "",
    environ: Mapping[str, str] | None = None,
) -> ServiceManager:
    """A manager whose units run the commands of this environment on ``directory/connectord.toml``."""
    options = UnitOptions(
        str(SCRIPTS / "connectord"),
        str(SCRIPTS / "connectorctl"),
        str(directory / "connectord.toml"),
        callbacks=f"127.0.0.1:{port}",
        sockets=sockets,
    )
    places = {"RUNTIME_DIRECTORY": str(directory), "STATE_DIRECTORY": str(directory / "state")}
    return ServiceManager(options, directory, drop_in, {**os.environ, **places, **(environ or {})})
