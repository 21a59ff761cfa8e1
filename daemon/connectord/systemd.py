"""Telling the service manager (sd_notify(3)); does nothing where there is none."""

from __future__ import annotations

import os
import socket
import time


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


def notify_reloading() -> None:
    """Say that a reload begins; :func:`notify` with ``READY=1`` has to follow, also after a refused one."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
