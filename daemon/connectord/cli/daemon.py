"""``connectord``: the daemon's own command."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from connectord import __version__
from connectord.errors import ConfigurationRefused, StartRefused, StoreError, StoreTooNew

EXIT_FAILURE = 1
EXIT_STORE_FAILED = 74
EXIT_CONFIGURATION = 78

_CONFIG = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="The configuration. Default: $CONNECTORD_CONFIG, ./connectord.toml, /etc/connectord/connectord.toml.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="connectord")
def main() -> None:
    """Trigger actions in external systems and never lose track of one."""


@main.command()
@_CONFIG
def run(config_file: Path | None) -> None:
    """Run the daemon in the foreground.

    SIGHUP reloads connectord.toml, SIGTERM drains and stops, a second SIGTERM stops at once.

    It ends at the latest 5 seconds after the drain, whatever a plugin does; what holds it up is named in the log.

    Exit codes: 0 stopped as asked, 1 failure or ended although something held it up, 2 usage,
    74 the store failed, 78 configuration refused.

    Example: connectord run --config /etc/connectord/connectord.toml
    """
    from connectord.guards.leaving import leave
    from connectord.running import run_daemon

    packages: Callable[[], Mapping[str, str]] = dict
    code = 0
    try:
        packages = run_daemon(config_file, environ=dict(os.environ), cwd=Path.cwd())
    except ConfigurationRefused as error:
        _print_problems(error)
        code = EXIT_CONFIGURATION
    except (StartRefused, StoreTooNew) as error:
        click.echo(f"connectord: {error}", err=True)
        code = EXIT_FAILURE
    except StoreError as error:
        click.echo(f"connectord: {error}; the daemon must be started again", err=True)
        code = EXIT_STORE_FAILED
    leave(code, packages)


@main.command()
@_CONFIG
def check(config_file: Path | None) -> None:
    """Check the whole configuration without starting: every error at once, each with its line.

    Exit codes: 0 it can be used, 78 it cannot.

    Example: connectord check --config ./connectord.toml
    """
    from connectord.config import find_config, load_config
    from connectord.plugins import load_plugins

    plugins = load_plugins()
    for problem in plugins.problems:
        click.echo(f"connectord: warning: {problem}", err=True)
    try:
        path = find_config(config_file, os.environ, Path.cwd())
        config = load_config(path, adapters=plugins.adapters, notifiers=plugins.notifiers, environ=os.environ)
    except ConfigurationRefused as error:
        _print_problems(error)
        sys.exit(EXIT_CONFIGURATION)
    count = len(config.systems)
    click.echo(f"{path}: ok, {count} {'system' if count == 1 else 'systems'}")


@main.command()
def demo() -> None:
    """Show the main job: a real daemon, a real HTTP server, every rule seen once. Takes less than a minute.

    Exit code 0 only if every outcome was the expected one.
    """
    from connectord.cli.demo import run_demo

    sys.exit(run_demo())


def _print_problems(error: ConfigurationRefused) -> None:
    for problem in error.problems:
        click.echo(str(problem), err=True)


if __name__ == "__main__":
    main()
