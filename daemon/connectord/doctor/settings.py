"""What an adapter's settings name: addresses, certificates, secrets, checks that are switched off.

Settings are anybody's models, so they are read by what their values look like.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pydantic

_PORTS = {"http": 80, "https": 443, "amqp": 5672, "amqps": 5671, "ws": 80, "wss": 443, "ssh": 22, "sftp": 22}
_WITH_TLS = frozenset({"https", "amqps", "wss"})
_SECRET_NAME = re.compile(r"password|passphrase|secret|token|bearer|authorization|api.?key|^key$|private_key", re.I)
_UNGUARDED = {"verify_tls": False, "verify": False, "insecure_accept_any_host_key": True}

Named = tuple[str, Any]
"""A setting's path, such as ``auth.oauth2.token_url``, and its value."""


@dataclass(frozen=True, slots=True)
class Target:
    """An address that a setting names. ``key`` is the setting."""

    key: str
    host: str
    port: int
    tls: bool
    http: bool

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def leaves(settings: pydantic.BaseModel, prefix: str = "") -> Iterator[Named]:
    """Every value of the settings that is no table, with its path."""
    for name in type(settings).model_fields:
        yield from _leaves(f"{prefix}{name}", getattr(settings, name))


def _leaves(path: str, value: Any) -> Iterator[Named]:
    if isinstance(value, pydantic.BaseModel):
        yield from leaves(value, f"{path}.")
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _leaves(f"{path}.{key}", each)
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from _leaves(f"{path}[{number}]", each)
    elif value is not None:
        yield path, value


def targets_of(settings: pydantic.BaseModel) -> list[Target]:
    """The addresses to connect to: those of the proxy alone where there is one, for the rest may be out of reach."""
    found: dict[tuple[str, int], Target] = {}
    for key, value in leaves(settings):
        target = _target(key, plain(value))
        if target is not None:
            found.setdefault((target.host, target.port), target)
    host, port = getattr(settings, "host", None), getattr(settings, "port", None)
    if isinstance(host, str) and isinstance(port, int):
        found.setdefault((host, port), Target("host", host, port, tls=False, http=False))
    targets = list(found.values())
    return [target for target in targets if target.key == "proxy"] or targets


def _target(key: str, value: Any) -> Target | None:
    if not isinstance(value, str) or "://" not in value:
        return None
    try:
        parts = urlsplit(value)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    # a host that comes from an action is nobody's yet
    if port is None or not parts.hostname or "{" in parts.netloc:
        return None
    return Target(
        key, parts.hostname, port, tls=parts.scheme in _WITH_TLS, http=parts.scheme in ("http", "https", "ws", "wss")
    )


def files_of(settings: pydantic.BaseModel) -> list[tuple[str, Path]]:
    """The files that settings name, by their keys: whatever is a path, or has one."""
    found = []
    for key, value in leaves(settings):
        path = value if isinstance(value, Path) else getattr(value, "path", None)
        if isinstance(path, str | Path) and Path(path).is_absolute():
            found.append((key, Path(path)))
    return found


def may_be_a_file(path: Path) -> bool:
    """Whether there is a file, or somebody keeps this process from seeing whether there is one."""
    try:
        return path.is_file()
    except OSError:
        return True


def secrets_in_the_file(settings: pydantic.BaseModel, known: tuple[str, ...]) -> list[str]:
    """The keys whose secrets stand in connectord.toml itself; ``known`` are those that came from elsewhere."""
    return [
        key
        for key, value in leaves(settings)
        if isinstance(value, pydantic.SecretStr)
        and _SECRET_NAME.search(key.rpartition(".")[2].partition("[")[0])
        and value.get_secret_value() not in known
    ]


def unguarded(settings: pydantic.BaseModel) -> list[str]:
    """The keys that switch off the check of who the system is, as they stand in the file."""
    return [
        f"{key} = {str(value).lower()}"
        for key, value in leaves(settings)
        if isinstance(value, bool) and _UNGUARDED.get(key.rpartition(".")[2]) is value
    ]


def plain(value: Any) -> Any:
    """The text of a secret; anything else as it is."""
    return value.get_secret_value() if isinstance(value, pydantic.SecretStr) else value
