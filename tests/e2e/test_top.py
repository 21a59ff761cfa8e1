"""``connectorctl top`` in a real terminal, on a real daemon with a real system."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import trio
from connectord.testing.daemon_process import DaemonProcess
from helpers.programs import require_program

COLUMNS, ROWS = 110, 24


class Tmux:
    """A terminal of its own that a test types into and looks at."""

    def __init__(self, program: str, directory: Path) -> None:
        self.directory = directory
        self._command = [program, "-S", str(directory / "tmux.sock"), "-f", "/dev/null"]
        self._run("new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS), "env PS1='$ ' bash --norc --noprofile")

    def _run(self, *args: str) -> str:
        done = subprocess.run([*self._command, *args], capture_output=True, text=True, check=True, timeout=20)
        return done.stdout

    def type(self, *keys: str) -> None:
        self._run("send-keys", *keys)

    def paste(self, text: str) -> None:
        self._run("set-buffer", text)
        self._run("paste-buffer", "-p")

    def resize(self, columns: int, rows: int) -> None:
        self._run("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self) -> list[str]:
        return self._run("capture-pane", "-p").splitlines()

    def coloured(self) -> str:
        return self._run("capture-pane", "-p", "-e")

    def modes(self) -> str:
        return self._run("display-message", "-p", "#{alternate_on} #{cursor_flag}").strip()

    async def sees(self, *wanted: str) -> list[str]:
        """Wait until all of ``wanted`` are on the screen."""
        return await self.until(lambda lines: all(any(text in line for line in lines) for text in wanted))

    async def until(self, condition: Callable[[list[str]], bool]) -> list[str]:
        with trio.move_on_after(20):
            while not condition(lines := self.screen()):
                await trio.sleep(0.05)
            return lines
        raise AssertionError("\n".join(["the screen was:", *self.screen()]))

    def end(self) -> None:
        self._run("kill-server")


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    terminal = Tmux(require_program("tmux"), tmp_path)
    yield terminal
    terminal.end()


@pytest.fixture
async def top(daemon: DaemonProcess, configure: Callable[..., None], tmux: Tmux) -> AsyncIterator[str]:
    """The command line that opens ``top`` on a daemon whose system depot refuses connections."""
    configure(depot='retry.delay = "1h"\nretry.limit = 5', erp='timeout = "1h"')
    await daemon.start()
    return shlex.join([sys.executable, "-m", "connectord.cli.control", "--socket", str(daemon.socket), "top"])


def row(lines: list[str], *words: str) -> str:
    (found,) = (line for line in lines if all(word in line for word in words))
    return found


async def is_sane(tmux: Tmux) -> None:
    """The terminal is the shell's again, as it was: the screen, the cursor, every mode."""
    await tmux.until(lambda lines: [line for line in lines if line.strip()][-1:] == ["$"])
    tmux.type("-l", f"stty -a > {tmux.directory}/modes; echo sane-$((40 + 2))")
    tmux.type("Enter")
    await tmux.sees("sane-42")
    modes = set((tmux.directory / "modes").read_text().replace(";", " ").split())
    assert {"echo", "icanon", "isig", "iexten", "ixon", "icrnl", "opost"} <= modes
    assert tmux.modes() == "0 1"


