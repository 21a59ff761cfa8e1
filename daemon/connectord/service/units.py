"""The unit files: written out for one place of the commands, of the configuration and of the sockets."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath

SERVICE = "connectord.service"
SOCKETS = ("connectord.socket", "connectord-control.socket")
DROP_INS = PurePosixPath(f"{SERVICE}.d")
SOCKETS_DROP_IN = DROP_INS / "10-sockets.conf"
NOTIFY_RELOAD_DROP_IN = DROP_INS / "20-notify-reload.conf"

SYSTEM_UNITS = PurePosixPath("/etc/systemd/system")
SYSTEM_CONFIG = PurePosixPath("/etc/connectord/connectord.toml")
DEFAULT_CALLBACKS = "127.0.0.1:8470"
RUNTIME_SOCKET = "/run/connectord/control.sock"


@dataclass(frozen=True, slots=True)
class UnitOptions:
    """What the units depend on. ``callbacks`` is ``HOST:PORT``, as ``ListenStream=`` has it."""

    connectord: str
    connectorctl: str
    config: str
    callbacks: str = DEFAULT_CALLBACKS
    user: bool = False
    """For a user's own service manager, instead of the system's."""
    sockets: bool = False
    """With socket activation."""
    notify_reload: bool = False
    """For systemd 253 and later, ``Type=notify-reload``."""


def render_units(options: UnitOptions) -> dict[PurePosixPath, str]:
    """The unit files' texts, by their names below the directory of units."""
    files = {PurePosixPath(SERVICE): _fill("user.service" if options.user else SERVICE, options)}
    if options.sockets:
        files[SOCKETS_DROP_IN] = _fill("user-sockets.conf" if options.user else "sockets.conf", options)
        files |= {PurePosixPath(name): _fill(name, options) for name in SOCKETS}
    if options.notify_reload:
        files[NOTIFY_RELOAD_DROP_IN] = _fill("notify-reload.conf", options)
    return files


def render_configuration(options: UnitOptions) -> str:
    """A configuration to begin with, without any system."""
    return _fill("connectord.toml", options)


def every_unit() -> tuple[PurePosixPath, ...]:
    """The names of all files that may be there."""
    return (PurePosixPath(SERVICE), SOCKETS_DROP_IN, NOTIFY_RELOAD_DROP_IN, *map(PurePosixPath, SOCKETS))


def write_tree(root: Path, files: dict[PurePosixPath, str], directory: PurePosixPath) -> None:
    """Write the files below ``root``, as a package of the system would have them."""
    for name, text in files.items():
        target = root / str(directory / name).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def _fill(name: str, options: UnitOptions) -> str:
    text = resources.files("connectord.service").joinpath("files", name).read_text(encoding="utf-8")
    if options.user:
        text = text.replace(RUNTIME_SOCKET, "%t/connectord/control.sock")
    words = {
        # spaces and percent signs mean something in a unit file
        "@CONNECTORD@": _quote(options.connectord),
        "@CONNECTORCTL@": _quote(options.connectorctl),
        "@CONFIG@": options.config if name.endswith(".toml") else _quote(options.config),
        "@CALLBACKS@": options.callbacks,
        "@USER@": " --user" if options.user else "",
    }
    for place, word in words.items():
        text = text.replace(place, word)
    return text


def _quote(path: str) -> str:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if any(character in escaped for character in " ;'\"") else escaped
