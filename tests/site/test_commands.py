"""Every block of commands on every page: run here, run by another test, or not run, with the reason."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
import trio
from connectord.cli.control import cli as control
from connectord.cli.daemon import main as service
from connectord.testing import Answer, DaemonProcess, FakeSystem
from helpers.pages import PAGES, ROOT, Block, blocks_of
from helpers.ports import lasting_port
from helpers.programs import require_program

BLOCKS = [block for page in PAGES for block in blocks_of(page) if block.is_shell]

START = "tests/site/test_start_page.py::test_the_page_ends_with_two_closed_actions"
ELSEWHERE = {
    "README.md: pip install . ./plugins/connectord-http": START,
    "docs/cli.md": "tests/cli/test_reference.py::test_every_command_has_an_example_that_can_be_typed",
    "docs/hooks.md: connectorctl call acme.report": "tests/e2e/test_plugin_hooks.py",
    "docs/monitoring.md: promtool check rules": "tests/monitoring/test_monitoring_files.py",
    "docs/screens.md": "tests/screens/test_screens.py",
    "docs/start.md": START,
    "docs/testing-adapters.md: connectord export-attempt": "tests/e2e/test_export_attempt.py",
    "docs/writing-an-adapter.md": "tests/e2e/test_adapter_tutorial.py::test_the_tutorial_ends_with_a_parcel_delivered",
}
"""A page, or a page and how a block of it begins: the test that runs it."""

NODE_RED = "docs/examples/node-red.md"
SERVICE = "docs/operations/service.md"
NOT_RUN = {
    f"{NODE_RED}: export JOBS_DIRECTORY": "the editor needs a person; tests/e2e/test_node_red.py runs the flow",
    f"{NODE_RED}: export NODE_RED_AUTHORIZATION": "the same",
    f"{SERVICE}: make deb": "installs on the machine; make deb-test does it in a fresh Debian",
    f"{SERVICE}: connectord install-service": "changes the machine; tests/cli/test_install_service.py uses --root",
    f"{SERVICE}: sudo systemctl edit connectord.socket": "needs systemd as the machine's first process",
    f"{SERVICE}: sudo systemctl edit connectord\n": "needs systemd as the machine's first process",
}
"""What nobody runs, and why. Their commands have to be there all the same, with these options."""

TAKES_MINUTES = re.compile(r"make [\w-]+( \w+=\S+)*|python benchmarks/.*|\w+=\S+ make [\w-]+|connectord-simulate \d.*")
"""Benchmarks, simulations, proofs, the tests themselves: that targets, files and options are there is looked at."""

TOP = "connectorctl top"
RUN = "connectord run &"
NOT_LITERALLY = {
    TOP: "tests/e2e/test_top.py has the terminal for it",
    RUN: "it runs already, started by the same command",
}


def lines_of(block: Block) -> list[str]:
    text = re.sub(r"\\\n\s*", "", block.text)
    return [line.removeprefix("$ ") for line in text.splitlines() if line.strip() and not line.startswith("#")]


def names_of(block: Block) -> list[str]:
    page = str(block.page.relative_to(ROOT))
    return [page, *(name for name in {**ELSEWHERE, **NOT_RUN} if f"{page}: {block.text}".startswith(name))]


def bare(line: str) -> str:
    return line.partition(" #")[0].strip()


def takes_minutes(block: Block) -> bool:
    return all(TAKES_MINUTES.fullmatch(bare(line)) for line in lines_of(block))


def is_run_here(block: Block) -> bool:
    return not takes_minutes(block) and not any(name in ELSEWHERE or name in NOT_RUN for name in names_of(block))


@pytest.mark.parametrize("name", ELSEWHERE)
def test_the_other_test_is_there(name: str) -> None:
    file, _, function = ELSEWHERE[name].partition("::")
    text = (ROOT / file).read_text(encoding="utf-8")
    assert not function or re.search(rf"^(async )?def {function}\(", text, re.MULTILINE)


def test_nothing_is_excused_that_is_not_there() -> None:
    used = {name for block in BLOCKS for name in names_of(block)}
    assert {*ELSEWHERE, *NOT_RUN} <= used


@pytest.mark.parametrize("block", [block for block in BLOCKS if takes_minutes(block)], ids=lambda block: block.place)
def test_targets_files_and_options_are_there(block: Block) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in lines_of(block):
        words = shlex.split(line, comments=True)
        if "make" in words:
            target = words[words.index("make") + 1]
            assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), line
        elif words[0] != "python":
            assert re.search(rf"^{words[0]} = ", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE), (
                line
            )
        else:
            source = (ROOT / words[1]).read_text(encoding="utf-8")
            missing = [word for word in words[2:] if word.startswith("--") and word != "--help" and word not in source]
            assert not missing, f"{words[1]} has no {missing}"


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.page.name != "cli.md"], ids=lambda block: block.place
)
def test_the_commands_and_options_exist(block: Block) -> None:
    for line in lines_of(block):
        for program, group in (("connectord", service), ("connectorctl", control)):
            found = re.search(rf"(?:^|[(|]|sudo ){program} ([a-z].*)", line)
            if found:
                words = shlex.split(found[1].rstrip(")"), comments=True)
                end = next((n for n, word in enumerate(words) if word in {"|", "&", ">", "2>", "2>>"}), len(words))
                parse(group, words[:end])


def parse(command: click.Command, words: list[str]) -> None:
    """Parse as the command would, and raise its usage error; asks no daemon and needs no file."""
    words = [word.replace("...", "") for word in words]
    while isinstance(command, click.Group):
        name, *words = words
        found = command.get_command(click.Context(command), name)
        assert found is not None, name
        command = found
    with command.make_context(command.name, words, resilient_parsing=needs_files(words)):
        pass


def needs_files(words: list[str]) -> bool:
    return any(word.startswith("/") or word.endswith(".jsonl") for word in words)


@dataclass
class World:
    """A daemon with every kind of system and work that the pages speak of, and a shell in its directory."""

    daemon: DaemonProcess
    metrics_port: int

    async def shell(self, line: str, *codes: int) -> None:
        directory = self.daemon.directory
        environ = {
            **os.environ,
            "CONNECTORD_SOCKET": str(self.daemon.socket),
            "CONNECTORD_CONFIG": str(self.daemon.config_file),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        with trio.fail_after(60):
            done = await trio.run_process(
                ["bash", "-eu", "-o", "pipefail", "-c", line], cwd=directory, env=environ, check=False,
                capture_stdout=True, capture_stderr=True,
            )  # fmt: skip
        assert done.returncode in (codes or (0,)), f"{line}\n{done.stdout.decode()}{done.stderr.decode()}"

    async def run(self, line: str) -> None:
        """One line of a page. What belongs to one machine (paths, ports, the service manager) is this world's."""
        if line == "systemctl stop connectord":
            assert await self.daemon.stop() == 0
        elif line == "systemctl start connectord":
            await self.daemon.start()
        elif line.startswith("connectorctl watch"):
            await self.shell(f"timeout 2 {line}", 124)  # it goes on until it is stopped
        elif line.startswith("connectorctl doctor"):
            await self.shell(line, 0, 1)  # 1: it found something, which is this machine's matter
        elif line.startswith("connectorctl rerun --"):
            await self.shell(f"{line} --yes")  # nobody is there to be asked
        elif line not in NOT_LITERALLY:
            await self.shell(await self.translate(line))

    async def translate(self, line: str) -> str:
        for theirs, ours in (
            ("/run/connectord/control.sock", str(self.daemon.socket)),
            ("/var/lib/connectord/", f"{self.daemon.directory}/state/"),
            ("/var/backups/", f"{self.daemon.directory}/"),
            ("127.0.0.1:9470", f"127.0.0.1:{self.metrics_port}"),
        ):
            line = line.replace(theirs, ours)
        if re.search(r"\bID\b", line):
            command = line.split()[1]
            line = re.sub(r"\bID\b", await self.action_for(command), line)
        return line

    async def action_for(self, command: str) -> str:
        """An action that the command can be used on."""
        system = {"cancel": "depot", "rerun": "billing"}.get(command, "vendors")
        due = {"due_at": "2030-01-01T00:00:00Z"} if command == "cancel" else {}
        action = await self.daemon.call(
            "submit", system=system, case="C-7", owner="anna", data={"vendor": "Ace"}, **due
        )
        identity: str = action["id"]
        await self.daemon.until(identity, {"depot": "pending", "billing": "closed", "vendors": "todo"}[system])
        if command == "release":
            await self.daemon.call("take", id=identity, user="anna")
        return identity


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    for program in ("socat", "curl", "sqlite3"):
        require_program(program)
    metrics_port, away = lasting_port(), lasting_port()
    good, bad = FakeSystem(), FakeSystem(answer=lambda _: Answer.of_json({"status": "failure", "reason": "unknown"}))
    daemon = DaemonProcess(tmp_path)
    async with good.serve(), bad.serve():
        systems = {"billing": good.url, "vendors": bad.url, "depot": f"http://127.0.0.1:{away}/jobs"}
        text = daemon.head(lasting_port()) + f'[metrics]\nbind = "127.0.0.1:{metrics_port}"\n[retry]\ndelay = "1h"\n'
        text += "[queues]\nback-office = 'others'\nbilling-exceptions = 'not taken'\n"
        for name, url in systems.items():
            text += f'[systems.{name}]\nadapter = "http"\nretry.limit = 2\n[systems.{name}.http]\nurl = "{url}"\n'
        daemon.configure(text)
        await daemon.start()
        for limit in (3, 4, 5):
            daemon.configure(text.replace("limit = 2", f"limit = {limit}"))
            await daemon.call("reload")
        (tmp_path / "actions.jsonl").write_text(jsonl())
        try:
            yield World(daemon, metrics_port)
        finally:
            daemon.kill()


def jsonl() -> str:
    """The file of actions that its page shows."""
    page = ROOT / "docs" / "operations" / "command-line.md"
    (text,) = [block.text for block in blocks_of(page) if block.kind == "json"]
    return text


async def test_what_can_be_run_here_does_what_it_says(world: World) -> None:
    ran = 0
    for block in sorted(filter(is_run_here, BLOCKS), key=lambda block: block.page.name == "backup.md"):
        stopped = block.page.name == "upgrades.md"
        if stopped:
            assert await world.daemon.stop() == 0
        for line in lines_of(block):
            try:
                await world.run(bare(line))
            except AssertionError as error:
                raise AssertionError(f"{block.place}: {error}") from error
            ran += 1
        if stopped:
            await world.daemon.start()
    assert ran > 40
