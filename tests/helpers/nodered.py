"""Node-RED as an external system: a process of its own that runs the flow of docs/examples/node-red."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from helpers.ports import lasting_port
from helpers.programs import require_program

ROOT = Path(__file__).parents[2]
PEER = ROOT / "tests" / "peers" / "node-red"
FLOWS = ROOT / "docs" / "examples" / "node-red" / "flows.json"
TOKEN = "node-red-test-token"
START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 10.0

_EVENT = re.compile(r"\[info\] \[function:\w+\] (\{.*\})$", re.M)


@dataclass(frozen=True, slots=True)
class JobEvent:
    """What the flow has logged: ``seen``, ``known``, ``taken`` or ``done``, of which action, under which key."""

    event: str
    key: str
    action: str


def require_node_red() -> list[str]:
    """The command that starts the node-red beside its package.json, or in ``$CONNECTORD_TEST_NODE_RED``.

    Without it the test is skipped by name, or fails where ``REQUIRE_SERVICES=1`` is set.
    """
    node = require_program("node")
    directory = Path(os.environ.get("CONNECTORD_TEST_NODE_RED", PEER))
    program = directory / "node_modules" / "node-red" / "red.js"
    if not program.exists():
        missing = f"node-red is not installed in {directory}; make services installs it"
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    return [node, str(program), "--settings", str(PEER / "settings.js")]


class NodeRed:
    """Starts, kills and stops one Node-RED in ``directory``; it keeps its port and its jobs from start to start."""

    def __init__(self, command: list[str], directory: Path, callbacks: str) -> None:
        """``callbacks`` is what connectord's callback addresses begin with."""
        self._command = command
        self.port = lasting_port()
        self.url = f"http://127.0.0.1:{self.port}/jobs"
        self.jobs = directory / "jobs"
        self._log = directory / "node-red.log"
        self._environ = {
            **os.environ,
            "NODE_RED_PORT": str(self.port),
            "NODE_RED_USER_DIRECTORY": str(directory / "user"),
            "NODE_RED_FLOWS": str(FLOWS),
            "JOBS_DIRECTORY": str(self.jobs),
            "JOBS_TOKEN": TOKEN,
            "CALLBACKS": callbacks,
        }
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start, and wait until the flow takes jobs. Raises :class:`TimeoutError` with its log where it does not.

        Until then it may refuse connections and say 503, nothing else: an action would not come again.
        """
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220
                self._command, env=self._environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        async with httpx.AsyncClient(trust_env=False) as client:
            with trio.move_on_after(START_TIMEOUT_SECONDS):
                while self._process.poll() is None:
                    status = await _ask(client, self.url)
                    # without the token a flow that is ready says 401
                    if status == httpx.codes.UNAUTHORIZED:
                        return
                    assert status in (None, httpx.codes.SERVICE_UNAVAILABLE), status
                    await trio.sleep(0.005)
        raise TimeoutError(f"Node-RED did not start:\n{self.log()}")

    def client(self) -> httpx.AsyncClient:
        """A client that posts as connectord does, with the key ``A-1``."""
        headers = {"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": "A-1"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, trust_env=False)

    def kill(self) -> None:
        """SIGKILL to its whole process group: no chance to write anything."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM; SIGKILL where it does not listen."""
        self._end(signal.SIGTERM)

    def log(self) -> str:
        """What it has logged so far."""
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def events(self, event: str) -> list[JobEvent]:
        """What the flow has logged under this name, over all starts."""
        found = (json.loads(line) for line in _EVENT.findall(self.log()))
        return [JobEvent(event, item["key"], item["action"]) for item in found if item["event"] == event]

    def owed(self) -> dict[str, dict[str, Any]]:
        """The jobs whose responses connectord has not taken yet, by key."""
        return self._read("owed")

    def done(self) -> dict[str, dict[str, Any]]:
        """The jobs whose responses connectord has taken, by key."""
        return self._read("done")

    def assert_one_key_for_each_action(self, attempts: dict[str, int]) -> None:
        """Every request of an action bore its own key; none came more often than it was attempted or taken twice."""
        seen = self.events("seen")
        assert {(item.key, item.action) for item in seen} == {(action, action) for action in attempts}
        too_often = {action: n for action, n in Counter(item.action for item in seen).items() if n > attempts[action]}
        assert not too_often, too_often
        twice = [key for key, n in Counter(item.key for item in self.events("taken")).items() if n > 1]
        assert not twice, twice

    def _read(self, where: str) -> dict[str, dict[str, Any]]:
        jobs = {}
        for file in (self.jobs / where).glob("*.json"):
            # the flow may put it away meanwhile
            with suppress(FileNotFoundError):
                jobs[file.stem] = json.loads(file.read_text())
        return jobs

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.send_signal(number)
            process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            pytest.fail(f"Node-RED did not end within {STOP_TIMEOUT_SECONDS:g} s of {number.name}")
        finally:
            # its session outlives it if it has started anything
            _kill_group(process)


@contextmanager
def node_red(command: list[str], directory: Path, callbacks: str) -> Iterator[NodeRed]:
    """A Node-RED that is not started yet, and has ended with its whole process group after the block."""
    directory.mkdir()
    peer = NodeRed(command, directory, callbacks)
    try:
        yield peer
    finally:
        peer.stop()


async def _ask(client: httpx.AsyncClient, url: str) -> int | None:
    try:
        return (await client.post(url, json={})).status_code
    except httpx.TransportError:
        return None


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        process.wait()
