"""Mails to owners, through a real mail server: one conversation for many, refusals, TLS, silent servers."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pydantic
import pytest
import trio
import trio.testing
import trustme
from connectord.config import NotifySettings, SmtpSettings
from connectord.notifier.channels import Undeliverable
from connectord.notifier.mail import compose
from connectord.store.base import OutboxItem, OutboxRow
from helpers.mail_server import MailServer
from helpers.owners import Owners, be_patient, hurry, notifying

SENDER = "connectord <connectord@example.org>"


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    server = MailServer()
    yield server
    await server.stop()


def settings(server: MailServer, **changes: object) -> NotifySettings:
    values: dict[str, object] = {"host": "127.0.0.1", "sender": SENDER, "port": server.port, **changes}
    return NotifySettings("smtp", smtp=SmtpSettings(**values))  # type: ignore[arg-type]


@asynccontextmanager
async def mailing(tmp_path: Path, server: MailServer, **changes: object) -> AsyncIterator[Owners]:
    async with notifying(tmp_path, settings(server, **changes)) as owners:
        yield owners


async def test_many_mails_are_one_conversation(
    tmp_path: Path, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_patient(monkeypatch)
    await server.start()
    async with notifying(tmp_path, settings(server), running=False) as owners, trio.open_nursery() as nursery:
        await owners.give_up(30, owner="Anna <anna@example.org>", case_id="C-7")
        nursery.start_soon(owners.notifier.run)
        await owners.delivered(30)
        records = owners.records()
        nursery.cancel_scope.cancel()
    assert server.conversations == 1
    assert len(server.mails) == 30
    mail = server.mails[0]
    assert (mail["From"], mail["To"]) == (SENDER, "Anna <anna@example.org>")
    assert mail["Subject"] == f"Action {records[0].row.action_id} of case C-7 in sys: Closed - Not Done Successfully"
    assert "connection refused" in mail.get_content()
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"]
    assert [item["Message-ID"] for item in server.mails] == [
        f"<{record.row.action_id}-{record.seq}@example.org>" for record in records
    ]


async def test_refused_receivers_do_not_hold_up_the_others(
    tmp_path: Path, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_patient(monkeypatch)
    server.replies = {"gone@example.org": "550 5.1.1 no such user", "full@example.org": "452 4.2.2 mailbox full"}
    await server.start()
    async with mailing(tmp_path, server) as owners:
        for owner in ("gone@example.org", "anna@example.org", "full@example.org", "ben@example.org"):
            await owners.give_up(owner=owner)
        rows = await owners.until(4)
        assert owners.notifier.channel.failures == 0
    assert rows == [
        (1, "gone@example.org was refused: 550 5.1.1 no such user", False),
        (1, None, True),
        (1, "full@example.org was refused: 452 4.2.2 mailbox full", False),
        (1, None, True),
    ]
    assert server.receivers() == ["anna@example.org", "ben@example.org"]


async def test_a_server_that_is_down_gets_them_in_order_when_it_is_back(
    tmp_path: Path, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch)
    async with mailing(tmp_path, server) as owners:
        await owners.give_up(120, owner="anna@example.org")
        with trio.fail_after(20):
            while owners.notifier.channel.failures < 3:
                await trio.sleep(0.01)
        error = owners.notifier.channel.error
        assert error is not None
        assert f"no connection to 127.0.0.1:{server.port}" in error
        # thousands that wait cost one try, not one each
        assert [row[0] > 0 for row in owners.outbox()] == [True] + [False] * 119
        await server.start()
        await owners.delivered(120)
        assert owners.notifier.channel.failures == 0
        order = [record.row.action_id for record in owners.records()]
    assert [str(mail["Message-ID"]).split("-")[0].strip("<") for mail in server.mails] == order


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return authority


def protected(server: MailServer, authority: trustme.CA) -> dict[str, object]:
    server.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server.tls)
    server.login = ("connectord", "s3cret")
    return {"username": "connectord", "password": pydantic.SecretStr("s3cret"), "starttls": True}


async def test_starttls_with_authentication(
    tmp_path: Path, server: MailServer, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    login = protected(server, authority)
    await server.start()
    async with mailing(tmp_path, server, **login) as owners:
        await owners.give_up(owner="anna@example.org")
        await owners.delivered()
    assert server.receivers() == ["anna@example.org"]


async def test_a_certificate_that_nobody_vouches_for_gets_no_mail(
    tmp_path: Path, server: MailServer, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_patient(monkeypatch)
    login = protected(server, authority)
    await server.start()
    async with mailing(tmp_path, server, **login) as owners:
        await owners.give_up(owner="anna@example.org")
        ((_, error, done),) = await owners.until(1)
        assert not done
        assert error is not None
        assert "certificate verify failed" in error
        assert owners.notifier.channel.failures == 1
    assert server.mails == []


async def test_a_wrong_password_is_the_channels_trouble(
    tmp_path: Path, server: MailServer, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_patient(monkeypatch)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    login = protected(server, authority) | {"password": pydantic.SecretStr("wrong")}
    await server.start()
    async with mailing(tmp_path, server, **login) as owners:
        await owners.give_up(owner="anna@example.org")
        ((_, error, _),) = await owners.until(1)
        assert error is not None
        assert "535" in error
        assert "wrong" not in error
        assert owners.notifier.channel.failures == 1


@pytest.mark.parametrize("owner", ["anna", "x@", "a@b, c@d", "a@b\nBcc: c@d", "team: a@b;"])
async def test_an_owner_that_is_no_mail_address_is_seen_and_waits_for_a_person(
    tmp_path: Path, server: MailServer, owner: str
) -> None:
    await server.start()
    async with mailing(tmp_path, server) as owners:
        await owners.give_up(owner=owner, case_id="C-1")
        await owners.give_up(owner="ben@example.org")
        ((_, error, done), (_, _, other)) = await owners.until(2)
        assert (done, other) == (False, True)
        assert error is not None
        assert "no mail address" in error
        assert "connectorctl notifications --retry" in error
        (stuck,) = owners.world.reader.notifications(undelivered=True, owner=None, before=None, limit=10)
        assert stuck.next_try_at is None
        # the case gets an owner who can be reached; whoever asks for it then has it tried again
        owners.world.lane.set_paused(True)
        await owners.world.submit(owner="anna@example.org", case_id="C-1")
        assert await owners.world.ledger.hasten_notifications() == 1
        await owners.delivered(2)
    assert server.receivers() == ["ben@example.org", "anna@example.org"]


async def test_a_server_that_says_nothing_does_not_hold_up_a_stop(tmp_path: Path, server: MailServer) -> None:
    connected = trio.Event()

    async def say_nothing(stream: trio.SocketStream) -> None:
        connected.set()
        await stream.receive_some()

    listeners = await trio.open_tcp_listeners(server.port, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, say_nothing, listeners)
        # the conversation itself would wait for 15 s
        with trio.fail_after(5):
            async with mailing(tmp_path, server) as owners:
                await owners.give_up(owner="anna@example.org")
                await connected.wait()
                await trio.sleep(0.05)
        nursery.cancel_scope.cancel()


async def test_a_server_that_says_nothing_costs_one_time_limit_not_one_each(
    tmp_path: Path, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_patient(monkeypatch)
    monkeypatch.setattr("connectord.notifier.mail.READ_SECONDS", 0.2)
    listeners = await trio.open_tcp_listeners(server.port, host="127.0.0.1")

    async def say_nothing(stream: trio.SocketStream) -> None:
        await stream.receive_some()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, say_nothing, listeners)
        async with mailing(tmp_path, server) as owners:
            await owners.give_up(50, owner="anna@example.org")
            rows = await owners.until(1)
            assert [row[0] for row in rows] == [1] + [0] * 49
            assert f"127.0.0.1:{server.port}" in str(rows[0][1])
        nursery.cancel_scope.cancel()


async def test_a_server_that_breaks_off_after_each_mail_gets_them_all(
    tmp_path: Path, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch)
    mails = 0

    async def one_each(stream: trio.SocketStream) -> None:
        nonlocal mails
        replies = {b"EHLO": b"250 hello", b"MAIL": b"250 ok", b"RCPT": b"250 ok", b"DATA": b"354 go on"}
        await stream.send_all(b"220 hello\r\n")
        buffer, in_data = b"", False
        while chunk := await stream.receive_some():
            buffer += chunk
            while b"\r\n" in buffer:
                line, _, buffer = buffer.partition(b"\r\n")
                if in_data:
                    if line == b".":
                        mails += 1
                        await stream.send_all(b"250 kept\r\n")
                        return
                    continue
                in_data = line[:4].upper() == b"DATA"
                await stream.send_all(replies.get(line[:4].upper(), b"500 what") + b"\r\n")

    listeners = await trio.open_tcp_listeners(server.port, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, one_each, listeners)
        async with mailing(tmp_path, server) as owners:
            await owners.give_up(5, owner="anna@example.org")
            await owners.delivered(5)
        nursery.cancel_scope.cancel()
    assert mails == 5


def item(**changes: object) -> OutboxItem:
    values: dict[str, object] = {
        "action_id": "A-1", "case_id": None, "owner": "anna@example.org", "notice": "n", "at": 0, "text": "one\ntwo",
    }  # fmt: skip
    return OutboxItem(3, OutboxRow(**{**values, **changes}), 0, 0)  # type: ignore[arg-type]


def test_what_no_header_may_hold_is_left_out_of_the_subject() -> None:
    mail = compose(item(text="case \r\x00\u2028" + "x" * 500 + "\nbody"), "c@example.org")
    assert mail["Subject"].startswith("case")
    assert len(mail["Subject"]) == 200
    assert mail.as_bytes()


def test_a_mail_is_the_same_at_every_try() -> None:
    assert compose(item(), "c@example.org").as_bytes() == compose(item(), "c@example.org").as_bytes()


def test_an_owner_beyond_ascii_is_named() -> None:
    with pytest.raises(Undeliverable, match="non-ASCII"):
        compose(item(owner="änna@example.org"), "c@example.org")
