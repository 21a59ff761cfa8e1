"""connectord and its peers on the peers' own work: jobs already queued, one POST each, answered at once, kept on disk.

``make bench-peers`` or ``python benchmarks/compare.py [--jobs 10000] [--minutes 10] [--only NAME ...] [--quick]``

First every setting of every peer is tried with a few jobs, and the fastest is taken; then come the rounds, in each of
which everybody is measured once; then the kill: the workers get SIGKILL when a third of the jobs is done, and are
started again. Rounds end early when the time is used up. Peers that did less than 1,200 jobs a second in every trial
get a tenth of the jobs. The results go to docs/benchmarks/peers.json, tables and plots from there to the docs.

The peers have an environment of their own (``make bench-peers-setup``), and their servers are started here, on free
ports of loopback, with what they keep in a temporary directory. Who is not installed is left out, and named.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from peers import services
from peers.catalogue import PEERS, Peer
from peers.contenders import CONNECTORD, CONNECTORD_SETTINGS, ConnectordContender, Contender, PeerContender
from peers.measuring import Drained, Stalled, drain, kill_and_go_on
from peers.rendering import write_docs

ROOT = Path(__file__).parent.parent
ENVIRONMENTS = ROOT / ".venv-peers"
RESULTS = ROOT / "docs" / "benchmarks" / "peers.json"
PARTS = (
    ("full_loop.py", "--actions", "3000", "--rounds", "5", "--backlog", "0"),
    ("http_out.py", "--seconds", "0.5", "--rounds", "3", "--in-flight", "64", "256", "1024"),
    ("callbacks_in.py",),
    ("ledger.py", "--rows", "100000"),
    ("latency.py",),
    ("commands.py",),
)
"""The loop, and each part of it alone against its limit."""

SLOW_PER_SECOND = 1200
SLOW_SHARE = 10
QUICK = {"jobs": 2000, "rounds": 1, "trial_jobs": 0, "kill_jobs": 0, "minutes": 2.0}
QUICK_LEAVES_OUT = ("Procrastinate, PostgreSQL", "DBOS, PostgreSQL", "DBOS, SQLite", "Celery, Redis")
SHARE_OF_ROUNDS = 0.75
"""Of the time, that trials and rounds may have; the rest is for the kills."""

_STARTS: dict[str, Callable[[Path], services.Service]] = {
    "redis": services.start_redis,
    "rabbitmq": services.start_rabbitmq,
    "postgresql": services.start_postgresql,
}


class Comparison:
    """Measures, and keeps what came of it."""

    def __init__(self, directory: Path, sink: services.Sink, options: argparse.Namespace) -> None:
        self._directory, self._sink, self._options = directory, sink, options
        self._kept: dict[str, services.Service] = {}
        self._versions: dict[str, str] = {}
        self._runs = 0
        self._ends_at = time.monotonic() + options.minutes * 60
        self._started_at = time.monotonic()
        self.peers = [peer for peer in PEERS if not options.only or peer.name in options.only]
        self.names = [*([CONNECTORD] if not options.only or CONNECTORD in options.only else [])]
        self.names += [peer.name for peer in self.peers]
        self.chosen: dict[str, str] = {}
        self.results: dict[str, Any] = {
            "jobs": options.jobs,
            "kill_jobs": options.kill_jobs,
            "trials": {},
            "settings": self.chosen,
            "jobs_of": {},
            "rounds": [],
            "kills": {},
            "left_out": {},
        }

    def run(self) -> None:
        """Trials, rounds, kills."""
        if self._options.quick:
            self._leave_out_slow_ones()
        self._try_settings()
        rounds_end_at = self._started_at + (self._ends_at - self._started_at) * SHARE_OF_ROUNDS
        for number in range(self._options.rounds):
            began_at = time.monotonic()
            self._do_round(number)
            if time.monotonic() + (time.monotonic() - began_at) > rounds_end_at:
                break
        if self._options.kill_jobs:
            for name in list(self.names):
                if self._promises(name):
                    self._kill(name)

    def close(self) -> None:
        """Stop the servers."""
        for service in self._kept.values():
            service.stop()

    def versions(self) -> dict[str, str]:
        """The version of everything that took part, from its own word."""
        return {**self._versions, "nginx": self._sink.version, **_peer_versions()}

    def _leave_out_slow_ones(self) -> None:
        for name in QUICK_LEAVES_OUT:
            self._leave_out(name, "left out of the quick run")

    def _try_settings(self) -> None:
        for name in list(self.names):
            settings = list(self._settings(name))
            self.chosen[name] = settings[0]
            self.results["jobs_of"][name] = self._options.jobs
            if not self._options.trial_jobs:
                continue
            rates: dict[str, float] = {}
            for setting in settings:
                drained = self._measure(name, setting, self._options.trial_jobs)
                rates[setting] = 0.0 if drained is None else drained.per_second
            self.results["trials"][name] = rates
            self.chosen[name] = max(rates, key=lambda setting: rates[setting])
            if not any(rates.values()):
                self._leave_out(name, self.results["left_out"].get(name, "it did no jobs"))
            elif max(rates.values()) < SLOW_PER_SECOND and name != CONNECTORD:
                self.results["jobs_of"][name] = self._options.jobs // SLOW_SHARE

    def _do_round(self, number: int) -> None:
        told: dict[str, Any] = {}
        self.results["rounds"].append(told)
        turn = number % max(len(self.names), 1)
        for name in [*self.names[turn:], *self.names[:turn]]:
            drained = self._measure(name, self.chosen[name], self.results["jobs_of"][name])
            if drained is not None:
                told[name] = asdict(drained)
            elif not number:
                self._leave_out(name, self.results["left_out"].get(name, "it did not do its jobs"))

    def _measure(self, name: str, setting: str, count: int) -> Drained | None:
        try:
            with self._contender(name, setting, count) as contender:
                drained = drain(contender, self._sink, count)
        except (services.Missing, Stalled, RuntimeError, OSError, subprocess.CalledProcessError) as error:
            self.results["left_out"][name] = str(error).splitlines()[0]
            print(f"{name}: {error}", file=sys.stderr, flush=True)
            return None
        self.results["left_out"].pop(name, None)
        _tell(name, setting, f"{drained.per_second:8,.0f} a second", drained)
        return drained

    def _kill(self, name: str) -> None:
        count = self._options.kill_jobs
        try:
            with self._contender(name, self.chosen[name], count) as contender:
                killed = kill_and_go_on(contender, self._sink, count)
        except (services.Missing, Stalled, RuntimeError, OSError, subprocess.CalledProcessError) as error:
            print(f"{name}: {error}", file=sys.stderr, flush=True)
            return
        self.results["kills"][name] = asdict(killed)
        _tell(name, "killed", f"{killed.lost} lost, {killed.doubled} doubled", killed)

    def _leave_out(self, name: str, why: str) -> None:
        self.results["left_out"][name] = why
        self.names = [each for each in self.names if each != name]

    def _settings(self, name: str) -> Iterator[str]:
        yield from CONNECTORD_SETTINGS if name == CONNECTORD else self._peer(name).settings

    def _promises(self, name: str) -> bool:
        return name == CONNECTORD or self._peer(name).keeps

    def _peer(self, name: str) -> Peer:
        return next(peer for peer in self.peers if peer.name == name)

    @contextmanager
    def _contender(self, name: str, setting: str, count: int) -> Iterator[Contender]:
        self._runs += 1
        directory = self._directory / f"run_{self._runs}"
        directory.mkdir()
        contender: Contender
        if name == CONNECTORD:
            contender = ConnectordContender(setting, directory=directory, sink=self._sink.url, count=count)
            try:
                yield contender
            finally:
                contender.kill()
            return
        peer = self._peer(name)
        programs = ENVIRONMENTS / peer.environment / "bin"
        if not (programs / peer.worker[0]).exists():
            raise services.Missing(f"{peer.package} is not installed; make bench-peers-setup installs it")
        service = self._service(peer.service, directory)
        try:
            contender = PeerContender(
                peer,
                setting,
                programs=programs,
                directory=directory,
                service=service,
                sink=self._sink.url,
                count=count,
            )
            try:
                yield contender
            finally:
                contender.kill()
        finally:
            if peer.service == "redis" and service is not None:
                service.stop()

    def _service(self, name: str | None, directory: Path) -> services.Service | None:
        if name is None:
            return None
        if name == "redis":  # starts in no time, so each run has a fresh one
            service = _STARTS[name](directory)
            self._versions[name] = service.version
            return service
        if name not in self._kept:
            home = self._directory / name
            home.mkdir()
            home.chmod(0o755)
            self._kept[name] = _STARTS[name](home)
            self._versions[name] = self._kept[name].version
        return self._kept[name]


def main() -> None:
    """Measure, print, and write the docs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000, help="how many are queued")
    parser.add_argument("--rounds", type=int, default=3, help="at most")
    parser.add_argument("--minutes", type=float, default=10, help="how long it may take, about")
    parser.add_argument("--trial-jobs", type=int, default=500, help="for each setting that is tried; 0: the first one")
    parser.add_argument("--kill-jobs", type=int, default=2000, help="for the kill; 0: no kill")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="connectord, and names as in the catalogue")
    parser.add_argument("--quick", action="store_true", help="one round, few jobs, none of the slowest; writes nothing")
    parser.add_argument("--parts", action="store_true", help="run the other benchmarks first, and keep what they print")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--no-docs", action="store_true", help="write the results and no docs")
    options = parser.parse_args()
    if options.quick:
        vars(options).update(QUICK)
    with tempfile.TemporaryDirectory(prefix="connectord-peers-") as name:
        directory = Path(name)
        directory.chmod(0o711)  # PostgreSQL runs as somebody else
        parts = run_parts() if options.parts else {}
        sink = services.Sink(directory)
        comparison = Comparison(directory, sink, options)
        try:
            comparison.run()
            results = {"taken_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"), "machine": _machine()}
            results |= {"versions": comparison.versions(), **comparison.results, "parts": parts}
        finally:
            comparison.close()
            sink.stop()
    if options.quick:
        for left_out, why in results["left_out"].items():
            print(f"{left_out}: {why}")
        return
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(results, indent=1) + "\n")
    if not options.no_docs:
        write_docs(results, ROOT / "docs")


