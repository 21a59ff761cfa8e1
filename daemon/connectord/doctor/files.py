"""Who may read and write what: the state directory, the key, the socket, the configuration, credentials."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from connectord.config import Config
from connectord.control import results as r
from connectord.doctor.findings import error, fine, warning
from connectord.doctor.settings import files_of, may_be_a_file, secrets_in_the_file
from connectord.store.state_directory import DATABASE_NAME, TOKEN_KEY_NAME

CHECK = "permissions"

_OTHERS_READ, _OTHERS_WRITE = stat.S_IROTH, stat.S_IWOTH
_NOT_MINE = stat.S_IRWXG | stat.S_IRWXO


def check_files(config: Config, environ: Mapping[str, str], uid: int) -> Iterator[r.Finding]:
    """What lies open, and what the daemon's user ``uid`` cannot use."""
    directory = config.daemon.state_directory
    yield from _state_directory(directory, uid)
    yield from _private(directory / DATABASE_NAME, "the database")
    yield from _private(directory / TOKEN_KEY_NAME, "the key of the callback addresses", serious=True)
    yield from _socket(config.daemon.control_socket)
    if config.source is not None:
        yield from _configuration(config, config.source)
    yield from _credentials(environ.get("CREDENTIALS_DIRECTORY"))
    yield from _keys(config)


def _state_directory(directory: Path, uid: int) -> Iterator[r.Finding]:
    try:
        found = directory.stat()
    except FileNotFoundError:
        yield warning(CHECK, f"{directory} does not exist yet", "the daemon makes it when it starts")
        return
    except OSError as mistake:
        yield error(CHECK, f"{directory}: {mistake.strerror}", "let the daemon's user read and write it")
        return
    if found.st_uid != uid:
        words = f"{directory} belongs to {_user(found.st_uid)}, not to {_user(uid)}"
        if uid == 0:
            yield warning(
                CHECK, words, f"run the daemon as {_user(found.st_uid)}, or chown -R {_user(uid)} {directory}"
            )
        else:
            yield error(CHECK, words, f"chown -R {_user(uid)} {directory}")
    elif found.st_mode & (stat.S_IWGRP | _OTHERS_WRITE):
        yield error(CHECK, f"others may write in {directory} ({_mode(found)})", f"chmod 700 {directory}")
    elif found.st_mode & _NOT_MINE:
        yield warning(CHECK, f"others may look into {directory} ({_mode(found)})", f"chmod 700 {directory}")
    else:
        yield fine(CHECK, f"{directory} belongs to {_user(uid)} alone")


def _private(path: Path, what: str, *, serious: bool = False) -> Iterator[r.Finding]:
    try:
        found = path.stat()
    except OSError:
        return  # the state directory's own finding says why
    if found.st_mode & _NOT_MINE:
        words = f"{what} can be read by others: {path} ({_mode(found)})"
        yield (error if serious or found.st_mode & _OTHERS_READ else warning)(CHECK, words, f"chmod 600 {path}")
    else:
        yield fine(CHECK, f"{what} can be read by its user alone")


def _socket(path: Path) -> Iterator[r.Finding]:
    try:
        found, parent = path.stat(), path.parent.stat()
    except OSError:
        return  # whether somebody answers there is another question
    if parent.st_mode & _OTHERS_WRITE and not parent.st_mode & stat.S_ISVTX:
        words = f"anybody may put a socket of their own in the place of {path} ({_mode(parent)} on its directory)"
        yield error(CHECK, words, f"chmod o-w {path.parent}")
    else:
        yield fine(CHECK, f"the control socket {path} is in place ({_mode(found)})")


def _configuration(config: Config, path: Path) -> Iterator[r.Finding]:
    try:
        found = path.stat()
    except OSError as mistake:
        yield warning(CHECK, f"{path}: {mistake.strerror}", "put the file back: the next start needs it")
        return
    if found.st_mode & _OTHERS_WRITE:
        yield error(CHECK, f"anybody may write {path} ({_mode(found)})", f"chmod o-w {path}")
    open_to_all = bool(found.st_mode & _OTHERS_READ)
    for name, system in config.systems.items():
        for key in secrets_in_the_file(system.settings, config.secrets):
            words = f"the secret {system.adapter}.{key} stands in {path}"
            advice = 'put it into { credential = "NAME" } or { env = "NAME" }'
            if open_to_all:
                yield error(
                    CHECK, f"{words}, which anybody can read ({_mode(found)})", f"chmod 640 {path}, and {advice}", name
                )
            else:
                yield warning(CHECK, words, advice, name)


def _credentials(directory: str | None) -> Iterator[r.Finding]:
    if not directory:
        return
    try:
        files = sorted(Path(directory).iterdir())
        exposed = [file for file in files if file.stat().st_mode & _OTHERS_READ]
    except OSError as mistake:
        yield error(CHECK, f"{directory}: {mistake.strerror}", "check LoadCredential= in the systemd unit")
        return
    # systemd's own directory is closed, whatever the modes of the files in it
    if exposed and Path(directory).stat().st_mode & stat.S_IXOTH:
        yield error(CHECK, f"anybody can read the credential {exposed[0]}", f"chmod o-r {directory}/*")
    else:
        yield fine(CHECK, f"{len(files)} {'credential' if len(files) == 1 else 'credentials'} in {directory}")


def _keys(config: Config) -> Iterator[r.Finding]:
    for name, system in config.systems.items():
        for key, path in files_of(system.settings):
            try:
                exposed = may_be_a_file(path) and bool(path.stat().st_mode & _OTHERS_READ) and _has_key(path)
            except OSError as mistake:
                yield error(CHECK, f"{key}: {path}: {mistake.strerror}", "put it there, readable for the daemon", name)
                continue
            if exposed:
                yield error(CHECK, f"anybody can read the private key in {path} ({key})", f"chmod o-r {path}", name)


def _has_key(path: Path) -> bool:
    with path.open("rb") as stream:
        return b"PRIVATE KEY-----" in stream.read(1_048_576)


def _mode(found: os.stat_result) -> str:
    return f"mode {stat.S_IMODE(found.st_mode):04o}"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
