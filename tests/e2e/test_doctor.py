"""connectorctl doctor against a real daemon, and where there is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio
from connectord.testing.daemon_process import DaemonProcess
from helpers.ctl import Ctl
from helpers.installed import SitePackages

ASKED = """
from connectord.adapters import Adapter, NotConnected, Taken
from connectord.hookspecs import hookimpl


class Asked(Adapter):
    name = "asked"

    async def trigger(self, call):
        return Taken()

    async def healthcheck(self):
        raise NotConnected("the mainframe sleeps")


@hookimpl
def connectord_register_adapters(register):
    register(Asked)
"""


async def test_the_daemon_is_examined(daemon: DaemonProcess, configure: Callable[..., None], tmp_path: Path) -> None:
    site = SitePackages(tmp_path / "site")
    site.install("asked", ASKED)
    daemon = DaemonProcess(tmp_path, site.environ)
    daemon_file = tmp_path / "connectord.toml"
    configure(extra='[systems.host]\nadapter = "asked"\n')
    try:
        await daemon.start()
        with trio.fail_after(20):
            while (found := await daemon.call("doctor"))["errors"] < 2:
                await trio.sleep(0.05)
        assert seen(found, "error", "reachability", "host") == [
            "the adapter asked does not reach it: the mainframe sleeps"
        ]
        assert "cannot be connected to: Connection refused" in seen(found, "error", "reachability", "depot")[0]
        assert "accepts connections" in seen(found, "ok", "reachability", "erp")[0]
        assert "the database is whole" in seen(found, "ok", "database")
        assert seen(found, "ok", "plugins")
        daemon_file.write_text(daemon_file.read_text().replace("limit = 3", "limit = 4"))
        differs = seen(await daemon.call("doctor"), "warning", "configuration")
        assert any("systems.erp.retry.limit, systems.depot.retry.limit" in each for each in differs), differs
        daemon_file.write_text("[daemon]\nlog_format = 5\n")
        found = await daemon.call("doctor", timeout_seconds=5)
        assert "log_format" in seen(found, "error", "configuration")[0]
    finally:
        daemon.kill()


async def test_without_a_daemon_the_file_is_examined(daemon: DaemonProcess, configure: Callable[..., None]) -> None:
    configure()
    ctl = Ctl(daemon)
    found = json.loads(await ctl("doctor", "--json", "--config", str(daemon.config_file), code=1, stdout=True))
    assert "no daemon answers" in seen(found, "error", "daemon")[0]
    assert seen(found, "error", "reachability", "depot")
    assert seen(found, "ok", "reachability", "erp")
    daemon.configure(daemon.config_file.read_text().replace("control.sock", "other.sock"))
    text = await ctl("doctor", "--config", str(daemon.config_file), code=1, stdout=True)
    assert "other.sock, but" in text
    daemon.configure("[systems.erp]\n")
    text = await ctl("doctor", "--config", str(daemon.config_file), code=1, stdout=True)
    assert "connectord.toml:1: systems.erp.adapter: missing" in text


def seen(found: dict[str, Any], level: str, check: str, about: str | None = None) -> list[str]:
    return [
        finding["seen"]
        for finding in found["findings"]
        if (finding["level"], finding["check"], finding["about"]) == (level, check, about)
    ]
