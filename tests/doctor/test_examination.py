"""The checks together: side by side, each within its time, and none of them ends the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import pytest
import trio
from connectord.adapters import Adapter, AdapterSettings, Call, Outcome, Taken
from connectord.config import load_config
from connectord.control import results as r
from connectord.doctor import database
from connectord.doctor.examination import Subject, examine
from connectord.network import SystemNetwork
from connectord.plugins import PluginSet


class Web(AdapterSettings):
    url: str = "http://127.0.0.1:1/"


class Silent(Adapter):
    """Never answers."""

    name = "silent"
    Settings = Web

    async def trigger(self, call: Call) -> Outcome:
        return Taken()

    async def healthcheck(self) -> None:
        await trio.sleep_forever()


class Broken(Silent):
    """Fails in ways of its own."""

    name = "broken"

    @classmethod
    def offers(cls, method: Any, settings: Any) -> NoReturn:
        raise RuntimeError("the plugin is broken")


class Fine(Silent):
    name = "fine"
    Settings = AdapterSettings

    async def healthcheck(self) -> None:
        return None


async def test_one_that_hangs_and_one_that_breaks_cost_only_their_own(tmp_path: Path) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    text = f'[daemon]\nstate_directory = "{tmp_path}/state"\ncontrol_socket = "{tmp_path}/s"\n'
    text += '[systems.a]\nadapter = "silent"\n[systems.b]\nadapter = "fine"\n[systems.c]\nadapter = "plain"\n'
    # TLS with somebody who accepts and says nothing
    text += f'[systems.c.plain]\nurl = "https://127.0.0.1:{port}/"\n'

    class Plain(Silent):
        name = "plain"
        healthcheck = Adapter.healthcheck

    adapters: dict[str, type[Adapter]] = {"silent": Silent, "fine": Fine, "plain": Plain}
    file = tmp_path / "connectord.toml"
    file.write_text(text)
    config = load_config(file, adapters=adapters, environ={})
    subject = Subject(config, PluginSet(adapters=adapters), SystemNetwork(), 1_800_000_000_000, {})
    with trio.fail_after(30):
        found = await examine(subject, 1.0)
    assert "does not reach it: no answer within 0.9 s" in seen(found, "error", "a")[0]
    assert seen(found, "ok", "b") == ["the adapter fine reaches it"]
    assert seen(found, "warning", "c") == ["not finished within 1 s"]
    broken = Subject(config, PluginSet(adapters={**adapters, "fine": Broken}), SystemNetwork(), subject.now, {})
    with trio.fail_after(30):
        found = await examine(broken, 1.0)
    assert seen(found, "error", "b") == ["the check itself failed: RuntimeError: the plugin is broken"]
    assert seen(found, "warning", "c") == ["not finished within 1 s"]
    assert found.errors == len([finding for finding in found.findings if finding.level == "error"])
    await listener.aclose()


async def test_what_may_not_be_looked_at_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(directory: Path, seconds: float) -> NoReturn:
        raise PermissionError(13, "Permission denied", str(directory))

    monkeypatch.setattr(database, "check_database", closed)
    file = tmp_path / "connectord.toml"
    file.write_text(f'[daemon]\nstate_directory = "{tmp_path}/state"\n')
    config = load_config(file, adapters={}, environ={})
    found = await examine(Subject(config, PluginSet(), SystemNetwork(), 0, {}), 5.0)
    (finding,) = [each for each in found.findings if each.check == "database"]
    assert finding.level == "error"
    assert "Permission denied" in finding.seen
    assert "as root or as the daemon's user" in (finding.advice or "")


def seen(found: r.Diagnosis, level: str, about: str) -> list[str]:
    return [
        finding.seen
        for finding in found.findings
        if (finding.check, finding.level, finding.about) == ("reachability", level, about)
    ]
