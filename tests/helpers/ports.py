"""Ports that stay one's own while nobody listens on them."""

from __future__ import annotations

import random
import socket

# below what the kernel gives to outgoing connections: a peer that is down must not find its port taken by one,
# and a connection attempt must not meet itself
_FIRST, _LAST = 20_000, 32_000
_TRIES = 100


def lasting_port() -> int:
    """A free loopback port for a server that is stopped and started again. Raises :class:`OSError` if none is free."""
    for _ in range(_TRIES):
        port = random.randint(_FIRST, _LAST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port between {_FIRST} and {_LAST} in {_TRIES} tries")
