"""The outbox is delivered, at least once, by every way that [notify] knows; with real programs and real servers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import connectord.notifier
import pytest
import trio
from connectord.adapters import Call, NotConnected, Outcome
from connectord.config import NotifySettings, SmtpSettings
from connectord.lifecycle.policy import RetryPolicy
from connectord.network import SystemNetwork
from connectord.notifier import Notifier
from helpers.http_server import Request, Response, serve
from helpers.world import World, world


async def refuse(call: Call) -> Outcome:
    raise NotConnected("connection refused")


@asynccontextmanager
async def notifying(tmp_path: Path, settings: NotifySettings) -> AsyncIterator[World]:
    """A world in which every action fails at once, and a notifier beside it."""
    async with world(tmp_path, refuse, retry=RetryPolicy(limit=1)) as here, trio.open_nursery() as nursery:
        nursery.start_soon(Notifier(here.ledger, here.clock, SystemNetwork(), lambda: settings).run)
        yield here
        nursery.cancel_scope.cancel()


def outbox(here: World) -> list[tuple[int, str | None, bool]]:
    rows = here.reader._all("SELECT tries, last_error, delivered_at IS NOT NULL FROM outbox ORDER BY seq")
    return [(row[0], row[1], bool(row[2])) for row in rows]


async def delivered(here: World, count: int = 1) -> None:
    with trio.fail_after(10):
        while [row for row in outbox(here) if row[2]] != outbox(here) or len(outbox(here)) < count:
            await trio.sleep(0.01)


async def test_a_command_gets_the_notice_on_its_input(tmp_path: Path) -> None:
    target = tmp_path / "mail"
    settings = NotifySettings("command", command=("/bin/sh", "-c", f"cat >> {target}"))
    async with notifying(tmp_path, settings) as here:
        (action_id,) = await here.submit(owner="anna", case_id="C-1")
        await delivered(here)
    notice = json.loads(target.read_text())
    assert (notice["action"], notice["owner"], notice["case"]) == (action_id, "anna", "C-1")
    assert notice["notice"] == "attempts_exhausted"
    assert "Closed - Not Done Successfully" in notice["text"]


async def test_what_fails_is_tried_again_until_it_is_delivered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connectord.notifier, "FIRST_DELAY_MS", 20)
    seen: list[bytes] = []

    async def moody(request: Request) -> Response:
        seen.append(request.body)
        return Response(500 if len(seen) < 3 else 204)

    async with serve(moody) as url, notifying(tmp_path, NotifySettings("webhook", url=url)) as here:
        await here.submit(owner="anna")
        await delivered(here)
        assert outbox(here) == [(3, None, True)]
    assert len(set(seen)) == 1


async def test_a_command_that_fails_is_named_and_kept(tmp_path: Path) -> None:
    settings = NotifySettings("command", command=("/bin/sh", "-c", "echo no such list >&2; exit 7"))
    async with notifying(tmp_path, settings) as here:
        await here.submit(owner="anna")
        with trio.fail_after(10):
            while not (rows := outbox(here)) or rows[0][0] == 0:
                await trio.sleep(0.01)
        assert rows == [(1, "DeliveryFailed: /bin/sh exited with 7: no such list", False)]


async def test_a_mail_server_gets_a_mail(tmp_path: Path) -> None:
    mails: list[str] = []

    async def converse(stream: trio.SocketStream) -> None:
        async def say(line: str) -> None:
            await stream.send_all(line.encode() + b"\r\n")

        await say("220 test")
        buffer, data = b"", False
        while chunk := await stream.receive_some():
            buffer += chunk
            if data:
                if b"\r\n.\r\n" not in buffer:
                    continue
                text, _, buffer = buffer.partition(b"\r\n.\r\n")
                mails.append(text.decode())
                data = False
                await say("250 kept")
            while not data and b"\r\n" in buffer:
                line, _, buffer = buffer.partition(b"\r\n")
                data = line.upper() == b"DATA"
                await say("354 go on" if data else "221 bye" if line.upper() == b"QUIT" else "250 ok")

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    smtp = SmtpSettings("127.0.0.1", "connectord@example.org", port=port)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, converse, listeners)
        async with notifying(tmp_path, NotifySettings("smtp", smtp=smtp)) as here:
            await here.submit(owner="anna@example.org", case_id="C-7")
            await delivered(here)
        nursery.cancel_scope.cancel()
    (mail,) = mails
    assert "To: anna@example.org" in mail
    assert "connection refused" in mail


async def test_nobody_to_notify_is_settled(tmp_path: Path) -> None:
    async with notifying(tmp_path, NotifySettings("log")) as here:
        await here.submit()
        await delivered(here)
        assert outbox(here) == [(1, None, True)]
