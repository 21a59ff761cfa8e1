"""The addresses that the daemon answers at: its own, or sockets that the service manager holds over a restart."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import structlog
import trio

from connectord.callbacks import open_callback_listeners, socket_address
from connectord.config import Config
from connectord.config.addresses import default_public_url, is_unspecified
from connectord.control.peers import Peer
from connectord.control.server import is_socket_hung_up, open_control_listener, socket_peer
from connectord.errors import ConfigurationRefused, Problem
from connectord.systemd import Inherited

log = structlog.get_logger()


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

    They are handed in, so that a simulation can let its peers in without a socket. ``address_of`` is a callback peer's
    address and port; ``peer_of`` is who is at the other end of a control
    connection, and ``is_hung_up`` whether both halves of one are closed. ``descriptor_of`` is None for a listener
    without a file.
    """

    open_callbacks: Callable[[str, int], Awaitable[Sequence[Listener]]] = open_callback_listeners
    open_control: Callable[[Path], Awaitable[Listener]] = open_control_listener
    address_of: Callable[[Any], tuple[str, int]] = socket_address
    peer_of: Callable[[Any], Peer] = socket_peer
    is_hung_up: Callable[[Any], bool] = is_socket_hung_up
    port_of: Callable[[Any], int] = _socket_port
    descriptor_of: Callable[[Any], int | None] = _socket_descriptor


SOCKETS = Entrances()
"""Real ones."""


@dataclass(frozen=True, slots=True)
class Doors:
    """The listening sockets, and the address under which external systems reach the first of them."""

    callbacks: Sequence[Listener]
    metrics: Sequence[trio.SocketListener]
    control: Listener
    public_url: str
    descriptors: Sequence[int]
    """Their file descriptors."""


async def open_doors(config: Config, inherited: Inherited, entrances: Entrances = SOCKETS) -> Doors:
    """Take the sockets that the service manager passed; open those that it did not.

    Raises :class:`connectord.errors.AddressUnusable` where one cannot be bound, and leaves none open then. Raises
    :class:`ConfigurationRefused` where nobody could tell an external system the address of a passed one.
    """
    callbacks = config.callbacks
    passed = [trio.SocketListener(trio.socket.from_stdlib_socket(each)) for each in inherited.callbacks]
    listeners: Sequence[Listener] = passed or await entrances.open_callbacks(callbacks.host, callbacks.port)
    pages: list[trio.SocketListener] = []
    try:
        if (metrics := config.metrics) is not None:
            pages = await open_callback_listeners(metrics.host, metrics.port, setting="metrics.bind")
        public_url = _public_url(config, passed, lambda: entrances.port_of(listeners[0]))
        control = inherited.control
        if control is None:
            listener: Listener = await entrances.open_control(config.daemon.control_socket)
        else:
            _compare("daemon.control_socket", str(config.daemon.control_socket), [str(control.getsockname())])
            listener = trio.SocketListener(trio.socket.from_stdlib_socket(control))
    except BaseException:
        for each in (*listeners, *pages):
            await trio.aclose_forcefully(each)
        raise
    found = [entrances.descriptor_of(each) for each in (*listeners, *pages, listener)]
    return Doors(listeners, pages, listener, public_url, [each for each in found if each is not None])


def _public_url(config: Config, passed: Sequence[trio.SocketListener], port_of_own: Callable[[], int]) -> str:
    callbacks = config.callbacks
    if not passed:
        if callbacks.public_url_given or callbacks.port != 0:
            return callbacks.public_url
        return default_public_url(callbacks.host, port_of_own())
    addresses = [listener.socket.getsockname()[:2] for listener in passed]
    host, port = addresses[0]
    _compare("callbacks.bind", _words(callbacks.host, callbacks.port), [_words(*address) for address in addresses])
    if callbacks.public_url_given:
        return callbacks.public_url
    if is_unspecified(host):
        text = (
            f"missing: the service manager listens on {host}, every interface, and nobody can connect to that; say "
            "which address external systems reach, such as https://connectord.example.org"
        )
        source = "connectord.toml" if config.source is None else str(config.source)
        raise ConfigurationRefused([Problem(source, 0, "callbacks.public_url", text)])
    return default_public_url(host, port)


def _compare(key: str, configured: str, passed: list[str]) -> None:
    if configured not in passed:
        log.warning(
            "the service manager's socket counts, not the configuration; make both the same",
            key=key,
            configured=configured,
            listening=passed,
        )


def _words(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
