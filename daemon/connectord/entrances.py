"""Where peers come in: the sockets of the callback listener and of the control socket.

They are handed in with :class:`connectord.supervisor.Surroundings`, so that a simulation can let its peers in without
a socket.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import trio

from connectord.callbacks import open_callback_listeners, socket_address
from connectord.control.peers import Peer
from connectord.control.server import is_socket_hung_up, open_control_listener, socket_peer

Listener: TypeAlias = trio.abc.Listener[trio.abc.HalfCloseableStream]


def _socket_port(listener: Any) -> int:
    port: int = listener.socket.getsockname()[1]
    return port


def _socket_descriptor(listener: Any) -> int | None:
    descriptor: int = listener.socket.fileno()
    return descriptor


@dataclass(frozen=True, slots=True)
class Entrances:
    """How the daemon's listeners are opened, and what is asked about the streams that they bring.

    ``address_of`` is a callback peer's address and port, and raises OSError where it has gone already; ``peer_of`` is
    who is at the other end of a control connection, and ``is_hung_up`` whether both halves of one are closed.
    ``descriptor_of`` is None for a listener without a file.
    """

    open_callbacks: Callable[[str, int], Awaitable[Sequence[Listener]]] = open_callback_listeners
    open_control: Callable[[Path], Awaitable[Listener]] = open_control_listener
    address_of: Callable[[Any], tuple[str, int]] = socket_address
    peer_of: Callable[[Any], Peer] = socket_peer
    is_hung_up: Callable[[Any], bool] = is_socket_hung_up
    port_of: Callable[[Any], int] = _socket_port
    descriptor_of: Callable[[Any], int | None] = _socket_descriptor
