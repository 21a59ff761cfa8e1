"""The reference pages say what the code says, and the manual's pages are clean."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest
from connectord.cli import control, daemon
from connectord.cli.reference.__main__ import pages
from connectord.cli.reference.commands import CommandPage, pages_of
from connectord.cli.reference.keys import keys_of_the_file, pattern_of
from connectord.cli.reference.words import WORDS
from connectord.config import load_config
from connectord.plugins import load_plugins
from helpers.programs import require_program

ROOT = Path(__file__).parent.parent.parent
PAGES = pages(ROOT)
COMMANDS = [*pages_of(daemon.main, "connectord"), *pages_of(control.cli, "connectorctl")]


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_what_the_code_says(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert text == PAGES[name], "run: python -m connectord.cli.reference ."


def test_every_key_has_words_and_no_words_are_left_over() -> None:
    keys = keys_of_the_file()
    named = {f"{key.table.strip('[]')}{'[]' if key.table[:2] == '[[' else ''}.{key.name}" for key in keys}
    assert named == set(WORDS)
    assert all(key.meaning and key.takes and key.default and key.example for key in keys)


def test_the_example_file_has_every_key() -> None:
    text = (ROOT / "connectord.toml").read_text(encoding="utf-8")
    for key in keys_of_the_file():
        if key.name != "NAME":
            assert re.search(rf"\b{key.name}\b", text), key


def test_the_examples_of_keys_can_be_used(tmp_path: Path) -> None:
    alone = {"group", "to_owner", "user"}  # one of four ways, of which queue is taken here
    mail = {"command", "url"}
    tables: dict[str, list[str]] = {}
    for key in keys_of_the_file():
        if key.name in alone or (key.table == "[notify]" and key.name in mail):
            continue
        tables.setdefault(key.table, []).append(
            key.example.replace('"group:staff"', '"gid:0"').replace('"group:operators"', '"gid:0"')
        )
    text = "\n".join([line for table, lines in tables.items() for line in (table, *lines)])
    text = (
        text.replace("systems.NAME", "systems.billing")
        .replace("NAME = [", "seniors = [")
        .replace('NAME = "', 'late = "')
    )
    text = text.replace('["/usr', '["/usr').replace(
        "[systems.billing.poll]",
        '[systems.billing.http]\nurl = "http://localhost/"\n'
        'poll = { url = "http://localhost/{reference}", success_when = "body.done" }\n[systems.billing.poll]',
    )
    text = re.sub(r"^healthcheck = .*$", "", text, flags=re.M)
    file = tmp_path / "connectord.toml"
    (tmp_path / "smtp-password").write_text("s3cret")
    # a table may stand in a file once only
    file.write_text(_merged(text), encoding="utf-8")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    config = load_config(file, adapters=load_plugins().adapters, environ=environ)
    assert config.systems["billing"].policy.retry.limit == 7


def _merged(text: str) -> str:
    tables: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("["):
            current = tables.setdefault(line, [])
        else:
            current.append(line)
    return "\n".join("\n".join((table, *lines)) for table, lines in tables.items())


def test_patterns() -> None:
    assert pattern_of(("allocation", 3, "queue")) == "allocation[].queue"
    assert pattern_of(("systems", "NAME", "retry", "limit")) == "systems.NAME.retry.limit"


@pytest.mark.parametrize("page", COMMANDS, ids=lambda page: page.path)
def test_every_command_has_an_example_that_can_be_typed(
    page: CommandPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "actions.jsonl").touch()
    assert page.examples, "an epilog or a line in the help: Example: ..."
    for example in page.examples:
        words = shlex.split(example.partition(" > ")[0].replace("01JDE...", "01JDE"))
        program, *rest = words
        assert page.path.startswith(program)
        command: click.Command = daemon.main if program == "connectord" else control.cli
        if rest[0] == "--socket":
            rest = rest[2:]
        while isinstance(command, click.Group):
            found = command.get_command(click.Context(command), rest.pop(0))
            assert found is not None
            command = found
        with command.make_context(command.name, rest):
            pass


@pytest.mark.parametrize("page", COMMANDS, ids=lambda page: page.path)
def test_every_option_says_what_it_does(page: CommandPage) -> None:
    assert page.text
    assert all(option.help for option in page.options), page.options
    ctx_options = [option.written for option in page.options]
    assert len(ctx_options) == len(set(ctx_options))


@pytest.mark.parametrize("name", [name for name in PAGES if "/man/" in name])
def test_the_manual_is_clean(name: str) -> None:
    done = subprocess.run(
        [require_program("man"), "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", ROOT / name],
        capture_output=True, text=True, check=True, timeout=60, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert done.stderr == ""


def test_the_manual_reads_well() -> None:
    done = subprocess.run(
        [require_program("man"), "-l", ROOT / "docs/man/connectorctl.1"],
        capture_output=True, text=True, check=True, timeout=60,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "100", "MAN_KEEP_FORMATTING": ""},
    )  # fmt: skip
    text = re.sub(r".\x08|\x1b\[[0-9;]*m", "", done.stdout)
    assert "connectorctl - Look at and steer a running connectord" in text
    assert """connectorctl submit billing --case C-1001 --data '{"amount": 12}' --due +5m""" in text
