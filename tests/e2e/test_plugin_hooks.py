"""Notifiers, commands, observers and newly installed plugins, in a real daemon."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
from connectord.errors import RequestFailed
from connectord.testing.daemon_process import DaemonProcess
from helpers.installed import SitePackages, line_of

CHAT = """
from pathlib import Path
from connectord.errors import Refused
from connectord.extensions import CommandParams, Missed, NotConnected, NotDelivered, Notifier, NotifierSettings
from connectord.hookspecs import hookimpl
import trio


class ChatSettings(NotifierSettings):
    file: Path


class ChatNotifier(Notifier):
    name = "chat"
    Settings = ChatSettings

    async def deliver(self, notification):
        down = self.settings.file.with_suffix(".down")
        if down.exists():
            raise {"down": NotConnected("the chat is down"), "fault": ValueError("oops")}[down.read_text()]  # at fault
        with self.settings.file.open("a") as file:
            file.write(f"{notification.owner} {notification.action} {notification.notice}\\n")


class Params(CommandParams, frozen=True):
    system: str
    do: str = "report"


async def report(params, caller, services):
    match params.do:
        case "report":
            page = await services.ask("list", system=params.system)
            return {"count": len(page["actions"]), "by": caller.name, "role": caller.role}
        case "submit":
            return await services.submit(params.system, owner="anna", data={"made": "by a command"})
        case "forbidden":
            return await services.ask("shutdown")
        case "refuse":
            raise Refused(None, "not on a Sunday")
        case "exit":
            raise SystemExit("command")  # command at fault
        case "object":
            return object()
        case "huge":
            return "x" * 2_000_000


@hookimpl
def connectord_register_notifiers(register):
    register(ChatNotifier)


@hookimpl
def connectord_register_commands(register):
    register("acme.report", report, role="viewer", params=Params)
    register("acme.admin", report, role="admin", params=Params)


@hookimpl
def connectord_observe(change):
    with Path(__file__).with_suffix(".seen").open("a") as file:
        file.write(f"{change.seq} {change.action} {change.from_} {change.to} {change.system}\\n")
    if change.to == "closed":
        raise KeyboardInterrupt("observer")  # observer at fault