async def test_a_session_with_top(daemon: DaemonProcess, top: str, tmux: Tmux) -> None:
    retried = (await daemon.call("submit", system="depot", case="C-1"))["id"]
    rejected = (await daemon.call("submit", system="erp", case="C-2", data={"play": "reject"}))["id"]
    silent = (await daemon.call("submit", system="erp", case="C-3", data={"play": "silent"}))["id"]
    await daemon.until(rejected, "todo")
    await daemon.until(silent, "waiting")
    tmux.type("-l", top)
    tmux.type("Enter")
    lines = await tmux.sees("connectord ", "> erp", "depot", "Retrying", "To Do", "the amount is missing", "Waiting")
    shown = [line.split()[0] for line in lines if line.strip()[:2] == retried[:2]]
    assert shown == [retried, rejected, silent]
    assert "1 of 5" in row(lines, retried)
    assert tmux.modes() == "1 0"

    # retry an action and see it in the list
    tmux.type("Tab", "r")
    lines = await tmux.sees(f"{retried} is tried again now", "2 of 5")
    assert row(lines, "> ", retried)

    # the daemon's refusal, in words
    tmux.type("j", "r")
    await tmux.until(lambda lines: "To Do" in lines[-1] or "todo" in lines[-1])
    assert (await daemon.call("show", id=rejected))["state"] == "todo"

    # a card opens and closes
    tmux.type("Enter")
    await tmux.sees(f"Action           {rejected}", "Rejected reason  the amount is missing", "Esc close")
    tmux.type("Escape")
    await tmux.sees("SYSTEM", f"> {rejected}")

    # a system is paused and goes on
    tmux.type("Tab", "Down", "p")
    lines = await tmux.sees("depot is paused", "> depot   paused")
    assert (await daemon.call("systems"))["systems"][1]["paused"]
    tmux.type("p")
    await tmux.sees("depot goes on", "> depot   running")
    assert not (await daemon.call("systems"))["systems"][1]["paused"]

    # what is pasted is no keys
    tmux.paste("p")
    await trio.sleep(0.3)
    assert not (await daemon.call("systems"))["systems"][1]["paused"]

    # only one system's actions, then by text
    tmux.type("Enter")
    await tmux.until(lambda lines: not any(rejected in line for line in lines))
    tmux.type("Escape")
    await tmux.sees(rejected)
    tmux.type("/")
    tmux.type("-l", "c-3")
    await tmux.sees("/c-3_")
    await tmux.until(lambda lines: not any(rejected in line for line in lines))
    tmux.type("Enter")
    tmux.type("Escape")
    await tmux.sees(rejected)

    # another size, smaller and larger
    for columns, rows in ((50, 10), (20, 3), (130, 30)):
        tmux.resize(columns, rows)
        await tmux.until(
            lambda lines, rows=rows, columns=columns: (
                lines[0].startswith("connectord"[:columns]) and lines[rows - 1].startswith("q quit")
            )
        )
    lines = await tmux.sees("LAST ERROR", retried)

    tmux.type("?")
    await tmux.sees("retry the selected action now")
    tmux.type("q")
    await is_sane(tmux)


async def test_top_outlives_the_daemon_and_goes_on_with_the_next(daemon: DaemonProcess, top: str, tmux: Tmux) -> None:
    tmux.type("-l", top)
    tmux.type("Enter")
    await tmux.sees("> erp", "running")
    daemon.kill()
    await tmux.sees("trying again every second: no daemon answers at", "> erp")
    tmux.type("p")
    await tmux.until(lambda lines: lines[-1].startswith("no daemon answers at"))
    await daemon.start()
    await tmux.until(lambda lines: lines[0].startswith("connectord "))
    tmux.type("C-c")
    await is_sane(tmux)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
async def test_a_signal_leaves_the_terminal_as_it_was(
    daemon: DaemonProcess, top: str, tmux: Tmux, tmp_path: Path, number: signal.Signals
) -> None:
    file = tmp_path / "pid"
    tmux.type("-l", f"bash -c 'echo $$ > {file}; exec \"$@\"' - {top}")
    tmux.type("Enter")
    await tmux.sees("> erp")
    os.kill(int(file.read_text()), number)
    await is_sane(tmux)


async def test_a_fault_leaves_the_terminal_as_it_was_and_is_told(
    daemon: DaemonProcess, top: str, tmux: Tmux, tmp_path: Path
) -> None:
    # the view is made to fail once the screen is taken
    code = (
        "import sys; from connectord.cli.top import loop; from connectord.cli.control import main\n"
        "def fail(state): raise ZeroDivisionError('a fault')\n"
        "loop.frame = fail; main()"
    )
    script = tmp_path / "faulty.py"
    script.write_text(code)
    tmux.type("-l", shlex.join([sys.executable, str(script), "--socket", str(daemon.socket), "top"]))
    tmux.type("Enter")
    await tmux.sees("ZeroDivisionError: a fault")
    await is_sane(tmux)


async def test_no_colour_where_none_is_wanted(daemon: DaemonProcess, top: str, tmux: Tmux) -> None:
    tmux.type("-l", f"NO_COLOR=1 {top}")
    tmux.type("Enter")
    await tmux.sees("> erp", "running")
    assert "\x1b[3" not in tmux.coloured().replace("\x1b[39m", "")
    tmux.type("q")
    await is_sane(tmux)


async def test_without_a_terminal_or_a_daemon_it_says_so(
    daemon: DaemonProcess, configure: Callable[..., None], tmux: Tmux, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "connectord.cli.control", "--socket", str(daemon.socket), "top"]
    done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"top needs a terminal" in done.stderr
    tmux.type("-l", f"{shlex.join(command)}; echo code=$?")
    tmux.type("Enter")
    await tmux.sees("connectorctl: no daemon answers at", "code=3")
    await daemon.start()
    done = await trio.run_process([*command, "--json"], capture_stdout=True)
    status, systems, actions = done.stdout.splitlines()
    assert (b'"pid"' in status, b'"erp"' in systems, actions) == (True, True, b'{"actions":[],"next":null}')
