"""Ports that stay one's own while nobody listens on them."""

from __future__ import annotations

import random
import socket

# below what the kernel gives to outgoing connections: a peer that is down must not find its port taken by one,
# and a connection attempt must not meet itself
_FIRST, _LAST = 20_000, 32_000
_TRIES = 100
_kept: list[socket.socket] = []


def lasting_port() -> int:
    """A free loopback port for a server that is told which one to take, or is stopped and started again.

    It is kept for whoever asked until these tests' process ends: the socket that is bound to it does not listen, and a
    server that says ``SO_REUSEADDR`` may listen beside it. Raises :class:`OSError` if none is free.
    """
    for _ in range(_TRIES):
        port = random.randint(_FIRST, _LAST)
        keeper = socket.socket()
        try:
            keeper.bind(("127.0.0.1", port))
        except OSError:
            keeper.close()
            continue
        # said only now: said before, it would let two keepers have one port
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _kept.append(keeper)
        return port
    raise OSError(f"no free port between {_FIRST} and {_LAST} in {_TRIES} tries")
