"""The examples of docs/client.md: they run, print what the page says, and have good types."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from connectord.testing.daemon_process import DaemonProcess
from connectord.testing.fake_system import FakeSystem

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.S)


class Vendors(FakeSystem):
    """A system that takes every action and reports a failure, whatever the action's data."""

    async def _answer(self, path, headers, body):  # type: ignore[no-untyped-def]
        body["action"]["data"]["play"] = "fail"
        return await super()._answer(path, headers, body)


def test_every_example_says_what_it_prints() -> None:
    assert len(EXAMPLES) == PAGE.count("```python") == 6


@pytest.mark.parametrize(("source", "printed"), EXAMPLES, ids=range(len(EXAMPLES)))
async def test_the_example_runs_and_prints_what_the_page_says(
    daemon: DaemonProcess, fake: FakeSystem, configure: Callable[..., None], source: str, printed: str
) -> None:
    vendors = Vendors()
    async with vendors.serve():
        systems = "".join(
            f'[systems.{name}]\nadapter = "http"\n[systems.{name}.http]\nurl = "{url}"\n'
            for name, url in (("billing", fake.url), ("vendors", vendors.url))
        )
        configure(extra=systems)
        await daemon.start()
        with trio.fail_after(60):
            done = await trio.run_process(
                [sys.executable, "-c", source], env={**os.environ, "CONNECTORD_SOCKET": str(daemon.socket)},
                capture_stdout=True, capture_stderr=True, check=False,
            )  # fmt: skip
        assert (done.stdout.decode(), done.returncode) == (printed, 0), done.stderr.decode()


def test_the_examples_have_good_types_for_a_program_of_its_own(tmp_path: Path) -> None:
    for number, (source, _) in enumerate(EXAMPLES):
        (tmp_path / f"example_{number}.py").write_text(source)
    (tmp_path / "wrong.py").write_text(
        "from connectord.client import AsyncClient, Client\n"
        "client, several = Client(), AsyncClient()\n"
        "client.submit('billing', amount=1)\n"
        "client.list(state='lost')\n"
        "client.show('A').colour\n"
        "client.wait('A', states=['gone'])\n"
        "several.show('A').state\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run([*command, *sorted(tmp_path.glob("*.py"))], capture_output=True, text=True, check=False,
                          cwd=tmp_path, timeout=300)  # fmt: skip
    found = re.findall(r"^(\S+?):(\d+): error", done.stdout, re.M)
    assert found == [("wrong.py", str(line)) for line in range(3, 8)], done.stdout + done.stderr
