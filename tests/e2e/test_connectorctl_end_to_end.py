"""connectorctl against a real daemon: what people read, and the same with --json."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import trio
from connectord.testing.daemon_process import DaemonProcess
from helpers.ctl import Ctl


async def test_the_whole_life_by_hand(daemon: DaemonProcess, configure: Callable[..., None]) -> None:
    configure(
        depot='retry.delay = "1h"\nretry.limit = 5',
        erp='timeout = "1h"',
        extra='[queues]\nseniors = "who know it all"\n',
    )
    await daemon.start()
    ctl = Ctl(daemon)
    retried = (await ctl("submit", "depot", "--case", "C-1", "--owner", "anna", "--data", '{"n": 1}')).strip()
    rejected = (await ctl("submit", "erp", "--case", "C-1", "--key", "k", "--data", '{"play": "fail"}')).strip()
    await daemon.until(rejected, "todo")
    with trio.fail_after(10):
        while "Retrying" not in (card := await ctl("show", retried)):
            await trio.sleep(0.05)
    assert "1 of 5" in card
    assert f"Retry now: connectorctl retry {retried}" in card
    view = json.loads(await ctl("show", retried, "--json"))
    assert view == await daemon.call("show", id=retried)
    assert view["connection_error"]["text"].splitlines()[0] in card

    assert retried in await ctl("list", "--retrying", "--system", "depot")
    assert retried not in await ctl("list", "--retrying", "--system", "erp")
    assert rejected not in await ctl("list", "--retrying", "--json")
    await ctl("retry", retried)
    with trio.fail_after(10):
        while "2 of 5" not in (card := await ctl("show", retried, "--history", "--attempts")):
            await trio.sleep(0.05)
    assert "retry now, asked for by hand" in card
    assert "not_connected" in card

    assert "Vendor unknown" in await ctl("show", rejected)
    assert "Updated by Integration" in await ctl("show", rejected)
    await ctl("take", rejected, "--as", "ben")
    assert "not released" not in await ctl("release", rejected)
    await ctl("assign", rejected, "--to", "queue:seniors")
    assert "seniors" in await ctl("show", rejected)
    await ctl("complete", rejected, "--unsuccessful", "--note", "vendor is gone")
    refused = await ctl("take", rejected, "--as", "eva", code=1)
    assert "closed" in refused
    case = await ctl("case", "C-1")
    assert "Closed - Not Done Successfully" in case
    assert "anna" in case
    marked = [line for line in case.splitlines() if "!" in line]
    assert len(marked) == 1
    assert rejected in marked[0]

    await ctl("cancel", retried, "--note", "no longer needed")
    assert "rerun" in await ctl("retry", retried, code=1)
    again = json.loads(await ctl("rerun", retried, "--json"))["actions"][0]["id"]
    assert retried in await ctl("show", again)
    listed = await ctl("list", "--system", "depot")
    assert again in listed
    assert rejected not in listed
    assert [item["id"] for item in json.loads(await ctl("list", "--state", "closed", "--json"))["actions"]] == [
        rejected,
        retried,
    ]
    assert "1 action to run again (left out: 1 run again before)" in await ctl(
        "rerun", "--resolution", "not_done_successfully", "--yes"
    )


async def test_the_daemon_by_hand(daemon: DaemonProcess, configure: Callable[..., None]) -> None:
    await daemon.start()
    ctl = Ctl(daemon)
    status = await ctl("status")
    assert str(daemon.pid) in status
    assert json.loads(await ctl("status", "--json"))["pid"] == daemon.pid
    assert "erp" in await ctl("systems")
    await ctl("pause", "erp")
    action = (await ctl("submit", "erp", "--data", '{"play": "answer"}')).strip()
    assert "paused" in await ctl("systems")
    assert "paused" in await ctl("retry", action, code=1)
    await daemon.stop()
    await daemon.start()
    assert "paused" in await ctl("systems")
    await ctl("resume", "erp")
    await daemon.until(action, "closed")
    configure(erp="retry.limit = 8")
    plan = await ctl("reload", "--plan")
    assert "retry.limit" in plan
    assert "8" in plan
    assert json.loads(await ctl("reload", "--json"))["applied"] is True
    configure(erp="retry.limit = -8")
    assert "systems.erp.retry.limit" in await ctl("reload", code=1)
    await ctl("shutdown")
    assert await daemon.wait() == 0
    assert "no daemon" in await ctl("status", code=3)
    await ctl("nonsense", code=2)


async def test_a_system_that_is_removed_holds_its_actions(
    daemon: DaemonProcess, configure: Callable[..., None]
) -> None:
    configure(depot='retry.delay = "300ms"\nretry.limit = 1000')
    await daemon.start()
    held = await daemon.call("submit", system="depot")
    whole = daemon.config_file.read_text()
    daemon.configure(whole[: whole.index("[systems.depot]")])
    answer = await daemon.call("reload")
    assert answer["plan"]["removed"] == ["depot"]
    with trio.fail_after(10):
        while (await daemon.call("show", id=held["id"]))["state"] != "pending":
            await trio.sleep(0.02)
    before = await daemon.call("show", id=held["id"])
    await trio.sleep(0.8)
    after = await daemon.call("show", id=held["id"])
    assert (after["held"], after["attempts"]) == (True, before["attempts"])
    systems = {system["name"]: system for system in (await daemon.call("systems"))["systems"]}
    assert systems["depot"]["health"] == "held: not configured"
    daemon.configure(whole)
    await daemon.call("reload")
    with trio.fail_after(10):
        while (await daemon.call("show", id=held["id"]))["attempts"] == before["attempts"]:
            await trio.sleep(0.02)


async def test_the_enate_dialect_end_to_end(daemon: DaemonProcess, configure: Callable[..., None]) -> None:
    import httpx
    from helpers.http_server import Request, Response, serve

    seen: list[dict[str, object]] = []

    async def take(request: Request) -> Response:
        seen.append(json.loads(request.body))
        return Response(202)

    async with serve(take) as url:
        text = daemon.config_file.read_text()
        daemon.configure(
            text + f'[systems.enate]\nadapter = "http"\n[systems.enate.http]\nurl = "{url}"\ndialect = "enate"\n'
        )
        await daemon.start()
        action = await daemon.call("submit", system="enate", case="C-9", owner="anna", data={"Amount": 12})
        await daemon.until(action["id"], "waiting")
        sent = seen[0]["Action"]
        assert isinstance(sent, dict)
        assert (sent["GUID"], sent["Amount"], sent["OwnerUser"]) == (action["id"], 12, "anna")
        async with httpx.AsyncClient(trust_env=False) as client:
            address = str(seen[0]["CallBackURL"])
            wrong = await client.post(address, json={"status": "success"})
            right = await client.post(
                address, json={"Success": False, "RobotRejectedReason": "no PO", "DataFields": {}}
            )
        assert (wrong.status_code, right.status_code) == (400, 200)
        todo = await daemon.call("show", id=action["id"])
        assert (todo["state"], todo["rejected_reason"]) == ("todo", "no PO")


def test_connectorctl_imports_nothing_heavy() -> None:
    code = (
        "import sys, connectord.cli.control; "
        "print([name for name in ('trio', 'pydantic', 'msgspec', 'structlog', 'rich', 'httpx') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == "[]"
