"""Colours are for terminals, unless somebody says otherwise; a mistyped word names the nearest one."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from connectord.cli.colours import wants_colours
from connectord.observability import _wants_colours


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, None),
        ({"NO_COLOR": ""}, None),
        ({"NO_COLOR": "1"}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({"TERM": "xterm"}, None),
    ],
)
def test_what_the_environment_says(
    environ: dict[str, str], wanted: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert wants_colours(environ) is wanted
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    # a log goes by the same; this one goes to no terminal
    assert _wants_colours(io.StringIO()) is bool(wanted)


PROGRAM = """
import sys
from connectord.cli.commands.group import cli
from connectord.cli.colours import alarming
import click
@cli.command("shout")
def shout(): click.echo(alarming("fire"))
cli(sys.argv[1:])
"""


def shouted(*args: str, terminal: bool, **environ: str) -> str:
    plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    command = [sys.executable, "-c", PROGRAM, *args, "shout"]
    environ = {**plain, "TERM": "xterm", **environ}
    if not terminal:
        return subprocess.run(command, env=environ, capture_output=True, check=True, timeout=60).stdout.decode()
    ours, theirs = pty.openpty()
    subprocess.run(command, env=environ, stdout=theirs, check=True, timeout=60)
    os.close(theirs)
    told = os.read(ours, 4096).decode()
    os.close(ours)
    return told


def test_colours_on_a_terminal_and_none_in_a_pipe() -> None:
    assert "\x1b[31m" in shouted(terminal=True)
    assert shouted(terminal=False) == "fire\n"
    assert "\x1b" not in shouted("--no-color", terminal=True)
    assert "\x1b" not in shouted(terminal=True, NO_COLOR="1")
    assert "\x1b" not in shouted("--no-color", terminal=False, FORCE_COLOR="1")
    assert "\x1b[31m" in shouted(terminal=False, FORCE_COLOR="1")


@pytest.mark.parametrize(
    ("module", "args", "words"),
    [
        ("control", ["sattus"], "Did you mean 'status'?"),
        ("control", ["config", "histori"], "Did you mean 'history'?"),
        ("control", ["xyzzy"], "Commands: assign, call,"),
        ("control", ["list", "--sytem", "x"], "'--system'"),
        ("control", ["list", "--state", "opne"], "'pending', 'attempting'"),
        ("daemon", ["rnu"], "Did you mean 'run'?"),
        ("daemon", ["run", "--confg", "x"], "Did you mean '--config'"),
    ],
)
def test_a_mistyped_word_names_the_nearest(module: str, args: list[str], words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"connectord.cli.{module}", *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert words in done.stderr


def test_without_a_daemon_it_says_what_to_do(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "connectord.cli.control", "--socket", tmp_path / "s", "status"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 3
    assert "connectorctl doctor" in done.stderr.splitlines()[1]
