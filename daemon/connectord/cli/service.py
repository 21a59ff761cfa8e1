"""``connectord install-service`` and ``uninstall-service``."""

from __future__ import annotations

import os
import shutil
import sys
import tomllib
from pathlib import Path

import click

from connectord.config.addresses import parse_bind
from connectord.errors import ServiceRefused
from connectord.service.installing import Place, plan_installation, plan_removal
from connectord.service.units import DEFAULT_CALLBACKS, UnitOptions


def install(
    place: Place, config_file: Path | None, *, sockets: bool, notify_reload: bool, start: bool, dry_run: bool
) -> None:
    """Write the units and start the service. Raises :class:`ServiceRefused`."""
    config = (config_file or place.config).absolute()
    options = UnitOptions(
        connectord=_command("connectord"),
        connectorctl=_command("connectorctl"),
        config=_inside(place, config),
        callbacks=_callbacks(config),
        user=place.user,
        sockets=sockets,
        notify_reload=notify_reload,
    )
    if sockets and options.callbacks.endswith(":0"):
        raise ServiceRefused(f"{config}: callbacks.bind needs a port of its own for socket activation, not 0")
    plan_installation(options, place, start=start).carry_out(click.echo, dry_run=dry_run)


def uninstall(place: Place, *, purge: bool, yes: bool, dry_run: bool) -> None:
    """Stop the service and remove the units. Raises :class:`ServiceRefused`."""
    plan = plan_removal(place, purge=purge)
    if purge and not (yes or dry_run):
        state = place.state[-1]
        click.confirm(f"Remove every action and its history in {state}? That cannot be undone", abort=True)
    plan.carry_out(click.echo, dry_run=dry_run)


def _callbacks(config: Path) -> str:
    """Where the configuration says that callbacks come in: the socket listens there, too.

    Nothing else of it is read: its credentials are the service's own.
    """
    if not config.exists():
        return DEFAULT_CALLBACKS
    try:
        table = tomllib.loads(config.read_text(encoding="utf-8")).get("callbacks", {})
        host, port = parse_bind(table.get("bind", DEFAULT_CALLBACKS))
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ServiceRefused(f"{config}: {error}; see connectord check --config {config}") from error
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _command(name: str) -> str:
    beside = Path(sys.argv[0]).absolute().parent / name
    in_environment = Path(sys.executable).parent / name
    for candidate in (beside, in_environment):
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return str(candidate)
    found = shutil.which(name)
    if found is None:
        raise ServiceRefused(f"the command {name} is not installed beside {sys.executable}")
    return found


def _inside(place: Place, config: Path) -> str:
    return str(config if place.root == Path("/") else Path("/") / config.relative_to(place.root))
