"""Where things are when nobody says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def default_state_directory(environ: Mapping[str, str]) -> Path:
    """``$STATE_DIRECTORY`` as systemd sets it, else ``/var/lib/connectord``."""
    from pathlib import Path

    # systemd joins several directories with colons; ours is the first
    directory = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(directory or "/var/lib/connectord")


def default_control_socket(environ: Mapping[str, str]) -> str:
    """``$RUNTIME_DIRECTORY/control.sock`` as systemd sets it, else ``/run/connectord/control.sock``."""
    # a plain string: pathlib and what it imports would be a tenth of connectorctl's start
    directory = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return f"{(directory or '/run/connectord').rstrip('/')}/control.sock"
