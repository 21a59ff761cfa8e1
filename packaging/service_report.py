"""The figures of connectord as a service, in one table: ``make service-report``."""

from __future__ import annotations

import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from connectord.service.units import SERVICE, UnitOptions, render_units, write_tree

ROOT = Path(__file__).parent.parent
SCRIPTS = Path(sys.executable).parent
ROUNDS = 5
START_SECONDS = 60.0


def main() -> None:
    """Print a line a figure; exit 1 where one is not as good as it has to be."""
    # an installed connectord has byte code: so has a checkout after the first start, where it may be written
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    good = [
        _line("hardening (systemd-analyze security)", exposure(), 1.5, ""),
        *_rules(),
        _line("import of connectorctl", import_seconds("connectord.cli.control"), None, "s"),
        _line("import of the daemon", import_seconds("connectord.running"), None, "s"),
    ]
    with tempfile.TemporaryDirectory() as directory:
        starts, statuses = zip(*(measure(Path(directory) / str(each)) for each in range(ROUNDS)), strict=True)
    good.append(_line("cold start to READY", statistics.median(starts), 1.0, "s"))
    good.append(_line("connectorctl status", statistics.median(statuses), 0.150, "s"))
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; medians of {ROUNDS}")
    sys.exit(not all(good))


def exposure() -> float | None:
    """How exposed the unit is, from 0 to 10; None without systemd-analyze."""
    if shutil.which("systemd-analyze") is None:
        return None
    with tempfile.TemporaryDirectory() as directory:
        write_tree(Path(directory), render_units(UnitOptions("/bin/true", "/bin/true", "/x")), PurePosixPath("/"))
        command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(Path(directory) / SERVICE)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    return None if found is None else float(found[1])


def import_seconds(module: str) -> float:
    """The processor time of one import, the median of some."""
    code = f"import time; began = time.process_time(); import {module}; print(time.process_time() - began)"
    return statistics.median(
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(ROUNDS)
    )


def measure(directory: Path) -> tuple[float, float]:
    """Seconds from the start of a process on an empty state to READY=1, and of ``connectorctl status`` then."""
    directory.mkdir()
    (directory / "connectord.toml").write_text('[callbacks]\nbind = "127.0.0.1:0"\n')
    environ = {**os.environ, "STATE_DIRECTORY": str(directory / "state"), "RUNTIME_DIRECTORY": str(directory)}
    with _notified(directory / "notify") as notified:
        notified.settimeout(START_SECONDS)
        began = time.perf_counter()
        daemon = subprocess.Popen(
            [str(SCRIPTS / "connectord"), "run", "--config", str(directory / "connectord.toml")],
            env={**environ, "NOTIFY_SOCKET": str(directory / "notify")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while b"READY=1" not in notified.recv(4096).splitlines():
                pass
            started = time.perf_counter() - began
            began = time.perf_counter()
            command = [str(SCRIPTS / "connectorctl"), "status"]
            subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL)
            return started, time.perf_counter() - began
        finally:
            daemon.terminate()
            daemon.wait()


@contextmanager
def _notified(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))
        yield listening


def _rules() -> Iterator[bool]:
    """promtool's word on every file of alert rules that the sources have, and on their tests."""
    promtool = shutil.which("promtool")
    for file in sorted([*ROOT.glob("docs/**/*rules*.y*ml"), *ROOT.glob("docs/**/*alert*.y*ml")]):
        name = f"promtool: {file.relative_to(ROOT)}"
        if promtool is None:
            yield _line(name, None, None, "")
            continue
        verb = "test" if file.stem.endswith("-test") else "check"
        done = subprocess.run([promtool, verb, "rules", str(file)], capture_output=True, text=True, check=False)
        print(f"{name:40} {'ok' if done.returncode == 0 else (done.stdout + done.stderr).strip()}")
        yield done.returncode == 0


def _line(name: str, value: float | None, most: float | None, unit: str) -> bool:
    good = value is None or most is None or value <= most
    shown = "not measured: the program is missing" if value is None else f"{value:.3g} {unit}".rstrip()
    wanted = "" if most is None else f"  (at most {most:g} {unit}".rstrip() + ")"
    print(f"{name:40} {shown}{wanted}{'' if good else '  TOO MUCH'}", flush=True)
    return good


if __name__ == "__main__":
    main()
