"""Ports that stay one's own while nobody listens on them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_port(port: int = 0) -> Iterator[int]:
    """A loopback port, a free one for 0, that refuses connections and that nobody else gets until the block ends.

    Bound, but not listening: a server that is told the port, and says ``SO_REUSEADDR``, may listen beside it. Raises
    :class:`OSError` where somebody has the port already.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", port))
        yield holder.getsockname()[1]
