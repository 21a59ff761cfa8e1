"""``connectord backup``, ``restore``, ``migrate`` and ``vacuum``: the database as a file."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from connectord.errors import ConfigurationRefused, ConnectordError

if TYPE_CHECKING:
    from connectord.store.restoration import BackupContents
    from connectord.store.sqlite_migrations import MigrationPlan

EXIT_FAILURE = 1
EXIT_CONFIGURATION = 78

Function = TypeVar("Function", bound=Callable[..., Any])


def _place(function: Function) -> Function:
    """The options that say which state directory is meant."""
    config = click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        help="The configuration, which names the state directory.  [default: as for run]",
    )
    directory = click.option(
        "--state-directory",
        type=click.Path(path_type=Path, file_okay=False),
        help="The state directory itself; then no configuration is read.",
    )
    return config(directory(function))


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--with-key", is_flag=True, help="Also copy the key of the callback addresses, to FILE.key.")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@_place
def backup(file: Path, with_key: bool, force: bool, config_file: Path | None, state_directory: Path | None) -> None:
    """Copy the database to FILE, whole and as of one commit, while the daemon runs.

    The daemon goes on meanwhile, and need not run. FILE is a SQLite database by itself; it is verified, and appears
    when it is complete on disk. It has all actions with their data, but no secret of the configuration. The addresses
    that external systems call back at are made with the key in callback.key: without that key (--with-key) a restore
    elsewhere does not know the addresses that are out. Keep FILE.key as you keep a password.

    Exit codes: 0 made, 1 not made, 78 configuration refused.

    Example: connectord backup --with-key /var/backups/connectord.db
    """
    with _refusals():
        from connectord.store.restoration import save_key
        from connectord.store.sqlite_backup import copy_database
        from connectord.store.state_directory import DATABASE_NAME

        directory = _directory(config_file, state_directory)
        source = directory / DATABASE_NAME
        _require(source)
        if with_key:
            # first, so that there is no backup that only seems to have its key
            click.echo(f"{save_key(directory, file.absolute(), overwrite=force)}: the key of the callback addresses")
        with _progress("copying") as tell:
            copy_database(source, file.absolute(), overwrite=force, progress=tell)
        click.echo(f"{file}: {_size_text(file.stat().st_size)}, verified")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--plan", is_flag=True, help="Only check FILE and say what would happen.")
@_place
def restore(file: Path, plan: bool, config_file: Path | None, state_directory: Path | None) -> None:
    """Put the backup FILE in the place of the database; the daemon must not run.

    FILE is checked first. The files of before are kept in a directory of their own. FILE.key, where it is there,
    becomes the key of the callback addresses; else the present key stays. It says what will happen to the actions at
    the next start.

    Exit codes: 0 restored, 1 not restored: nothing was changed, 78 configuration refused.

    Example: connectord restore /var/backups/connectord.db
    """
    with _refusals():
        from connectord.store.restoration import look_into, restore
        from connectord.store.state_directory import TOKEN_KEY_NAME, hold_state_directory

        directory = _directory(config_file, state_directory)
        contents = look_into(file, time.time_ns() // 1_000_000)
        if plan:
            click.echo(_contents_text(file, contents, key_here=(directory / TOKEN_KEY_NAME).exists()))
            return
        with hold_state_directory(directory, restoring=True):
            key_here = (directory / TOKEN_KEY_NAME).exists()
            aside = restore(file.absolute(), directory)
        click.echo(_contents_text(file, contents, key_here=key_here))
        click.echo(
            "\nRestored. " + (f"The files of before are in {aside}." if aside else "There was no database before.")
        )


@click.command()
@click.option("--plan", is_flag=True, help="Only say what would be done, how long it takes, and whether there is room.")
@click.option("--no-backup", is_flag=True, help="Do not copy the database first.")
@_place
def migrate(plan: bool, no_backup: bool, config_file: Path | None, state_directory: Path | None) -> None:
    """Bring the database up to date for this version; `connectord run` does the same by itself.

    A copy of the database is kept first, in backups/ of the state directory; the newest three stay. All of it is one
    transaction: broken off, nothing has changed. An older connectord refuses the database afterwards.

    Exit codes: 0 up to date (with --plan: it can be), 1 not, 78 configuration refused.

    Example: connectord migrate --plan
    """
    with _refusals():
        from connectord.store.sqlite_connection import open_reader, open_writer
        from connectord.store.sqlite_migrations import plan_migration
        from connectord.store.state_directory import DATABASE_NAME, hold_state_directory

        directory = _directory(config_file, state_directory)
        path = directory / DATABASE_NAME
        _require(path)
        with closing(open_reader(path)) as connection:
            found = plan_migration(connection, path)
        click.echo(_plan_text(found))
        if not found.pending:
            return
        if plan:
            sys.exit(0 if found.backup_fits else EXIT_FAILURE)
        with hold_state_directory(directory):
            open_writer(path, keep_backup=not no_backup).close()
        click.echo("done")


@click.command()
@_place
def vacuum(config_file: Path | None, state_directory: Path | None) -> None:
    """Write the whole database anew, as small as it can be; the daemon must not run.

    While it runs, retention gives free room back by itself; this is for after much was removed at once. It needs as
    much free room on the disk as the database has.

    Exit codes: 0 done, 1 not done: nothing was changed, 78 configuration refused.

    Example: connectord vacuum
    """
    with _refusals():
        from connectord.store.sqlite_connection import open_writer, translate_errors
        from connectord.store.state_directory import DATABASE_NAME, hold_state_directory

        directory = _directory(config_file, state_directory)
        path = directory / DATABASE_NAME
        _require(path)
        with hold_state_directory(directory):
            before = path.stat().st_size
            with closing(open_writer(path)) as connection, translate_errors():
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        click.echo(f"{path}: {_size_text(before)} before, {_size_text(path.stat().st_size)} now")


DATABASE_COMMANDS: tuple[click.Command, ...] = (backup, restore, migrate, vacuum)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except ConfigurationRefused as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        sys.exit(EXIT_CONFIGURATION)
    except ConnectordError as error:
        click.echo(f"connectord: {error}", err=True)
        sys.exit(EXIT_FAILURE)


def _directory(config_file: Path | None, state_directory: Path | None) -> Path:
    if state_directory is not None:
        return state_directory.absolute()
    from connectord.config import find_config, load_config
    from connectord.plugins import load_plugins

    plugins = load_plugins()
    path = find_config(config_file, os.environ, Path.cwd())
    config = load_config(path, adapters=plugins.adapters, notifiers=plugins.notifiers, environ=os.environ)
    return config.daemon.state_directory


def _require(database: Path) -> None:
    from connectord.errors import BackupFailed

    if not database.exists():
        raise BackupFailed(f"there is no database {database}: has the daemon run with this configuration?")


@contextmanager
def _progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on the terminal; silent where there is none."""
    with click.progressbar(length=1, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:

        def tell(done: int, total: int) -> None:
            bar.length = max(total, 1)
            bar.update(done - bar.pos)

        yield tell


def _contents_text(file: Path, contents: BackupContents, *, key_here: bool) -> str:
    from connectord.times import rfc3339

    counts = contents.counts
    newest = "nothing has happened in it" if contents.newest_at is None else rfc3339(contents.newest_at)
    lines = [
        f"{file}: sound; the newest change in it: {newest}",
        f"  pending      {counts.get('pending', 0)}, of which {contents.due} are due: attempted at the next start",
        f"  attempting   {contents.open_attempts} attempts become interrupted, and count (rule 14)",
        f"  waiting      {counts.get('waiting', 0)}, of which {contents.overdue} are overdue: To Do at once (rule 4)",
        f"  To Do        {counts.get('todo', 0)}, in progress {counts.get('in_progress', 0)}: stay as they are",
        f"  closed       {counts.get('closed', 0)}",
        f"  owners       {contents.undelivered} notifications are not delivered: tried again",
    ]
    if contents.migrations:
        lines.append(f"  migrations   the next start applies {', '.join(contents.migrations)}")
    if contents.has_key:
        lines.append("  callbacks    with its key: the addresses that were given out work")
    elif key_here:
        lines.append("  callbacks    without a key; the present one stays: the addresses that it made work")
    else:
        lines.append("  callbacks    WITHOUT A KEY: the addresses that were given out will not work any more")
    lines.append(
        "What was done after the backup is not known any more: an action that was handed over since is handed over "
        "again,\nwith the same idempotency key; the answers of systems to actions submitted since are refused (404)."
    )
    return "\n".join(lines)


def _plan_text(plan: MigrationPlan) -> str:
    if not plan.pending:
        return (
            f"the database is up to date ({plan.applied[-1].removesuffix('.sql')})" if plan.applied else "it is empty"
        )
    lines = [f"{name}  {purpose}" for name, purpose in plan.pending]
    rows = ", ".join(f"{count:,} {table}" for table, count in plan.rows.items())
    room = "fits" if plan.backup_fits else "DOES NOT FIT: make room, or use --no-backup"
    return "\n".join(
        [
            f"{len(lines)} to apply:",
            *(f"  {line}" for line in lines),
            f"rows: {rows}",
            f"about {max(1, round(plan.seconds))} s, in which the daemon does not run",
            f"backup: {_size_text(plan.backup_bytes)}, {_size_text(plan.free_bytes)} free: {room}",
        ]
    )


def _size_text(size: int) -> str:
    return f"{size / 1_048_576:,.1f} MiB"
