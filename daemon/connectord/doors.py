"""The addresses that the daemon answers at: its own, or sockets that the service manager holds over a restart."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
import trio

from connectord.callbacks import open_callback_listeners
from connectord.config import Config
from connectord.config.addresses import default_public_url, is_unspecified
from connectord.control.server import open_control_listener
from connectord.errors import ConfigurationRefused, Problem
from connectord.systemd import Inherited

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Doors:
    """The listening sockets, and the address under which external systems reach the first of them."""

    callbacks: list[trio.SocketListener]
    metrics: list[trio.SocketListener]
    control: trio.SocketListener
    public_url: str

    @property
    def descriptors(self) -> list[int]:
        """Their file descriptors."""
        return [listener.socket.fileno() for listener in (*self.callbacks, *self.metrics, self.control)]


async def open_doors(config: Config, inherited: Inherited) -> Doors:
    """Take the sockets that the service manager passed; open those that it did not.

    Raises :class:`connectord.errors.AddressUnusable` where one cannot be bound, and leaves none open then. Raises
    :class:`ConfigurationRefused` where nobody could tell an external system the address of a passed one.
    """
    callbacks = config.callbacks
    passed = [trio.SocketListener(trio.socket.from_stdlib_socket(each)) for each in inherited.callbacks]
    listeners = passed or await open_callback_listeners(callbacks.host, callbacks.port)
    pages: list[trio.SocketListener] = []
    try:
        if (metrics := config.metrics) is not None:
            pages = await open_callback_listeners(metrics.host, metrics.port, setting="metrics.bind")
        public_url = _public_url(config, listeners, passed=bool(passed))
        control = inherited.control
        if control is None:
            listener = await open_control_listener(config.daemon.control_socket)
        else:
            _compare("daemon.control_socket", str(config.daemon.control_socket), [str(control.getsockname())])
            listener = trio.SocketListener(trio.socket.from_stdlib_socket(control))
    except BaseException:
        for each in (*listeners, *pages):
            each.socket.close()
        raise
    return Doors(listeners, pages, listener, public_url)


def _public_url(config: Config, listeners: list[trio.SocketListener], *, passed: bool) -> str:
    callbacks = config.callbacks
    addresses = [listener.socket.getsockname()[:2] for listener in listeners]
    host, port = addresses[0]
    if not passed:
        if callbacks.public_url_given or callbacks.port != 0:
            return callbacks.public_url
        return default_public_url(callbacks.host, port)
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
