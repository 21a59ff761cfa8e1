"""What the log says, and what it must never say."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import httpx
from connectord.testing.daemon_process import DaemonProcess
from connectord.testing.fake_system import FakeSystem

CANARY = "canary-7f3a9c51"


async def test_every_line_about_an_action_names_it_its_system_and_its_attempt(
    daemon: DaemonProcess, configure: Callable[..., None]
) -> None:
    await daemon.start()
    good = await daemon.call("submit", system="erp", data={"play": "succeed"})
    bad = await daemon.call("submit", system="depot")
    await daemon.until(good["id"], "closed")
    await daemon.until(bad["id"], "closed")
    await daemon.stop()
    lines = [json.loads(line) for line in daemon.log().splitlines()]
    about = [line for line in lines if "action" in line and line["event"] != "owner notified"]
    assert {line["action"] for line in about} == {good["id"], bad["id"]}
    for line in about:
        if line["event"].startswith("nobody"):
            continue
        assert {"action", "system", "attempt", "timestamp", "level"} <= set(line), line
    # the first failure is told at once, the others with how many there were
    first, others = [line for line in lines if line["event"] == "attempt ended"]
    assert (first["action"], first["attempt"], first["error"]) == (bad["id"], 1, "connection refused")
    assert (others["system"], others["repeated"], others["error"]) == ("depot", 2, "connection refused")
    assert "action" not in others


async def test_a_secret_shows_nowhere(tmp_path: Path, fake: FakeSystem, configure: Callable[..., None]) -> None:
    daemon = DaemonProcess(tmp_path, environ={"ERP_TOKEN": CANARY})
    headers = '{ Authorization = { env = "ERP_TOKEN" } }'
    configure(erp_http=f"headers = {headers}")
    text = daemon.config_file.read_text().replace("[daemon]", '[daemon]\nlog_level = "debug"')
    daemon.configure(text)
    await daemon.start()
    try:
        # a system that sends our own secret back must not get it into the log either
        action = await daemon.call("submit", system="erp", data={"play": "silent"})
        await daemon.until(action["id"], "waiting")
        url = fake.seen[0].body["callback_url"]
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.post(url, content=b'{"status": ')
        answers = [json.dumps(await daemon.call(method)) for method in ("status", "systems", "list")]
        answers.append(json.dumps(await daemon.call("reload", plan=True)))
        await daemon.stop()
    finally:
        daemon.kill()
    assert os.environ.get("ERP_TOKEN") is None
    assert CANARY not in daemon.log()
    assert url.rpartition("/")[2] not in daemon.log()
    assert all(CANARY not in answer for answer in answers)
    for file in (tmp_path / "state").iterdir():
        assert CANARY.encode() not in file.read_bytes(), file.name
