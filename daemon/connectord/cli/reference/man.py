"""The manual pages: connectord(1), connectorctl(1), connectord.toml(5)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby

from connectord import __version__
from connectord.cli.reference.commands import CommandPage
from connectord.cli.reference.keys import Key

_EXIT = {
    "connectord": (
        ("0", "stopped as asked, or nothing is wrong"),
        ("1", "it could not start or go on, or what was asked for cannot be done"),
        ("2", "usage"),
        ("74", "the store failed: start it again, it must never go on after an I/O error"),
        ("78", "the configuration was refused: starting it again does not help"),
    ),
    "connectorctl": (
        ("0", "done"),
        ("1", "the daemon refused, or doctor found an error"),
        ("2", "usage"),
        ("3", "no daemon there"),
    ),
}
_ENVIRONMENT = {
    "connectord": (
        ("CONNECTORD_CONFIG", "the configuration, where --config names none"),
        ("STATE_DIRECTORY, RUNTIME_DIRECTORY, CREDENTIALS_DIRECTORY", "as systemd sets them"),
        ("NO_COLOR, FORCE_COLOR", "no colours in a log for the console, or colours without a terminal too"),
    ),
    "connectorctl": (
        ("CONNECTORD_SOCKET", "the daemon's control socket, where --socket names none"),
        ("COLUMNS", "how wide the terminal is; without a terminal nothing is ever cut"),
        ("NO_COLOR, FORCE_COLOR", "no colours, or colours without a terminal too"),
    ),
}
_ABOUT_THE_FILE = (
    """It is looked for at --config FILE, $CONNECTORD_CONFIG, ./connectord.toml, /etc/connectord/connectord.toml,
    in this order. Check a change with connectord check, apply it with connectorctl reload. Durations are a number and
    ms, s, m, h or d, such as "1.5s". Relative paths begin in the directory of the file.""",
    """Secrets never stand in the file: wherever a string is expected in [notify] or in an adapter's settings,
    { credential = "NAME" } reads the file $CREDENTIALS_DIRECTORY/NAME, and { env = "NAME" } an environment variable. A
    key is in force with a reload, unless restart stands at it.""",
)
_FILES = (
    ("/etc/connectord/connectord.toml", "the configuration: connectord.toml(5)"),
    ("/run/connectord/control.sock", "the control socket"),
    ("/var/lib/connectord", "the state directory: the database, its key, its lock"),
)


def command_page(pages: Iterable[CommandPage]) -> str:
    """The page of a command and of all that is below it."""
    first, *below = pages
    name = first.path
    lines = [*_head(name, 1), ".SH NAME", f"{_plain(name)} \\- {_plain(_bare(first.short))}", ".SH SYNOPSIS"]
    lines += [f".B {_plain(name)}", _plain(first.usage.removeprefix(name).strip()), ".SH DESCRIPTION"]
    lines += _paragraphs(first.text)
    lines += [".SH OPTIONS", *_options(first)]
    lines.append(".SH COMMANDS")
    for page in below:
        if page.is_group:
            continue
        lines += [f".SS {_plain(page.path.removeprefix(name).strip())}", f".B {_plain(page.path)}"]
        lines.append(_plain(page.usage.removeprefix(page.path).strip()) or "\\&")
        lines += [".PP", *_paragraphs(page.text), *_options(page)]
        for example in page.examples:
            lines += [".PP", "Example:", *_literal(example)]
    for title, rows in (("EXIT STATUS", _EXIT[name]), ("ENVIRONMENT", _ENVIRONMENT[name]), ("FILES", _FILES)):
        lines += [f".SH {title}", *_terms(rows)]
    other = "connectorctl" if name == "connectord" else "connectord"
    lines += [".SH SEE ALSO", f".BR {other} (1),", ".BR connectord.toml (5)"]
    return "\n".join(lines) + "\n"


def configuration_page(keys: Iterable[Key], adapters: Iterable[tuple[str, Iterable[Key]]]) -> str:
    """connectord.toml(5)."""
    lines = [*_head("connectord.toml", 5), ".SH NAME", "connectord.toml \\- the configuration of connectord"]
    lines += [".SH DESCRIPTION"]
    lines += _paragraphs(_ABOUT_THE_FILE)
    tables: dict[str, list[Key]] = {}
    for key in keys:
        tables.setdefault(key.table, []).append(key)
    for table, members in tables.items():
        lines += [f".SH {_plain(table)}", *_keys(members)]
    for name, own in adapters:
        lines += [f".SH THE ADAPTER {_plain(name.upper())}"]
        for table, group in groupby(own, key=lambda key: key.table):
            lines += [f".SS {_plain(table)}", *_keys(group)]
    lines += [".SH SEE ALSO", ".BR connectord (1),", ".BR connectorctl (1)"]
    return "\n".join(lines) + "\n"


def _keys(keys: Iterable[Key]) -> Iterator[str]:
    for key in keys:
        default = "must be there" if key.default is None else f"default: {key.default}"
        about = [key.takes, default, *(["restart"] if key.restart else [])]
        yield ".TP"
        yield f".B {_plain(key.name)}"
        yield _plain(f"{_single(key.meaning)} ({'; '.join(about)})".strip())


def _head(name: str, section: int) -> list[str]:
    return [
        '.\\" made by python -m connectord.cli.reference; not to be edited',
        f'.TH {_plain(name.upper())} {section} "" "connectord {__version__}" "connectord"',
        ".ad l",
        ".nh",
    ]


def _options(page: CommandPage) -> Iterator[str]:
    yield from _terms((option.written, _single(option.help)) for option in page.options)


def _terms(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    for term, text in rows:
        yield ".TP"
        yield f".B {_plain(term)}"
        yield _plain(text) or "\\&"


def _paragraphs(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        yield _plain(_single(text))
        yield ".PP"


def _literal(text: str) -> list[str]:
    return [".PP", ".nf", ".RS", _plain(text), ".RE", ".fi"]


def _bare(sentence: str) -> str:
    return sentence.rstrip(".").partition(". ")[0]


def _single(text: str) -> str:
    return " ".join(text.replace("``", "").split())


def _plain(text: str) -> str:
    """Text in which nothing means anything to roff."""
    escaped = (
        text.replace("\\", "\\e").replace("-", "\\-").replace("^", "\\(ha").replace("~", "\\(ti").replace("`", "\\(ga")
    )
    escaped = escaped.replace('"', "\\(dq").replace("'", "\\(aq")
    return re.sub(r"^([.])", r"\\&\1", escaped, flags=re.M)