"""


class Stage:
    def __init__(self, directory: Path) -> None:
        self.site = SitePackages(directory / "site")
        self.site.install("healthy")
        self.said = directory / "said.txt"
        self.daemon = DaemonProcess(directory, self.site.environ)

    def configure(self, extra: str = "") -> None:
        self.daemon.configure(
            self.daemon.head() + "[retry]\nlimit = 1\n" + '[systems.good]\nadapter = "healthy"\n' + extra
        )

    @property
    def chat(self) -> str:
        return f'[notify]\nvia = "chat"\n[notify.chat]\nfile = "{self.said}"\n'


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.daemon.kill()


async def until_text(file: Path, text: str) -> str:
    with trio.fail_after(60):
        while not file.exists() or text not in file.read_text():
            await trio.sleep(0.05)
    return file.read_text()


async def test_a_notifier_tells_owners_with_the_outbox_behind_it(stage: Stage) -> None:
    stage.site.install("raises")
    file = stage.site.install("chat", CHAT)
    stage.configure('[systems.bad]\nadapter = "raises"\n' + stage.chat)
    down = stage.said.with_suffix(".down")
    down.write_text("down")
    await stage.daemon.start()
    action = await stage.daemon.call("submit", system="bad", owner="anna", data={"error": "ValueError"})
    await stage.daemon.until(action["id"], "closed")
    with trio.fail_after(60):
        while (channel := (await stage.daemon.call("status"))["notifications"]["channel"])["state"] == "up":
            await trio.sleep(0.05)
    assert channel["via"] == "chat"
    assert channel["last_error"] == "the chat is down"
    down.unlink()
    await stage.daemon.call("notifications_retry")
    assert f"anna {action['id']} " in await until_text(stage.said, "anna")
    down.write_text("fault")
    await stage.daemon.call("submit", system="bad", owner="bert", data={"error": "ValueError"})
    await until_text(stage.daemon.log_file, "notifier fault: ValueError: oops")
    assert line_of(file) in stage.daemon.log()
    down.unlink()
    await stage.daemon.call("notifications_retry")
    await until_text(stage.said, "bert")
    assert await stage.daemon.stop() == 0


async def test_a_notifiers_settings_are_checked_with_their_lines(stage: Stage) -> None:
    stage.site.install("chat", CHAT)
    stage.configure('[notify]\nvia = "chat"\n[notify.chat]\nfil = "x"\n')
    command = [sys.executable, "-m", "connectord.cli.daemon", "check", "--config", str(stage.daemon.config_file)]
    done = await trio.run_process(
        command, env=stage.daemon._environ, capture_stderr=True, capture_stdout=True, check=False
    )
    assert done.returncode == 78
    lines = stage.daemon.config_file.read_text().splitlines()
    said = done.stderr.decode()
    assert f":{lines.index('[notify.chat]') + 1}: notify.chat.file: missing: the notifier needs it" in said
    assert f":{lines.index('[notify.chat]') + 2}: notify.chat.fil: unknown key" in said


async def test_commands(stage: Stage) -> None:
    file = stage.site.install("chat", CHAT)
    stage.configure()
    await stage.daemon.start()

    async def call(do: str, method: str = "acme.report", **more: Any) -> Any:
        return await stage.daemon.call(method, system="good", do=do, **more)

    made = await call("submit")
    await stage.daemon.until(made["id"], "closed")
    answer = await call("report", "acme.admin")
    assert (answer["count"], answer["role"]) == (1, "admin")
    (submitted, *_) = (await stage.daemon.call("history", id=made["id"]))["history"]
    assert submitted["who"] == answer["by"]

    refusals = [
        ({"do": "refuse"}, -32002, "not on a Sunday"),
        ({"do": "forbidden"}, -32003, "'shutdown' is none of that"),
        ({"do": "report", "what": 1}, -32602, "acme.report: Object contains unknown field `what`"),
        ({"do": "exit"}, -32603, "SystemExit: command"),
        ({"do": "object"}, -32603, "acme.report: fault of plugin 'chat' of acme-chat 1.0: TypeError"),
        ({"do": "huge"}, -32603, "the answer has 2000002 bytes"),
    ]
    for params, code, words in refusals:
        with pytest.raises(RequestFailed) as raised:
            await call(**params)
        assert raised.value.code == code
        assert words in str(raised.value)
        if params["do"] == "exit":
            assert line_of(file, "# command at fault") in str(raised.value)
    with pytest.raises(RequestFailed, match="did you mean 'acme.report'"):
        await stage.daemon.call("acme.reprot")

    command = [sys.executable, "-m", "connectord.cli.control", "--socket", str(stage.daemon.socket), "call"]
    for arguments, code in ((["acme.report", '{"system": "good"}'], 0), (["acme.report", "[1]"], 2), (["status"], 0)):
        done = await trio.run_process([*command, *arguments], capture_stdout=True, capture_stderr=True, check=False)
        assert done.returncode == code, done.stderr
        if code == 0:
            assert isinstance(json.loads(done.stdout), dict)
    assert await stage.daemon.stop() == 0


async def test_an_observer_hears_of_every_change_and_its_faults_stop_nothing(stage: Stage) -> None:
    file = stage.site.install("chat", CHAT)
    stage.configure()
    await stage.daemon.start()
    made = await stage.daemon.call("submit_many", actions=[{"system": "good"} for _ in range(30)])
    for action in made["actions"]:
        await stage.daemon.until(action["id"], "closed")
    newest = (await stage.daemon.call("status"))["last_seq"]
    seen = await until_text(file.with_suffix(".seen"), f"\n{newest} ")
    numbers = [int(line.split()[0]) for line in seen.splitlines()]
    assert numbers == list(range(numbers[0], newest + 1))
    assert f"{made['actions'][0]['id']} None pending good" in seen
    assert line_of(file, "# observer at fault") in stage.daemon.log()
    assert stage.daemon.log().count("observer fault") == 1
    assert await stage.daemon.stop() == 0


async def test_reload_loads_what_was_installed_since(stage: Stage) -> None:
    stage.configure()
    await stage.daemon.start()
    # the configuration is refused: nothing is in force, and the reason is there
    stage.site.install("import_error")
    stage.site.install("raises")
    stage.configure('[systems.new]\nadapter = "import_error"\n')
    with pytest.raises(RequestFailed) as raised:
        await stage.daemon.call("reload")
    assert "cannot be imported" in json.dumps(raised.value.data)
    assert [system["name"] for system in (await stage.daemon.call("systems"))["systems"]] == ["good"]

    stage.site.install("chat", CHAT)
    stage.configure('[systems.new]\nadapter = "raises"\n' + stage.chat)
    plan = (await stage.daemon.call("reload", plan=True))["plan"]
    assert "plugin 'raises' of acme-raises 1.0" in plan["plugins"]
    with pytest.raises(RequestFailed, match="no method"):
        await stage.daemon.call("acme.report", system="good")
    result = await stage.daemon.call("reload")
    assert result["applied"]
    assert result["plan"]["added"] == ["new"]
    assert {"plugin 'raises' of acme-raises 1.0", "plugin 'chat' of acme-chat 1.0"} <= set(result["plan"]["plugins"])
    action = await stage.daemon.call("submit", system="new", owner="anna", data={"error": "ValueError"})
    await stage.daemon.until(action["id"], "closed")
    await until_text(stage.said, "anna")
    assert (await stage.daemon.call("acme.report", system="good"))["count"] == 0
    await until_text(stage.site.directory / "chat.seen", action["id"])

    # another version of what is loaded needs a restart, and is not loaded beside it
    stage.site.install("raises", version="2.0")
    again = await stage.daemon.call("reload")
    assert again["plan"]["plugins"] == []
    assert again["plan"]["restart_required"] == ["plugin 'raises' of acme-raises 2.0 (1.0 is loaded)"]
    assert "acme-raises 1.0" in (await stage.daemon.call("status"))["plugins"]
    assert await stage.daemon.stop() == 0
