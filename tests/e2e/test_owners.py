"""Owners hear of rule 9, at least once, whatever happens to the channel or to the daemon; and it can be seen."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
from connectord.callers import Role
from connectord.control.methods import Caller, Methods
from connectord.errors import NotAllowed
from connectord.testing.daemon_process import DaemonProcess
from connectord.testing.fake_system import FakeSystem
from helpers.ctl import Ctl
from helpers.http_server import Request, Response, serve
from helpers.mail_server import MailServer


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    server = MailServer()
    yield server
    await server.stop()


def configuration(daemon: DaemonProcess, fake: FakeSystem, closed_port: int, notify: str) -> str:
    return (
        daemon.head()
        + f"[notify]\n{notify}\n"
        + '[retry]\nlimit = 2\ndelay = "20ms"\njitter = 0.0\n'
        + f'[systems.erp]\nadapter = "http"\ntimeout = "1s"\n[systems.erp.http]\nurl = "{fake.url}"\n'
        + '[systems.strict]\nadapter = "http"\ntimeout = "1s"\non_timeout = "close"\n'
        + f'[systems.strict.http]\nurl = "{fake.url}"\n'
        + f'[systems.depot]\nadapter = "http"\ncircuit = false\n[systems.depot.http]\nurl = "http://127.0.0.1:{closed_port}/"\n'
    )


def mail_table(server: MailServer) -> str:
    return f'via = "smtp"\nhost = "127.0.0.1"\nport = {server.port}\nsender = "connectord@example.org"'


async def backlog(daemon: DaemonProcess) -> dict[str, Any]:
    found: dict[str, Any] = (await daemon.call("status"))["notifications"]
    return found


async def test_rule_9_every_owner_mail_arrives_after_the_server_was_down_and_none_of_rules_3_4_20(
    daemon: DaemonProcess, fake: FakeSystem, closed_port: int, server: MailServer
) -> None:
    daemon.configure(configuration(daemon, fake, closed_port, mail_table(server)))
    await daemon.start()
    given_up = [
        await daemon.call("submit", system="depot", case=f"C-{number}", owner=f"owner-{number}@example.org")
        for number in range(40)
    ]
    quiet = {"owner": "nobody-to-disturb@example.org", "case": "C-quiet"}
    rejected = await daemon.call("submit", system="erp", data={"play": "fail"}, **quiet)
    refused = await daemon.call("submit", system="erp", data={"play": "reject"}, **quiet)
    unanswered = await daemon.call("submit", system="erp", data={"play": "silent"}, **quiet)
    closed = await daemon.call("submit", system="strict", data={"play": "silent"}, **quiet)
    for action in given_up:
        await daemon.until(action["id"], "closed")
    for action in (rejected, refused, unanswered):
        await daemon.until(action["id"], "todo")
    assert (await daemon.until(closed["id"], "closed"))["resolution"] == "not_done_successfully"

    with trio.fail_after(10):
        while (waiting := await backlog(daemon))["channel"]["state"] != "down":
            await trio.sleep(0.02)
    assert waiting["undelivered"] == 40
    assert waiting["since"] is not None
    ctl = Ctl(daemon)
    status = await ctl("status")
    assert "40 notifications not delivered" in status
    assert "no connection to 127.0.0.1" in status
    page = await daemon.call("notifications", limit=1000)
    assert json.loads(await ctl("notifications", "--json", "--limit", "1000"))["notifications"] == page["notifications"]
    assert {item["action"] for item in page["notifications"]} == {action["id"] for action in given_up}
    assert {item["state"] for item in page["notifications"]} == {"waiting"}
    text = await ctl("notifications", "--owner", "owner-7@example.org")
    assert "smtp cannot be reached since" in text
    (line,) = [line for line in text.splitlines() if given_up[7]["id"] in line]
    assert "the last try failed" in line
    assert "C-7" in line
    assert "is not notified yet" in await ctl("show", given_up[7]["id"])

    await server.start()
    assert await ctl("notifications", "--retry") == "40 tried again now\n"
    await server.until(lambda: len(server.mails) >= 40)
    with trio.fail_after(10):
        while (await backlog(daemon))["undelivered"]:
            await trio.sleep(0.02)
    assert sorted(server.receivers()) == sorted(f"owner-{number}@example.org" for number in range(40))
    assert all("Closed - Not Done Successfully" in str(mail["Subject"]) for mail in server.mails)
    assert (await ctl("notifications")).startswith("all delivered")
    everything = json.loads(await ctl("notifications", "--all", "--limit", "3", "--json"))
    assert [item["state"] for item in everything["notifications"]] == ["delivered"] * 3
    older = await daemon.call("notifications", all=True, after=everything["next"], limit=1000)
    assert len(older["notifications"]) == 37
    card = await daemon.call("show", id=given_up[7]["id"])
    (told,) = card["notifications"]
    assert (told["owner"], told["state"], told["last_error"]) == ("owner-7@example.org", "delivered", None)
    assert "owner-7@example.org was notified at" in await ctl("show", given_up[7]["id"])
    assert "all notified" in await ctl("status")
    assert (await daemon.call("show", id=closed["id"]))["notifications"] == []


async def test_rule_18_a_kill_between_delivery_and_record_delivers_twice_never_not_at_all(
    daemon: DaemonProcess, fake: FakeSystem, closed_port: int, server: MailServer
) -> None:
    server.hold = threading.Event()
    await server.start()
    daemon.configure(configuration(daemon, fake, closed_port, mail_table(server)))
    await daemon.start()
    action = await daemon.call("submit", system="depot", owner="anna@example.org")
    # the server has the mail, and the daemon has not heard of it yet
    await server.until(lambda: len(server.mails) == 1)
    daemon.kill()
    server.hold.set()
    await daemon.start()
    await server.until(lambda: len(server.mails) == 2)
    with trio.fail_after(10):
        while (await backlog(daemon))["undelivered"]:
            await trio.sleep(0.02)
    first, second = server.mails
    assert first["Message-ID"] == second["Message-ID"]
    assert action["id"] in str(first["Message-ID"])


async def test_a_webhook_that_answers_500_for_a_while(
    daemon: DaemonProcess, fake: FakeSystem, closed_port: int
) -> None:
    answers: list[int] = []

    async def moody(request: Request) -> Response:
        answers.append(500 if len(answers) < 3 else 204)
        return Response(answers[-1])

    async with serve(moody) as url:
        daemon.configure(configuration(daemon, fake, closed_port, f'via = "webhook"\nurl = "{url}"'))
        await daemon.start()
        action = await daemon.call("submit", system="depot", owner="anna")
        await daemon.until(action["id"], "closed")
        with trio.fail_after(20):
            # by itself it would be tried again after 5, 10 and 20 s
            while (await backlog(daemon))["undelivered"]:
                await daemon.call("notifications_retry")
                await trio.sleep(0.1)
    assert answers == [500, 500, 500, 204]
    (told,) = (await daemon.call("show", id=action["id"]))["notifications"]
    assert (told["tries"], told["state"]) == (4, "delivered")


async def test_rule_5_closed_unsuccessfully_by_hand_tells_the_owner(
    daemon: DaemonProcess, fake: FakeSystem, closed_port: int, tmp_path: Path
) -> None:
    target = tmp_path / "told"
    program = tmp_path / "notify"
    program.write_text(f"#!/bin/sh\ncat >> {target}\necho >> {target}\n")
    program.chmod(0o755)
    daemon.configure(configuration(daemon, fake, closed_port, f'via = "command"\ncommand = ["{program}"]'))
    await daemon.start()
    action = await daemon.call("submit", system="erp", owner="anna", data={"play": "reject"})
    await daemon.until(action["id"], "todo")
    await daemon.call("complete", id=action["id"], resolution="not_done_successfully", note="no use")
    with trio.fail_after(10):
        while not target.exists() or not target.read_text().endswith("\n"):
            await trio.sleep(0.02)
    (line,) = target.read_text().splitlines()
    assert (json.loads(line)["notice"], json.loads(line)["owner"]) == ("closed_by_hand", "anna")


async def test_a_stop_does_not_wait_for_a_mail_server_that_says_nothing(
    daemon: DaemonProcess, fake: FakeSystem, closed_port: int, server: MailServer
) -> None:
    connected = trio.Event()

    async def say_nothing(stream: trio.SocketStream) -> None:
        connected.set()
        await trio.sleep_forever()

    listeners = await trio.open_tcp_listeners(server.port, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, say_nothing, listeners)
        text = configuration(daemon, fake, closed_port, mail_table(server))
        daemon.configure(text.replace('drain = "5s"', 'drain = "1s"'))
        await daemon.start()
        await daemon.call("submit", system="depot", owner="anna@example.org")
        with trio.fail_after(10):
            await connected.wait()
            # the conversation alone would wait for 15 s
            assert await daemon.stop() == 0
        nursery.cancel_scope.cancel()


async def test_a_reload_of_notify_delivers_what_could_not_be(
    daemon: DaemonProcess, fake: FakeSystem, closed_port: int, server: MailServer
) -> None:
    await server.start()
    daemon.configure(configuration(daemon, fake, closed_port, mail_table(server)))
    await daemon.start()
    action = await daemon.call("submit", system="depot", owner="anna")
    await daemon.until(action["id"], "closed")
    with trio.fail_after(10):
        while not (page := await daemon.call("notifications"))["notifications"][0]["tries"]:
            await trio.sleep(0.02)
    (stuck,) = page["notifications"]
    assert (stuck["state"], stuck["next_try_at"]) == ("undeliverable", None)
    assert "is no mail address" in stuck["last_error"]
    daemon.configure(configuration(daemon, fake, closed_port, 'via = "log"'))
    await daemon.call("reload")
    with trio.fail_after(10):
        while (await backlog(daemon))["undelivered"]:
            await trio.sleep(0.02)
    assert '"event":"owner notified"' in daemon.log().replace(": ", ":")


async def test_retry_goes_alone(daemon: DaemonProcess, fake: FakeSystem, closed_port: int) -> None:
    daemon.configure(configuration(daemon, fake, closed_port, 'via = "log"'))
    await daemon.start()
    ctl = Ctl(daemon)
    assert await ctl("notifications") == "all delivered (by log)\n"
    assert json.loads(await ctl("notifications", "--retry", "--json")) == {"count": 0}
    assert "alone" in await ctl("notifications", "--retry", "--all", code=2)


async def test_who_may_only_look_may_not_hasten() -> None:
    async def notify(method: str, params: object) -> None:
        raise AssertionError("nothing is to be told")

    methods = Methods(None)  # type: ignore[arg-type]  # the refusal needs no services
    with pytest.raises(NotAllowed, match="needs the role operator"):
        await methods.dispatch(Caller("user:eva", Role.VIEWER), "notifications_retry", {}, notify)