def run_parts() -> dict[str, str]:
    """What each of the other benchmarks prints; those that fail are told, and left out."""
    printed: dict[str, str] = {}
    for script, *arguments in PARTS:
        command = [sys.executable, f"benchmarks/{script}", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        print(f"{done.stdout}{done.stderr if done.returncode else ''}", flush=True)
        if not done.returncode:
            printed[" ".join(["python", *command[1:]])] = done.stdout
    return printed


def _tell(name: str, setting: str, what: str, figures: Any) -> None:
    rest = ", ".join(f"{key} {value:,.1f}" for key, value in asdict(figures).items())
    print(f"{name:<28}{setting:<56}{what}   ({rest})", flush=True)


def _machine() -> dict[str, Any]:
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return {
        "processor": processor,
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": Path("/proc/loadavg").read_text().split()[0],
    }


def _peer_versions() -> dict[str, str]:
    found = {"connectord": metadata.version("connectord"), "trio": metadata.version("trio")}
    for environment in sorted({peer.environment for peer in PEERS}):
        pip = ENVIRONMENTS / environment / "bin" / "pip"
        if pip.exists():
            listed = subprocess.run([pip, "freeze"], capture_output=True, text=True, check=True).stdout
            pinned = dict(line.split("==") for line in listed.splitlines() if "==" in line)
            here = {peer.package for peer in PEERS if peer.environment == environment}
            found |= {package: pinned[package] for package in sorted(here) if package in pinned}
    return found


if __name__ == "__main__":
    main()
