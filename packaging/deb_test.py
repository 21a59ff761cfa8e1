"""The package's whole life in a fresh Debian under systemd: ``make deb-test``. Needs root, debootstrap, systemd-nspawn.

Installed, reloaded well and badly, killed by the watchdog, stopped within its drain, upgraded with actions in flight
while callers go on, removed, purged.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PACKAGES = "systemd,systemd-sysv,dbus,python3,init-system-helpers"
MACHINE = "connectord-deb-test"
OLDER = "0.0.9"
PATIENCE = 180.0

CONFIG = """
[callbacks]
bind = "127.0.0.1:8470"
[systems.slow]
adapter = "exec"
[systems.slow.exec]
command = ["/bin/sleep", "3"]
[systems.bad]
adapter = "hangs"
"""
PLUGIN = """
import pathlib, time
from connectord.adapters import Adapter, Succeeded
from connectord.hookspecs import hookimpl

class Hangs(Adapter):
    name = "hangs"
    async def trigger(self, call):
        if call.attempt == 1:
            time.sleep(600)
        return Succeeded({})

@hookimpl
def connectord_register_adapters(register):
    register(Hangs)
"""


class Machine:
    """A booted container."""

    def __init__(self, root: Path, leader: int) -> None:
        self.root = root
        self._leader = leader

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in it."""
        inside = ["nsenter", "--target", str(self._leader), "--all", "--", *command]
        done = subprocess.run(inside, capture_output=True, text=True, check=False, env={"PATH": "/usr/sbin:/usr/bin"})
        if check and done.returncode:
            raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def ask(self, *arguments: str) -> Any:
        """The answer of connectorctl, as JSON."""
        answer = json.loads(self.run("connectorctl", *arguments, "--json").stdout)
        return answer.get("result", answer)

    def property(self, name: str) -> str:
        """A property of the service."""
        return self.run("systemctl", "show", "--value", "--property", name, "connectord").stdout.strip()

    def write(self, path: str, text: str) -> None:
        """Write a file in it."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def install(self, package: Path) -> None:
        """Install or upgrade to a package."""
        shutil.copy(package, self.root / "root")
        self.run("dpkg", "--install", f"/root/{package.name}")


def main() -> None:
    """Do all of it, a line a step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path)
    parser.add_argument("--base", type=Path, help="a root of debootstrap to begin from; else a new one is made")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="connectord-deb-", dir="/var/tmp") as directory:
        root = Path(directory) / "root"
        if arguments.base is None:
            command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        else:
            subprocess.run(["cp", "--archive", str(arguments.base), str(root)], check=True)
        older = _older(arguments.package, Path(directory))
        with _boot(root) as machine:
            _live(machine, older, arguments.package)


