"""``connectord export-attempt`` beside a running daemon, and a test that replays what it wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio
from connectord.adapters import Rejected, Taken
from connectord.errors import InvalidRequest
from connectord.testing import Answer, DaemonProcess, FakeSystem, Request, read_fixture, replay, run_trigger
from connectord_http.adapter import HttpAdapter

TOKEN = "hunter2-hunter2"
DATA = {
    "vendor": "ACME & Söhne",
    "currency": "EUR",
    "amount": 12.5,
    "lines": [{"text": "bolts", "sku": "B-1"}, {"text": "nuts", "sku": "N-2"}],
    "quoted": TOKEN,
}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "ERP_TOKEN": TOKEN, "CONNECTORD_CONFIG": str(tmp_path / "connectord.toml")}


def take_the_second(request: Request) -> Answer:
    return Answer.of_json({"id": "J-1"}, 202)


async def export(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "connectord.cli.daemon", "export-attempt", *arguments]
    return await trio.run_process(command, env=environ, check=False, capture_stdout=True, capture_stderr=True)


async def exported(environ: dict[str, str], *arguments: str) -> dict[str, Any]:
    done = await export(environ, *arguments)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


async def test_an_attempt_is_exported_and_replayed(tmp_path: Path, environ: dict[str, str]) -> None:
    daemon = DaemonProcess(tmp_path, environ)
    system = FakeSystem(answer=take_the_second)
    async with system.serve():
        daemon.configure(
            daemon.head()
            + '[retry]\nlimit = 99\ndelay = "200ms"\nmax_delay = "300ms"\n'
            + '[systems.erp]\nadapter = "http"\n[systems.erp.http]\n'
            + f'url = "{system.url}"\nauth.bearer = {{ env = "ERP_TOKEN" }}\n'
        )
        await daemon.start()
        try:
            async with system.refusing():
                action = await daemon.call("submit", system="erp", case="C-1001", owner="ada", data=DATA)
                await daemon.until(action["id"], "pending", "attempting")
                with trio.fail_after(20):
                    while (await daemon.call("show", id=action["id"]))["attempts"] < 1:
                        await trio.sleep(0.02)
            await daemon.until(action["id"], "waiting")
            before = await daemon.call("show", id=action["id"])
            last = await exported(environ, action["id"], "--keep", "data.currency", "--keep", "data.lines.sku")
            first = await exported(environ, action["id"], "--attempt", "1")
            missing = await export(environ, action["id"], "--attempt", "99")
            misnamed = await export(environ, action["id"], "--keep", "data.colour")
            unknown = await export(environ, "01JDE0000000000000000000ZZ")
            assert await daemon.call("show", id=action["id"]) == before
        finally:
            daemon.kill()

        call = last["call"]
        assert call["data"] == {
            "vendor": "xxxxxxxxxxxx",
            "currency": "EUR",
            "amount": 12.5,
            "lines": [{"text": "xxxxx", "sku": "B-1"}, {"text": "xxxx", "sku": "N-2"}],
            "quoted": "x" * len(TOKEN),
        }
        assert (call["owner"], call["case_id"], call["idempotency_key"]) == ("xxx", "xxxxxx", action["id"])
        assert last["settings"]["auth"] == {"bearer": "**********"}
        assert last["adapter"] == {"name": "http", "version": "connectord-http 0.1.0"}
        assert last["attempt"]["outcome"] == "taken"
        assert first["attempt"]["number"] == 1
        assert first["attempt"]["outcome"] == "not_connected"
        assert TOKEN not in json.dumps([first, last])
        assert (missing.returncode, misnamed.returncode, unknown.returncode) == (1, 1, 1)
        assert b"there is no attempt 99: the action has 1 to" in missing.stderr
        assert b"--keep data.colour: there is nothing of that name; there is" in misnamed.stderr
        assert b"there is no action 01JDE" in unknown.stderr

        file = tmp_path / "attempt.json"
        file.write_text(json.dumps(last))
        system.requests.clear()
        assert await run_trigger(HttpAdapter, {"url": system.url}, replay(file)) == Taken("J-1")
        [request] = system.requests
        assert request.json()["action"]["data"] == call["data"]
        assert request.headers["idempotency-key"] == action["id"]
        assert read_fixture(file).outcome == "taken"


async def test_a_secret_that_an_action_repeats_is_hidden_even_where_it_is_kept(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    daemon = DaemonProcess(tmp_path, environ)
    async with FakeSystem(answer=lambda request: Answer(400)).serve() as system:
        daemon.configure(
            daemon.head() + '[systems.erp]\nadapter = "http"\n[systems.erp.http]\n'
            f'url = "{system.url}"\nauth.bearer = {{ env = "ERP_TOKEN" }}\n'
        )
        await daemon.start()
        try:
            action = await daemon.call("submit", system="erp", data=DATA)
            await daemon.until(action["id"], "todo")
            document = await exported(environ, action["id"], "--keep", "data")
        finally:
            daemon.kill()
        assert document["call"]["data"] == {**DATA, "quoted": "**********"}
        assert document["attempt"]["outcome"] == "rejected"
        outcome = await run_trigger(HttpAdapter, {"url": system.url}, replay(document))
        assert isinstance(outcome, Rejected)


@pytest.mark.parametrize(
    ("fixture", "words"),
    [
        ({}, "not a fixture"),
        ({"connectord_fixture": 2}, "must be 1"),
        ({"connectord_fixture": 1}, "not complete"),
        ({"connectord_fixture": 1, "call": {"colour": "red"}}, "unknown fields: colour"),
    ],
)
def test_what_is_no_fixture_is_refused(fixture: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        replay(fixture)


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "attempt.json").write_text("nothing")
    with pytest.raises(InvalidRequest, match="is no JSON"):
        replay(tmp_path / "attempt.json")
