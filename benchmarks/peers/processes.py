"""Processes of a benchmark: started with their output in a file, measured and ended with all that they started."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_TIMEOUT_SECONDS = 20
_TICKS = os.sysconf("SC_CLK_TCK")


class Process:
    """One process and its descendants."""

    def __init__(self, command: Sequence[str], log: Path, environ: Mapping[str, str], directory: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *command],
                env=dict(environ),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """How it has ended."""
        return self._process.poll()

    def kill(self) -> None:
        """SIGKILL to it and to all that it started: no chance to write anything."""
        # stopped first, so that none of them sees another one die and starts a new one
        members = descendants(self.pid)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in members:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        self._process.wait()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL where that does not help."""
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def processor_seconds(self) -> float:
        """Processor time that it and its descendants have used so far."""
        return sum(map(processor_seconds, descendants(self.pid)))

    def tail(self) -> str:
        """The end of what it has said."""
        return self.log.read_text(errors="replace")[-2000:]


def descendants(pid: int) -> list[int]:
    """A process and all that came from it, itself first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(int(_fields(int(entry.name))[1]), []).append(int(entry.name))
    found = [pid]
    for each in found:
        found.extend(children.get(each, []))
    return found


def processor_seconds(pid: int) -> float:
    """Processor time of one process and of its children that have ended, user and system; 0 where it is gone."""
    try:
        return sum(map(int, _fields(pid)[11:15])) / _TICKS
    except OSError:
        return 0.0


def _fields(pid: int) -> list[str]:
    # the name in parentheses may hold spaces
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
