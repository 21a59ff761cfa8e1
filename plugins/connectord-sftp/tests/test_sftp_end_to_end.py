"""A real daemon and a real OpenSSH server, which is stopped once; the daemon is killed once. Everything ends right."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio
from connectord.testing.daemon_process import DaemonProcess
from helpers.ports import lasting_port
from helpers.sshd import Sshd

ACTIONS = 300
PLAYS = ("succeed", "succeed", "late", "fail", "succeed")


@dataclass
class Payroll:
    """The system: takes each file out of ``in``, and some time later puts a response into ``out``."""

    drop: Path
    processed: Counter[str] = field(default_factory=Counter)
    """How often each action was processed."""
    names: dict[str, set[str]] = field(default_factory=dict)
    """Under which names."""
    broken: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Work until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                for path in (self.drop / "in").glob("[!.]*"):
                    taken = path.rename(self.drop / "taken" / path.name)
                    try:
                        action = json.loads(taken.read_bytes())["action"]
                    except ValueError:
                        self.broken.append(path.name)
                        continue
                    self.processed[action["id"]] += 1
                    self.names.setdefault(action["id"], set()).add(path.name)
                    nursery.start_soon(self._answer, action)
                await trio.sleep(0.01)

    async def _answer(self, action: dict[str, Any]) -> None:
        play = action["data"]["play"]
        await trio.sleep(1.0 if play == "late" else 0.1)
        document = {"status": "success", "data": {"slip": action["data"]["number"]}}
        if play == "fail":
            document = {"status": "failure", "reason": "no such employee"}
        text = json.dumps(document)
        # not renamed, and slowly: it is the adapter that must not take a half
        with (self.drop / "out" / f"{action['id']}.response.json").open("w") as file:
            for piece in (text[:10], text[10:20], text[20:]):
                file.write(piece)
                file.flush()
                await trio.sleep(0.02)


@pytest.fixture
async def payroll(sshd: Sshd) -> AsyncIterator[Payroll]:
    system = Payroll(sshd.drop)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(system.run)
        yield system
        nursery.cancel_scope.cancel()


@pytest.fixture
async def daemon(tmp_path: Path, sshd: Sshd) -> AsyncIterator[DaemonProcess]:
    process = DaemonProcess(tmp_path, {"SFTP_KEY": sshd.client_key.read_text()})
    process.configure(
        process.head(lasting_port())
        + f"""
[systems.payroll]
adapter = "sftp"
concurrency = 16
healthcheck = "1s"
retry = {{ limit = 100, delay = "100ms", factor = 1 }}
poll = {{ interval = "300ms", factor = 1, max_interval = "300ms" }}
[systems.payroll.sftp]
host = "127.0.0.1"
port = {sshd.port}
user = "{sshd.user}"
private_key = {{ env = "SFTP_KEY" }}
known_hosts = "{sshd.known_hosts}"
timeout = "5s"
directory = "{sshd.drop / "in"}"
name = "{{case}}-{{id}}.json"
taken_directories = ["{sshd.drop / "taken"}"]
[systems.payroll.sftp.response]
directory = "{sshd.drop / "out"}"
stable_for = "200ms"
after = "archive"
archive = "{sshd.drop / "archive"}"
sweep = "500ms"
"""
    )
    yield process
    process.kill()


async def test_300_actions_survive_an_outage_of_the_server_and_a_kill(
    daemon: DaemonProcess, sshd: Sshd, payroll: Payroll
) -> None:
    await daemon.start()
    plays = [PLAYS[number % len(PLAYS)] for number in range(ACTIONS)]
    actions = [
        {"system": "payroll", "case": f"C/{number}", "data": {"play": play, "number": number}}
        for number, play in enumerate(plays)
    ]
    submitted = (await daemon.call("submit_many", actions=actions))["actions"]
    await reach(payroll, 40)
    sshd.stop()
    with trio.fail_after(20):
        while "connection refused" not in json.dumps(await daemon.call("systems")):
            await trio.sleep(0.05)
    assert payroll.processed.total() < ACTIONS
    sshd.start()
    await reach(payroll, 120)
    daemon.kill()
    await daemon.start()
    for number, (action, play) in enumerate(zip(submitted, plays, strict=True)):
        end = await daemon.until(action["id"], "closed", "todo", seconds=60)
        if play == "fail":
            assert (end["state"], end["rejected_reason"]) == ("todo", "no such employee"), end
        else:
            assert (end["resolution"], end["response_data"]) == ("done_successfully", {"slip": number}), end
        assert end["late_responses"] == []
    assert payroll.broken == []
    assert payroll.processed == Counter({action["id"]: 1 for action in submitted})
    assert payroll.names == {
        action["id"]: {f"C%2F{number}-{action['id']}.json"} for number, action in enumerate(submitted)
    }
    # the last files are put away by the next sweep
    with trio.fail_after(20):
        while any((sshd.drop / "out").iterdir()):
            await trio.sleep(0.1)
    assert len(list((sshd.drop / "archive").iterdir())) == ACTIONS
    # what was cut off has left nothing behind
    assert list((sshd.drop / "in").iterdir()) == []


async def reach(payroll: Payroll, count: int) -> None:
    """Wait until so many files were processed."""
    with trio.fail_after(60):
        while payroll.processed.total() < count:
            await trio.sleep(0.005)


async def test_rule_15_a_response_that_comes_too_late_is_shown_and_put_away(
    daemon: DaemonProcess, sshd: Sshd, payroll: Payroll
) -> None:
    daemon.configure(
        daemon.config_file.read_text().replace("[systems.payroll]", '[systems.payroll]\ntimeout = "400ms"')
    )
    await daemon.start()
    action = await daemon.call("submit", system="payroll", data={"play": "late", "number": 7})
    assert (await daemon.until(action["id"], "todo"))["reason"] == "timeout"
    with trio.fail_after(20):
        while not (late := (await daemon.call("show", id=action["id"]))["late_responses"]):
            await trio.sleep(0.05)
        while any((sshd.drop / "out").iterdir()):
            await trio.sleep(0.05)
    assert len(late) == 1
    assert [each.name for each in (sshd.drop / "archive").iterdir()] == [f"{action['id']}.response.json"]


async def test_rule_19_a_file_that_nobody_answers_is_done_when_it_is_there(daemon: DaemonProcess, sshd: Sshd) -> None:
    text, _, _ = daemon.config_file.read_text().partition("[systems.payroll.sftp.response]")
    text = text.replace("[systems.payroll]", "[systems.payroll]\nresponse_expected = false")
    daemon.configure(text.replace("timeout = ", 'response = "none"\ntimeout = '))
    await daemon.start()
    action = await daemon.call("submit", system="payroll", data={"play": "succeed"})
    end = await daemon.until(action["id"], "closed")
    assert end["resolution"] == "done_successfully"
    (file,) = (sshd.drop / "in").iterdir()
    assert json.loads(file.read_bytes())["callback_url"] is None
