"""``connectord``: the daemon's own command."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from connectord import __version__
from connectord.cli.database import DATABASE_COMMANDS
from connectord.errors import ConfigurationRefused, ConnectordError, StartRefused, StoreError, StoreTooNew

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


@main.command("new-adapter")
@click.argument("name")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Where the package's own directory is made. Default: here.",
)
def new_adapter(name: str, directory: Path) -> None:
    """Write a package for a new adapter: settings, adapter, tests, CI. Its tests pass at once.

    docs/writing-an-adapter.md goes on from there. Exit codes: 0 written, 1 refused: nothing was written.

    Example: connectord new-adapter parcel-desk
    """
    from connectord.cli.new_adapter import names_for, write_package

    try:
        written = write_package(names_for(name), directory)
    except ConnectordError as error:
        click.echo(f"connectord: {error}", err=True)
        sys.exit(EXIT_FAILURE)
    click.echo(f"{written}\nNow: cd {written}, and make check")


@main.command("export-attempt")
@_CONFIG
@click.argument("action_id", metavar="ID")
@click.option("--attempt", type=click.IntRange(min=1), help="Which attempt. Default: the last one.")
@click.option("--keep", multiple=True, metavar="PATH", help="Leave this as it is, such as data.amount; several times.")
def export_attempt(config_file: Path | None, action_id: str, attempt: int | None, keep: tuple[str, ...]) -> None:
    """Print an attempt as a redacted JSON fixture, which connectord.testing.replay() turns into a test's call.

    Reads the database, also while the daemon runs, and changes nothing. Strings become placeholders of the same
    length, but for those that --keep names; secrets of the configuration never show.

    Exit codes: 0 printed, 1 there is none, 78 configuration refused.

    Example: connectord export-attempt 01JDE... --attempt 2 --keep data.currency > tests/attempt.json
    """
    from connectord.cli.exporting import export

    try:
        text = export(config_file, action_id, attempt, keep, environ=os.environ, cwd=Path.cwd())
    except ConfigurationRefused as error:
        _print_problems(error)
        sys.exit(EXIT_CONFIGURATION)
    except ConnectordError as error:
        click.echo(f"connectord: {error}", err=True)
        sys.exit(EXIT_FAILURE)
    click.echo(text)


for _command in DATABASE_COMMANDS:
    main.add_command(_command)


def _print_problems(error: ConfigurationRefused) -> None:
    for problem in error.problems:
        click.echo(str(problem), err=True)


if __name__ == "__main__":
    main()
