"""``connectord``: the daemon's own command."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from connectord import __version__
from connectord.cli.colours import no_color_option
from connectord.cli.database import DATABASE_COMMANDS
from connectord.cli.groups import Commands
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


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: connectord run --config /etc/connectord/connectord.toml",
)
@click.version_option(__version__, prog_name="connectord")
@no_color_option
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
    prepare_imports()
    from connectord.guards.leaving import leave
    from connectord.running import run_daemon
    from connectord.systemd import notify_status, take_inherited

    packages: Callable[[], Mapping[str, str]] = dict
    code = 0
    try:
        inherited = take_inherited(os.environ, os.getpid())
        packages = run_daemon(config_file, environ=dict(os.environ), cwd=Path.cwd(), inherited=inherited)
    except ConfigurationRefused as error:
        _print_problems(error)
        notify_status(f"configuration refused: {error.problems[0]}")
        code = EXIT_CONFIGURATION
    except (StartRefused, StoreTooNew) as error:
        click.echo(f"connectord: {error}", err=True)
        notify_status(str(error))
        code = EXIT_FAILURE
    except StoreError as error:
        notify_status(f"the store failed: {error}")
        click.echo(f"connectord: {error}; the daemon must be started again", err=True)
        code = EXIT_STORE_FAILED
    leave(code, packages)


def prepare_imports() -> None:
    """What makes a start faster by a fifth."""
    # tens of thousands of objects that all stay: looking for garbage finds none, until the daemon sets the collector up
    gc.disable()
    if "rich" not in sys.modules:
        # both take rich in where it is installed, for colours and tracebacks that a daemon's log does not have
        sys.modules["rich"] = None  # type: ignore[assignment]
        try:
            import httpx  # noqa: F401
            import structlog  # noqa: F401
        finally:
            del sys.modules["rich"]


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

    Example: connectord demo
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


_USER = click.option("--user", is_flag=True, help="A service of your own instead of the system's; needs no root.")
_ROOT = click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("/"),
    help="Put before every path: for the image of another system.",
)
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Only say what would be done.")


@main.command("install-service")
@_CONFIG
@_USER
@click.option("--socket-activation", "sockets", is_flag=True, help="systemd holds the sockets over every restart.")
@click.option("--notify-reload", is_flag=True, help="For systemd 253 and later: Type=notify-reload.")
@click.option("--no-start", is_flag=True, help="Enable the service, but do not start it now.")
@_ROOT
@_DRY_RUN
def install_service(
    config_file: Path | None,
    user: bool,
    sockets: bool,
    notify_reload: bool,
    no_start: bool,
    root: Path,
    dry_run: bool,
) -> None:
    """Install connectord as a service of systemd, and start it. Says every file and every command.

    The units lie in /etc/systemd/system, or ~/.config/systemd/user with --user. With --socket-activation a restart
    refuses no connection. Where there is no configuration one without systems is written. What was not written by
    this command is never overwritten. Doing it again brings the units up to date.

    Exit codes: 0 done, 1 refused or failed.

    Example: connectord install-service --socket-activation --dry-run
    """
    from connectord.cli.service import install
    from connectord.service.installing import Place

    try:
        install(
            Place(user, root.absolute()),
            config_file,
            sockets=sockets,
            notify_reload=notify_reload,
            start=not no_start,
            dry_run=dry_run,
        )
    except ConnectordError as error:
        click.echo(f"connectord: {error}", err=True)
        sys.exit(EXIT_FAILURE)


@main.command("uninstall-service")
@_USER
@click.option("--purge", is_flag=True, help="Remove the state directory, too: every action and its history.")
@click.option("--yes", is_flag=True, help="With --purge: do not ask.")
@_ROOT
@_DRY_RUN
def uninstall_service(user: bool, purge: bool, yes: bool, root: Path, dry_run: bool) -> None:
    """Stop the service, and remove the units that install-service wrote. The state and the configuration stay.

    Exit codes: 0 done, 1 refused or failed.

    Example: connectord uninstall-service --dry-run
    """
    from connectord.cli.service import uninstall
    from connectord.service.installing import Place

    try:
        uninstall(Place(user, root.absolute()), purge=purge, yes=yes, dry_run=dry_run)
    except ConnectordError as error:
        click.echo(f"connectord: {error}", err=True)
        sys.exit(EXIT_FAILURE)


@main.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that makes a shell complete this command.

    Example: connectord completion bash > /etc/bash_completion.d/connectord
    """
    from connectord.cli.completion import print_script

    print_script(main, "connectord", shell)


for _command in DATABASE_COMMANDS:
    main.add_command(_command)


def _print_problems(error: ConfigurationRefused) -> None:
    for problem in error.problems:
        click.echo(str(problem), err=True)


if __name__ == "__main__":
    main()