def _live(machine: Machine, older: Path, package: Path) -> None:
    machine.install(older)
    _until("installed and active", lambda: machine.property("ActiveState") == "active")
    _check("the older version runs", machine.ask("status")["version"] == OLDER)
    _check("it runs as a user of its own", _uid(machine) not in ("", "0"))

    local = "/usr/local/lib/connectord"
    machine.write(f"{local}/hangs.py", PLUGIN)
    machine.write(f"{local}/hangs-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: hangs\nVersion: 1\n")
    machine.write(f"{local}/hangs-1.dist-info/entry_points.txt", "[connectord]\nhangs = hangs\n")
    machine.write("/etc/connectord/connectord.toml", CONFIG)
    machine.run("systemctl", "reload", "connectord")
    _check(
        "a good reload is applied, with a plugin of the admin's", "serving 2 systems" in machine.property("StatusText")
    )
    machine.write("/etc/connectord/connectord.toml", CONFIG.replace("command", "comand"))
    _check("a bad reload fails", machine.run("systemctl", "reload", "connectord", check=False).returncode != 0)
    status = machine.property("StatusText")
    _check(f"and says so: {status}", status.startswith("reload refused") and "serving 2 systems" in status)
    _check("with the reason in the journal", "comand" in machine.run("journalctl", "--unit=connectord").stdout)

    machine.run("systemctl", "restart", "connectord", check=False)
    _until("78 is not started again", lambda: machine.property("ExecMainStatus") == "78")
    _check("not once", machine.property("NRestarts") == "0" and machine.property("ActiveState") == "failed")
    machine.write("/etc/connectord/connectord.toml", CONFIG)
    machine.run("systemctl", "start", "connectord")

    machine.write("/etc/systemd/system/connectord.service.d/watchdog.conf", "[Service]\nWatchdogSec=6s\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "connectord")
    kept = [machine.ask("submit", "slow", "--due", "2099-01-01T00:00:00Z")["id"] for _ in range(3)]
    machine.run("connectorctl", "submit", "bad", "--key", "K-1", check=False)
    _until("the watchdog kills what hangs, and it is started again", lambda: machine.property("NRestarts") == "1")
    _until("and serves", lambda: machine.property("ActiveState") == "active")
    hung = machine.ask("submit", "bad", "--key", "K-1")["id"]
    _until("what hung is done", lambda: machine.ask("show", hung)["state"] == "closed")
    _check("nothing is lost", {machine.ask("show", each)["state"] for each in kept} == {"pending"})
    (machine.root / "etc/systemd/system/connectord.service.d/watchdog.conf").unlink()
    machine.run("systemctl", "daemon-reload")

    slow = machine.ask("submit", "slow")["id"]
    _until("an attempt is under way", lambda: machine.ask("show", slow)["state"] == "attempting")
    began = time.monotonic()
    machine.run("systemctl", "restart", "connectord")
    _check(f"stopped and started within the drain ({time.monotonic() - began:.1f} s)", time.monotonic() - began < 40)
    after = machine.ask("show", slow)
    _check("the attempt ended well meanwhile", (after["state"], after["attempts"]) == ("closed", 1))

    flying = [machine.ask("submit", "slow")["id"] for _ in range(3)]
    with _callers(machine) as answers:
        machine.install(package)
        _until("upgraded", lambda: machine.ask("status")["version"] != OLDER)
    failed = [answer for answer in answers if answer]
    _check(f"{len(answers)} callers during the upgrade, none of them refused {failed[:1]}", answers and not failed)
    _until("what was in flight is done", lambda: all(machine.ask("show", each)["state"] == "closed" for each in flying))
    _check("once each", all(machine.ask("show", each)["attempts"] == 1 for each in flying))
    _check("what waited is there", {machine.ask("show", each)["state"] for each in kept} == {"pending"})

    machine.run("dpkg", "--remove", "connectord")
    _check("removed: nothing runs", machine.property("ActiveState") == "inactive")
    _check("the state is kept", (machine.root / "var/lib/private/connectord/connectord.db").exists())
    machine.run("dpkg", "--purge", "connectord")
    left = machine.run("find", "/", "-xdev", "-name", "*connectord*", "-not", "-path", "/proc/*").stdout.split()
    ours = [path for path in left if not path.startswith(("/root/", "/usr/local/", "/run/systemd", "/sys"))]
    _check(f"purged: nothing is left {ours}", not ours)


@contextmanager
def _callers(machine: Machine) -> Iterator[list[str]]:
    """Ask the control socket and the callbacks' address all the time; what went wrong, a line each, or nothing."""
    script = (
        "import socket,sys\n"
        "s=socket.create_connection(('127.0.0.1',8470),60); s.settimeout(60)\n"
        "s.sendall(b'GET / HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n')\n"
        "assert s.recv(99).startswith(b'HTTP/1.1 404')\n"
        "s=socket.socket(socket.AF_UNIX); s.settimeout(60); s.connect('/run/connectord/control.sock')\n"
        's.sendall(b\'{"jsonrpc":"2.0","id":1,"method":"status"}\\n\'); assert b"result" in s.recv(9999)\n'
    )
    answers: list[str] = []
    done = threading.Event()

    def call() -> None:
        while not done.is_set():
            answers.append(machine.run("python3", "-c", script, check=False).stderr)

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield answers
    finally:
        done.set()
        thread.join()


@contextmanager
def _boot(root: Path) -> Iterator[Machine]:
    log = root.parent / "boot.log"
    with log.open("wb") as output:
        container = subprocess.Popen(
            [
                *("systemd-nspawn", "--quiet", "--directory", str(root), "--machine", MACHINE, "--register=no"),
                *("--keep-unit", "--private-network", "--console=read-only", "--boot"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        machine = Machine(root, _leader(container.pid, log))
        _until("booted", lambda: _state(machine) in ("running", "degraded"))
        print(f"       {machine.run('systemctl', '--version').stdout.splitlines()[0]}, {_state(machine)}", flush=True)
        yield machine
    finally:
        container.terminate()
        try:
            container.wait(60)
        except subprocess.TimeoutExpired:
            container.kill()
            container.wait()


def _state(machine: Machine) -> str:
    return machine.run("systemctl", "is-system-running", check=False).stdout.strip()


def _leader(pid: int, log: Path) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if children.exists() and (found := children.read_text().split()):
            return int(found[0])
        time.sleep(0.1)
    raise SystemExit(f"the container does not start:\n{log.read_text(errors='replace')}")


def _older(package: Path, directory: Path) -> Path:
    """The same package under an older number: what an upgrade comes from."""
    tree = directory / "older"
    subprocess.run(["dpkg-deb", "--raw-extract", str(package), str(tree)], check=True)
    control = tree / "DEBIAN" / "control"
    control.write_text(re.sub(r"^Version: .+$", f"Version: {OLDER}", control.read_text(), flags=re.M))
    (module,) = tree.glob("usr/lib/connectord/lib/python3.*/site-packages/connectord/__init__.py")
    module.write_text(re.sub(r'__version__ = ".+"', f'__version__ = "{OLDER}"', module.read_text()))
    older = directory / f"connectord_{OLDER}.deb"
    command = ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", str(tree), str(older)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return older


def _uid(machine: Machine) -> str:
    status = machine.run("cat", f"/proc/{machine.property('MainPID')}/status").stdout
    found = re.search(r"^Uid:\s+(\d+)", status, re.M)
    return "" if found is None else found[1]


def _check(what: str, holds: object) -> None:
    print(f"{'ok    ' if holds else 'FAILED'} {what}", flush=True)
    if not holds:
        sys.exit(1)


def _until(what: str, holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if holds():
            break
        time.sleep(0.2)
    else:
        _check(what, False)
    _check(what, True)


if __name__ == "__main__":
    main()
