"""A peer, or connectord, that does queued jobs: queued, started, killed, and measured in the same way."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import trio
from connectord.control.client import ControlClient
from connectord.testing.daemon_process import DaemonProcess
from peers.catalogue import Peer
from peers.processes import Process, processor_seconds
from peers.services import Service, make_database

JOBS = Path(__file__).parent / "jobs"
SUBMITTED_AT_ONCE = 1000
RECOVERY_SECONDS = 5
"""After which a dead worker's jobs are tried again, where a peer lets one say so."""

CONNECTORD = "connectord"
CONNECTORD_SETTINGS = {
    "64 at once, the response comes at once": (64, ""),
    "128 at once, nothing else expected (rule 19)": (128, "response_expected = false"),
    "256 at once, nothing else expected (rule 19)": (256, "response_expected = false"),
}


class Contender(Protocol):
    """Who does jobs."""

    tells_ends: bool
    """Whether :meth:`settled` says when the last outcome is on disk; of others the last request is known."""

    def enqueue(self) -> None:
        """Queue all jobs; returns when they are there to stay."""

    def begin(self) -> None:
        """Start to do them."""

    def settled(self) -> bool:
        """Whether it has noted each job's end, as far as it can say so."""

    def kill(self) -> None:
        """SIGKILL to all its processes."""

    def start_again(self) -> None:
        """Go on after the kill."""

    def processor_seconds(self) -> tuple[float, float]:
        """Processor time used so far: by its workers, and by the server that keeps its jobs."""

    def tail(self) -> str:
        """The end of what its workers have said."""


class PeerContender:
    """A peer's workers in the peers' environment, and its own empty queue."""

    tells_ends = False

    def __init__(
        self,
        peer: Peer,
        setting: str,
        *,
        programs: Path,
        directory: Path,
        service: Service | None,
        sink: str,
        count: int,
    ) -> None:
        self._peer, self._directory, self._service = peer, directory, service
        kept: dict[str, str] = {} if service is None else {"BROKER": service.url, "DATABASE": service.url}
        self._environ = {
            **os.environ,
            **kept,
            **_database(peer, directory, service),
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(JOBS),
            "PYTHONWARNINGS": "ignore",
            "SINK": sink,
            "COUNT": str(count),
            "RECOVERY_SECONDS": str(RECOVERY_SECONDS),
            "C_FORCE_ROOT": "1",  # celery asks whether root means it
            "QUEUE": directory.name,
            **(peer.environ or {}),
            **peer.settings[setting],
        }
        name, *arguments = peer.worker
        more = peer.settings[setting].get("ARGUMENTS", "").split()
        self._command = [str(programs / name), *arguments, *more]
        self._python = str(programs / "python")
        self._worker: Process | None = None

    def enqueue(self) -> None:
        if self._peer.enqueue is None:
            return
        process = Process([self._python, f"{self._peer.enqueue}.py"], self._log("enqueue"), self._environ, JOBS)
        while process.runs:
            time.sleep(0.05)
        if process.returncode != 0:
            raise RuntimeError(f"{self._peer.name} did not queue its jobs:\n{process.tail()}")

    def begin(self) -> None:
        self._worker = Process(self._command, self._log("worker"), self._environ, JOBS)

    def settled(self) -> bool:
        return True

    def kill(self) -> None:
        if self._worker is not None:
            self._worker.kill()

    def start_again(self) -> None:
        self.begin()

    def processor_seconds(self) -> tuple[float, float]:
        worker = 0.0 if self._worker is None else self._worker.processor_seconds()
        return worker, 0.0 if self._service is None else self._service.processor_seconds()

    def tail(self) -> str:
        return "" if self._worker is None else self._worker.tail()

    def _log(self, name: str) -> Path:
        return self._directory / f"{name}.log"


def _database(peer: Peer, directory: Path, service: Service | None) -> Mapping[str, str]:
    if service is None:
        file = directory / "jobs.db"
        return {"DATABASE": f"sqlite:///{file}" if peer.package == "dbos" else str(file)}
    if peer.service == "postgresql":
        return {"DATABASE": make_database(service, directory.name)}
    return {}


class ConnectordContender:
    """The daemon; its jobs are queued while their system is paused."""

    tells_ends = True

    def __init__(self, setting: str, *, directory: Path, sink: str, count: int) -> None:
        in_flight, line = CONNECTORD_SETTINGS[setting]
        self._count = count
        self._daemon = DaemonProcess(directory)
        head = self._daemon.head().replace("[daemon]", '[daemon]\nlog_level = "error"')
        system = f'[systems.sink]\nadapter = "http"\nconcurrency = {in_flight}\n{line}\n'
        self._daemon.configure(f'{head}{system}[systems.sink.http]\nurl = "{sink}"\n')

    def enqueue(self) -> None:
        trio.run(self._daemon.start)
        with ControlClient(self._daemon.socket) as client:
            client.call("pause", {"system": "sink"})
            for start in range(0, self._count, SUBMITTED_AT_ONCE):
                numbers = range(start, min(start + SUBMITTED_AT_ONCE, self._count))
                client.call("submit_many", {"actions": [{"system": "sink", "data": {"n": n}} for n in numbers]})

    def begin(self) -> None:
        with ControlClient(self._daemon.socket) as client:
            client.call("resume", {"system": "sink"})

    def settled(self) -> bool:
        with ControlClient(self._daemon.socket) as client:
            return not any(client.call("status", {})["counts"].values())

    def kill(self) -> None:
        self._daemon.kill()

    def start_again(self) -> None:
        trio.run(self._daemon.start)

    def processor_seconds(self) -> tuple[float, float]:
        return processor_seconds(self._daemon.pid), 0.0

    def tail(self) -> str:
        return self._daemon.log()[-2000:]
