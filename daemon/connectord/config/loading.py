"""From a file to a :class:`Config`, or to every problem that the file has."""

from __future__ import annotations

import codecs
import hashlib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from connectord.adapters import Adapter
from connectord.config.allocations import AllocationReader, known_queues, read_queues
from connectord.config.control import read_control
from connectord.config.monitoring import read_metrics, read_tracing
from connectord.config.notify import read_notify
from connectord.config.positions import find_lines
from connectord.config.retention import read_retention
from connectord.config.retries import read_retry
from connectord.config.secrets import Secrets
from connectord.config.service import read_callbacks, read_daemon
from connectord.config.systems import SystemsReader
from connectord.config.tables import Asked, Problems, Table
from connectord.config.values import Config
from connectord.errors import ConfigurationRefused, Problem
from connectord.extensions import Notifier
from connectord.lifecycle.policy import Policy, RetryPolicy

FILE_NAME = "connectord.toml"
SYSTEM_WIDE = Path("/etc/connectord/connectord.toml")
LARGEST_FILE = 4_194_304
"""The most bytes that a configuration file may have."""

# what stands in Problem.key where no key is to blame
_FILE = "file"
_SYNTAX = "syntax"


def find_config(explicit: Path | None, environ: Mapping[str, str], cwd: Path) -> Path:
    """The configuration file to use: ``explicit``, else ``$CONNECTORD_CONFIG``, else the first that exists of
    ``cwd/connectord.toml`` and ``/etc/connectord/connectord.toml``.

    Relative paths begin in ``cwd``. Raises :class:`ConfigurationRefused` when the file that was named, or every
    one that was looked for, does not exist.
    """
    variable = environ.get("CONNECTORD_CONFIG")
    if explicit is not None:
        candidates = [(cwd / explicit, "--config")]
    elif variable:
        candidates = [(cwd / variable, "$CONNECTORD_CONFIG")]
    else:
        candidates = [(cwd / FILE_NAME, "the working directory"), (SYSTEM_WIDE, "the whole machine")]
    for path, _ in candidates:
        if _exists(path):
            return path
    looked = ", ".join(f"{path} ({whence})" for path, whence in candidates)
    message = f"there is no configuration; looked for {looked}"
    if len(candidates) > 1:
        message += "; name one with --config or $CONNECTORD_CONFIG"
    raise ConfigurationRefused([Problem(str(candidates[0][0]), 0, _FILE, message)])


def load_config(
    path: Path,
    *,
    adapters: Mapping[str, type[Adapter]],
    environ: Mapping[str, str],
    text: bytes | None = None,
    name: str | None = None,
    notifiers: Mapping[str, type[Notifier]] = MappingProxyType({}),
    asked: list[Asked] | None = None,
) -> Config:
    """The configuration in the file at ``path`` or, where ``text`` is given, in a text as if it stood there.

    ``name`` is what problems call it; the path if left out. ``adapters`` are the ones that systems may use, by name,
    and ``notifiers`` the ways to owners that plugins brought;
    ``environ`` gives ``STATE_DIRECTORY``, ``RUNTIME_DIRECTORY``, ``CREDENTIALS_DIRECTORY`` and the variables that
    secrets name. ``asked`` takes every key that is known.
    Raises :class:`ConfigurationRefused` with every problem at once, in the order of their lines; a syntax
    error hides the others. A problem of the file as a whole has the key ``file``, one of TOML's syntax the key
    ``syntax``.
    """
    content = _read(path) if text is None else text
    shown = path if name is None else Path(name)
    document = _decode(shown, content)
    values = _parse(shown, document)
    problems = Problems(str(shown), find_lines(document), asked)
    secrets = Secrets(environ, problems)
    root = Table(values, (), problems)

    daemon = read_daemon(root.table("daemon"), path.absolute().parent, environ)
    callbacks = read_callbacks(root.table("callbacks"))
    retry_table = root.table("retry")
    retry = read_retry(retry_table, RetryPolicy())
    system_table = root.table("systems")
    allocation = AllocationReader(root.tables("allocation"), root.table("groups"), system_table.values)
    queues = read_queues(root.table("queues"))
    systems = SystemsReader(adapters, (retry_table, retry), allocation, problems, secrets).read(system_table)
    unconfigured = Policy(retry=retry, allocation=allocation.rules)
    notify = read_notify(root.table("notify"), secrets, problems, notifiers)
    control = read_control(root.table("control"))
    metrics = read_metrics(root.table("metrics"))
    tracing = read_tracing(root.table("tracing"), secrets, problems)
    retention = read_retention(root.table("retention"))
    root.finish()
    if problems:
        raise ConfigurationRefused(problems.in_order())
    return Config(
        source=path,
        digest=hashlib.sha256(content).hexdigest(),
        text=content,
        daemon=daemon,
        callbacks=callbacks,
        systems=MappingProxyType(systems),
        unconfigured=unconfigured,
        groups=MappingProxyType(allocation.groups),
        queues=MappingProxyType(
            known_queues(queues, allocation.groups, [unconfigured, *(system.policy for system in systems.values())])
        ),
        notify=notify,
        control=control,
        metrics=metrics,
        tracing=tracing,
        retention=retention,
        secrets=secrets.values,
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # it is there, but out of reach: reading it will say why
        return True


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except IsADirectoryError:
        raise _refused(path, 0, _FILE, f"is a directory; name the file in it, such as {path / FILE_NAME}") from None
    except FileNotFoundError:
        raise _refused(path, 0, _FILE, "does not exist") from None
    except OSError as error:
        raise _refused(path, 0, _FILE, f"cannot be read: {error.strerror}") from error
    if len(content) > LARGEST_FILE:
        raise _refused(path, 0, _FILE, f"has more than {LARGEST_FILE} bytes")
    return content


def _decode(path: Path, content: bytes) -> str:
    # editors on Windows put a mark at the beginning, which says nothing
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise _refused(path, line, _SYNTAX, f"is not UTF-8: the byte 0x{byte:02x} stands here") from None


def _parse(path: Path, document: str) -> dict[str, Any]:
    try:
        return tomllib.loads(document)
    except RecursionError:
        raise _refused(path, 0, _SYNTAX, "is nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError is one, and so is a number with too many digits
        message = str(error)
        place = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
        if place is None:
            raise _refused(path, 0, _SYNTAX, message) from None
        line = int(place[1]) if place[1] else max(len(document.splitlines()), 1)
        where = f" (column {place[2]})" if place[2] else " (the file ends there)"
        raise _refused(path, line, _SYNTAX, message[: place.start()] + where) from None


def _refused(path: Path, line: int, key: str, message: str) -> ConfigurationRefused:
    return ConfigurationRefused([Problem(str(path), line, key, message)])
