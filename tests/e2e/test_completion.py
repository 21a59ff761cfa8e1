"""The shells complete commands, options, and what the running daemon knows; without a daemon they say nothing."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from connectord.testing.daemon_process import DaemonProcess
from helpers.programs import require_program

START = {
    "bash": ("--norc", "--noprofile", "-i"),
    "zsh": ("-f", "-i"),
    "fish": ("--no-config", "-i"),
}
TRIES = 5
BEFORE = {
    "bash": "bind 'set bell-style none'; ",
    "zsh": "unsetopt beep; autoload -U compinit; compinit -u -D; ",
    "fish": "",
}


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A directory with the two commands as an installation has them."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name, module in (("connectorctl", "control"), ("connectord", "daemon")):
        file = directory / name
        file.write_text(f'#!/bin/sh\nexec {sys.executable} -m connectord.cli.{module} "$@"\n')
        file.chmod(0o755)
    return directory


class Shell:
    """A shell on a terminal, that somebody types into."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.told = ""

    async def type(self, text: str) -> None:
        self.told = ""
        os.write(self._descriptor, text.encode())

    async def until(self, text: str) -> None:
        with trio.fail_after(60):
            while text not in self.told:
                await trio.lowlevel.wait_readable(self._descriptor)
                try:
                    self.told += os.read(self._descriptor, 4096).decode(errors="replace")
                except BlockingIOError:
                    continue


@asynccontextmanager
async def shell(name: str, programs: Path, socket: Path, directory: Path) -> AsyncIterator[Shell]:
    program = require_program(name)
    script = subprocess.run(  # noqa: ASYNC221
        [programs / "connectorctl", "completion", name], capture_output=True, check=True, timeout=60
    ).stdout
    file = directory / f"completion.{name}"
    file.write_bytes(script)
    environ = {
        "PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(directory), "CONNECTORD_SOCKET": str(socket),
        "TERM": "dumb", "PS1": "$ ", "XDG_CONFIG_HOME": str(directory), "LC_ALL": "C.UTF-8",
    }  # fmt: skip
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    termios.tcsetwinsize(theirs, (50, 200))
    process = subprocess.Popen(  # noqa: ASYNC220
        [program, *START[name]], stdin=theirs, stdout=theirs, stderr=theirs, env=environ, start_new_session=True,
        cwd=directory,
    )  # fmt: skip
    os.close(theirs)
    typing = Shell(ours)
    try:
        await typing.type(f"{BEFORE[name]}source {file}; echo rea''dy\n")
        await typing.until("\nready")
        yield typing
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.mark.parametrize("name", ["bash", "zsh"])
async def test_what_is_typed_is_completed(
    daemon: DaemonProcess, configure: Callable[..., None], programs: Path, tmp_path: Path, name: str
) -> None:
    configure()
    await daemon.start()
    todo = await daemon.call("submit", system="erp", data={"play": "fail"})
    await daemon.until(todo["id"], "todo")
    async with shell(name, programs, daemon.socket, tmp_path) as typing:
        for begun, ended in (
            ("connectorctl noti", "connectorctl notifications "),
            ("connectorctl pause dep", "depot "),
            ("connectorctl list --sys", "--system "),
            (f"connectorctl take {todo['id'][:-2]}", f"{todo['id']} "),
            ("connectorctl assign X --to queue:def", "queue:default "),
        ):
            # what was not typed comes from the shell; a daemon on a busy machine may need longer than Tab waits
            for _ in range(TRIES):
                await typing.type(f"{begun}\t")
                with trio.move_on_after(10):
                    await typing.until(ended[-4:])
                    break
                await typing.type("\x15")
            else:
                raise AssertionError(typing.told)
            await typing.type("\x15echo en''d\n")
            await typing.until("\nend")


OFFERED = [
    ("connectorctl pau", "pause\tStop sending to a system."),
    ("connectorctl pause ", "depot\trunning"),
    ("connectorctl show ", "\tTo Do in erp; case C-1"),
    ("connectorctl take ", "\tTo Do in erp; case C-1"),
    ("connectorctl retry ", None),
    ("connectorctl case ", "C-1"),
    ("connectorctl assign X --to ", "queue:default"),
    ("connectorctl take X --as ", None),
    ("connectorctl list --state to", "todo"),
    ("connectorctl list --queue ", "default"),
    ("connectorctl config show ", "1\t"),
]


async def test_what_fish_is_offered(
    daemon: DaemonProcess, configure: Callable[..., None], programs: Path, tmp_path: Path
) -> None:
    configure()
    await daemon.start()
    todo = await daemon.call("submit", system="erp", case="C-1", data={"play": "fail"})
    await daemon.until(todo["id"], "todo")
    for line, offered in OFFERED:
        for _ in range(TRIES):
            text = await trio.to_thread.run_sync(fish_offers, line, programs, daemon.socket, tmp_path)
            if text or offered is None:
                break
        assert text == "" if offered is None else offered in text, (line, text)


def fish_offers(line: str, programs: Path, socket: Path, directory: Path) -> str:
    script = 'connectorctl completion fish | source; complete -C "$LINE"'
    environ = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(directory), "CONNECTORD_SOCKET": str(socket)}
    done = subprocess.run(
        [require_program("fish"), "--no-config", "-c", script],
        env={**environ, "LINE": line}, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout


def test_without_a_daemon_it_is_silent(programs: Path, tmp_path: Path) -> None:
    assert fish_offers("connectorctl pause ", programs, tmp_path / "nobody.sock", tmp_path) == ""
    assert "status" in fish_offers("connectorctl sta", programs, tmp_path / "nobody.sock", tmp_path)


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_the_scripts_are_sound_and_say_how_to_install_them(programs: Path, tmp_path: Path, name: str) -> None:
    for program in ("connectorctl", "connectord"):
        done = subprocess.run(
            [programs / program, "completion", name], capture_output=True, text=True, check=True, timeout=60
        )
        file = tmp_path / f"{program}.{name}"
        file.write_text(done.stdout)
        subprocess.run([require_program(name), "-n", file], check=True, timeout=60)
        assert f"{program} completion {name}" in done.stdout
        assert done.stderr == ""
