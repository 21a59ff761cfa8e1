"""A real OpenSSH server on a free port of this machine, with keys of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from helpers.ports import lasting_port
from helpers.programs import require_program

_SEPARATION = Path("/run/sshd")
_START_SECONDS = 20.0


class Sshd:
    """Serves SFTP to the user of the test, whose key is :attr:`client_key`. Files lie under :attr:`drop`."""

    def __init__(self, directory: Path) -> None:
        # not in everybody's PATH
        self._program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin") or require_program("sshd")
        self._keygen = require_program("ssh-keygen")
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.user = getpass.getuser()
        self.port = lasting_port()
        self.drop = directory / "drop"
        self.log_file = directory / "sshd.log"
        self.known_hosts = directory / "known_hosts"
        self.client_key = self.make_key("client")
        self.host_keys = [self.make_key("host_ed25519"), self.make_key("host_ecdsa", "ecdsa")]
        self.authorized_keys = directory / "authorized_keys"
        self.authorized_keys.write_text(self.client_key.with_suffix(".pub").read_text())
        self.trust(*self.host_keys)
        for name in ("in", "out", "archive", "taken"):
            (self.drop / name).mkdir(parents=True)

    def make_key(self, name: str, kind: str = "ed25519", passphrase: str = "") -> Path:
        """A new key pair; the private key's file."""
        file = self._directory / name
        command = [self._keygen, "-q", "-t", kind, "-N", passphrase, "-C", name, "-f", str(file)]
        subprocess.run(command, check=True)
        return file

    def trust(self, *keys: Path) -> None:
        """Write known_hosts: these keys are the server's."""
        lines = [f"[127.0.0.1]:{self.port} {key.with_suffix('.pub').read_text()}" for key in keys]
        self.known_hosts.write_text("".join(lines))

    def fingerprint(self, key: Path) -> str:
        """As ``ssh-keygen -l`` prints it."""
        done = subprocess.run([self._keygen, "-l", "-f", str(key)], check=True, capture_output=True, text=True)
        return done.stdout.split()[1]

    def settings(self, **changes: Any) -> dict[str, Any]:
        """The adapter's settings for this server, as a configuration would have them."""
        values = {
            "host": "127.0.0.1",
            "port": self.port,
            "user": self.user,
            "private_key": self.client_key.read_text(),
            "known_hosts": str(self.known_hosts),
            "directory": str(self.drop / "in"),
            "timeout": "10s",
            "response": {
                "directory": str(self.drop / "out"),
                "complete": "renamed",
            },
        }
        return {**values, **changes}

    def start(self, sftp_options: str = "", **options: str) -> None:
        """Start it, and wait until it answers. ``sftp_options`` are internal-sftp's."""
        if os.geteuid() == 0:
            _SEPARATION.mkdir(mode=0o755, exist_ok=True)
        # without root's rights it can see only through PAM whether an account is locked
        pam = "no" if os.geteuid() == 0 else "yes"
        config = {
            "Port": str(self.port),
            "ListenAddress": "127.0.0.1",
            "AuthorizedKeysFile": str(self.authorized_keys),
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": pam,
            "UseDNS": "no",
            "PasswordAuthentication": "no",
            "PermitRootLogin": "yes",
            "MaxStartups": "100",
            "Subsystem": f"sftp internal-sftp {sftp_options}",
            **options,
        }
        lines = [f"{name} {value}" for name, value in config.items()]
        lines += [f"HostKey {key}" for key in self.host_keys]
        file = self._directory / "sshd_config"
        file.write_text("\n".join(lines) + "\n")
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen([self._program, "-D", "-e", "-f", str(file)], stdout=log, stderr=log)
        end = time.monotonic() + _START_SECONDS
        while not _answers(self.port):
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"sshd did not start:\n{self.log_file.read_text(errors='replace')}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it, and every session with it."""
        if self._process is None:
            return
        sessions = list(_descendants(self._process.pid))
        for pid in (self._process.pid, *sessions):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def end_sessions(self) -> None:
        """End every session; the server itself goes on."""
        self._signal_sessions(signal.SIGKILL)

    def freeze(self) -> None:
        """Let every session stand still, as behind a network that swallows everything."""
        self._signal_sessions(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        self._signal_sessions(signal.SIGCONT)

    def sessions(self) -> int:
        """How many connections there are."""
        return 0 if self._process is None else len(_children(self._process.pid))

    def _signal_sessions(self, number: signal.Signals) -> None:
        if self._process is not None:
            for pid in list(_descendants(self._process.pid)):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    # the process may end at any moment
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(each) for each in (task / "children").read_text().split()]
    return found


def _descendants(pid: int) -> Iterator[int]:
    for child in _children(pid):
        yield child
        yield from _descendants(child)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
