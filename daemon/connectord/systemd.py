"""The service manager: what it hands in, and what it is told (sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3)).

All of it is an environment variable or a datagram: without a service manager nothing here does anything.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping
from dataclasses import dataclass

from connectord.errors import AddressUnusable

FIRST_DESCRIPTOR = 3
"""Where the sockets of socket activation begin (SD_LISTEN_FDS_START)."""

CALLBACKS = "callbacks"
CONTROL = "control"


@dataclass(frozen=True, slots=True)
class Inherited:
    """What the service manager hands in: sockets that listen already, and how often it wants a sign of life."""

    callbacks: tuple[socket.socket, ...] = ()
    control: socket.socket | None = None
    watchdog_seconds: float | None = None
    """Without a sign of life in that time the process is killed; None where nobody watches."""


def notify(*lines: str) -> None:
    """Send ``lines`` in one datagram to ``$NOTIFY_SOCKET``."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.sendto("\n".join(lines).encode(), address)
        except OSError:  # a service manager that has gone away is no reason to stop
            return


def notify_status(text: str, *lines: str) -> None:
    """Say in one line how things are, as ``systemctl status`` shows it; with ``lines`` in the same datagram."""
    notify(*lines, f"STATUS={' '.join(text.split())}")


def notify_reloading() -> None:
    """Say that a reload begins; :func:`notify` with ``READY=1`` has to follow, also after a refused one."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def notify_stopping(text: str, seconds: float) -> None:
    """Say that the stop begins and takes ``seconds`` at most, however short the unit's ``TimeoutStopSec=`` is."""
    notify_status(text, "STOPPING=1", f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")


def take_inherited(environ: MutableMapping[str, str], pid: int) -> Inherited:
    """What was handed to the process ``pid``; the variables are taken out of ``environ``, for no child is meant.

    Raises :class:`AddressUnusable` where a socket cannot be used for what it is named.
    """
    seconds = _watchdog_seconds(environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", ""), pid)
    count, meant = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_PID", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    if not (count.isdecimal() and meant == str(pid)):
        return Inherited(watchdog_seconds=seconds)
    callbacks: list[socket.socket] = []
    control: list[socket.socket] = []
    for index in range(int(count)):
        name = names[index] if index < len(names) else ""
        taken = _take(FIRST_DESCRIPTOR + index, name)
        (callbacks if name == CALLBACKS else control).append(taken)
    if len(control) > 1:
        raise AddressUnusable(f"the service manager passes {len(control)} sockets named {CONTROL!r}: one is enough")
    return Inherited(tuple(callbacks), control[0] if control else None, seconds)


def _watchdog_seconds(microseconds: str, meant: str, pid: int) -> float | None:
    if not microseconds.isdecimal() or int(microseconds) == 0 or meant not in ("", str(pid)):
        return None
    return int(microseconds) / 1_000_000


def _take(descriptor: int, name: str) -> socket.socket:
    what = f"the service manager passes the file descriptor {descriptor} named {name!r}"
    if name not in (CALLBACKS, CONTROL):
        raise AddressUnusable(f"{what}: set FileDescriptorName={CALLBACKS} or {CONTROL} in its socket unit")
    try:
        os.set_inheritable(descriptor, False)
        taken = socket.socket(fileno=descriptor)
        listens = taken.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise AddressUnusable(f"{what}: it is no socket ({error.strerror})") from error
    families = (socket.AF_UNIX,) if name == CONTROL else (socket.AF_INET, socket.AF_INET6)
    if taken.type != socket.SOCK_STREAM or not listens or taken.family not in families:
        kind = "unix" if name == CONTROL else "TCP"
        raise AddressUnusable(f"{what}: it must be a {kind} socket that listens (ListenStream= and Accept=no)")
    return taken
