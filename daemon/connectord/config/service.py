"""``[daemon]`` and ``[callbacks]``: the daemon's own places and addresses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from connectord.config.addresses import default_public_url, is_unspecified, parse_bind, parse_http_url, parse_network
from connectord.config.scalars import Reader, choice, duration, parsed, text, whole_number
from connectord.config.tables import Table
from connectord.config.values import (
    DEFAULT_DRAIN_MS,
    DEFAULT_LOOP_WARNING_MS,
    CallbackSettings,
    DaemonSettings,
    LogFormat,
    LogLevel,
)
from connectord.paths import default_control_socket, default_state_directory

DEFAULT_BIND = ("127.0.0.1", 8470)

# sun_path has 108 bytes, and a NUL ends it
_LONGEST_SOCKET_PATH = 107

SHORTEST_LOOP_WARNING_MS = 10
MOST_CONNECTIONS = 100_000
MOST_GUESSES = 1_000_000

_log_format: Reader[LogFormat] = choice("json", "console")
_log_level: Reader[LogLevel] = choice("debug", "info", "warning", "error")


def read_daemon(table: Table, directory: Path, environ: Mapping[str, str]) -> DaemonSettings:
    """The ``[daemon]`` table; relative paths begin in ``directory``, the one that the file is in."""

    def path(value: object) -> Path:
        return directory / text(value)

    def socket_path(value: object) -> Path:
        socket = path(value)
        if len(bytes(socket)) > _LONGEST_SOCKET_PATH:
            raise ValueError(
                f"the path of a unix socket has at most {_LONGEST_SOCKET_PATH} bytes: choose a shorter one"
            )
        return socket

    settings = DaemonSettings(
        state_directory=table.read("state_directory", path, default_state_directory(environ)),
        control_socket=table.read("control_socket", socket_path, Path(default_control_socket(environ))),
        log_format=table.read("log_format", _log_format, "json"),
        log_level=table.read("log_level", _log_level, "info"),
        drain_ms=table.read("drain", duration(), DEFAULT_DRAIN_MS),
        loop_warning_ms=table.read("loop_warning", _loop_warning, DEFAULT_LOOP_WARNING_MS),
    )
    table.finish()
    return settings


def _loop_warning(value: object) -> int | None:
    return None if value == "off" else duration(minimum_ms=SHORTEST_LOOP_WARNING_MS)(value)


def read_callbacks(table: Table) -> CallbackSettings:
    """The ``[callbacks]`` table."""
    host, port = table.read("bind", parsed(parse_bind), DEFAULT_BIND)
    public_url = table.read("public_url", parsed(parse_http_url), None)
    defaults = CallbackSettings(host, port, "")
    max_connections = table.read("max_connections", whole_number(1, MOST_CONNECTIONS), defaults.max_connections)
    per_address = table.read(
        "max_connections_per_address", whole_number(1, MOST_CONNECTIONS), defaults.max_connections_per_address
    )
    guesses = table.read("guesses_per_minute", whole_number(1, MOST_GUESSES), defaults.guesses_per_minute)
    trusted_proxies = tuple(table.read_each("trusted_proxies", parsed(parse_network)))
    table.finish()
    if is_unspecified(host) and "public_url" not in table:
        table.problem(
            "public_url",
            f"missing: bind listens on every interface, and nobody can connect to {host}; say which address external "
            "systems reach, such as https://connectord.example.org",
        )
    return CallbackSettings(
        host=host,
        port=port,
        public_url=public_url or default_public_url(host, port),
        public_url_given=public_url is not None,
        max_connections=max_connections,
        max_connections_per_address=per_address,
        guesses_per_minute=guesses,
        trusted_proxies=trusted_proxies,
    )
