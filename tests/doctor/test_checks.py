"""What each check of the doctor sees, and says to do."""

from __future__ import annotations

import os
import socket
import sqlite3
import ssl
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from connectord.config import Config, load_config
from connectord.control import results as r
from connectord.doctor import certificates, configuration, database, disk, files, leftovers, machine
from connectord.doctor.reachability import try_target
from connectord.doctor.settings import Target, secrets_in_the_file, targets_of, unguarded
from connectord.errors import Problem
from connectord.plugins import load_plugins
from connectord.store.base import Glance
from connectord.store.sqlite_writer import SqliteWriter

NOW = datetime(2027, 1, 15, tzinfo=UTC)
ADAPTERS = load_plugins().adapters


def read(directory: Path, text: str, environ: dict[str, str] | None = None) -> Config:
    file = directory / "connectord.toml"
    head = f'[daemon]\nstate_directory = "{directory}/state"\ncontrol_socket = "{directory}/c.sock"\n'
    file.write_text(head + text, encoding="utf-8")
    return load_config(file, adapters=ADAPTERS, environ=environ or {})


def http(more: str = "", url: str = "https://erp.example.org/jobs") -> str:
    return f'[systems.erp]\nadapter = "http"\n{more}\n[systems.erp.http]\nurl = "{url}"\n'


def seen(findings: Iterable[r.Finding], level: str) -> list[str]:
    found = list(findings)
    assert all((finding.advice is None) == (finding.level == "ok") for finding in found)
    return [finding.seen for finding in found if finding.level == level]


# -- certificates


def pem_of(until: datetime) -> tuple[bytes, bytes]:
    authority = trustme.CA()
    certificate = authority.issue_cert("erp.example.org", not_before=until - timedelta(days=365), not_after=until)
    blob = certificate.cert_chain_pems[0].bytes()
    return blob, ssl.PEM_cert_to_DER_cert(blob.decode())


@pytest.mark.parametrize("until", [datetime(2027, 1, 16, 3, 4, 5, tzinfo=UTC), datetime(2061, 1, 1, tzinfo=UTC)])
def test_until_when_a_certificate_is_valid(until: datetime) -> None:
    assert certificates.valid_until(pem_of(until)[1]) == until


@pytest.mark.parametrize(
    "data", [b"", b"\x30", b"\x30\x84\x00", b"\x30\x03\x30\x01\x00", b"hello", b"\x30\xff" + b"x" * 99]
)
def test_what_is_no_certificate_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(ValueError, match="no X\\.509 certificate"):
        certificates.valid_until(data)


@pytest.mark.parametrize(("days", "level"), [(400, "ok"), (31, "ok"), (29, "warning"), (1, "warning"), (-1, "error")])
def test_a_certificate_is_warned_of_below_30_days(tmp_path: Path, days: int, level: str) -> None:
    file = tmp_path / "client.pem"
    file.write_bytes(pem_of(NOW + timedelta(days=days, minutes=1))[0])
    finding = certificates.judge_file("client_certificate", file, NOW, "erp")
    assert finding is not None
    assert (finding.level, finding.about) == (level, "erp")
    assert str(file) in finding.seen


def test_files_without_certificates(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_text("-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n")
    assert certificates.judge_file("client_key", file, NOW, "erp") is None
    file.write_text("-----BEGIN CERTIFICATE-----\nbroken")
    finding = certificates.judge_file("ca_file", file, NOW, "erp")
    assert finding is not None
    assert finding.level == "warning"
    missing = certificates.judge_file("ca_file", tmp_path / "none.pem", NOW, "erp")
    assert missing is not None
    assert missing.level == "error"


# -- settings


def test_the_addresses_that_settings_name(tmp_path: Path) -> None:
    text = (
        http()
        + 'auth.oauth2 = { token_url = "http://id.example.org:81/t", client_id = "c", client_secret = { env = "S" } }\n'
    )
    erp = read(tmp_path, text, {"S": "s3cret"}).systems["erp"].settings
    assert [(str(target), target.tls) for target in targets_of(erp)] == [
        ("erp.example.org:443", True), ("id.example.org:81", False),
    ]  # fmt: skip
    erp = read(tmp_path, http() + 'proxy = "http://proxy.example.org:3128"\n').systems["erp"].settings
    assert [str(target) for target in targets_of(erp)] == ["proxy.example.org:3128"]
    erp = read(tmp_path, http(url="https://{action.data.host}/jobs")).systems["erp"].settings
    assert targets_of(erp) == []


def test_secrets_and_switched_off_checks(tmp_path: Path) -> None:
    text = http() + 'verify_tls = false\nauth = { bearer = "abc" }\nheaders = { X-Team = "finance" }\n'
    config = read(tmp_path, text)
    settings = config.systems["erp"].settings
    assert secrets_in_the_file(settings, config.secrets) == ["auth.bearer"]
    assert unguarded(settings) == ["verify_tls = false"]
    config = read(tmp_path, http() + 'auth = { bearer = { env = "T" } }\n', {"T": "abc"})
    assert secrets_in_the_file(config.systems["erp"].settings, config.secrets) == []
    assert unguarded(config.systems["erp"].settings) == []


# -- configuration


def test_what_is_seldom_meant(tmp_path: Path) -> None:
    config = read(
        tmp_path, http("retry.limit = 1") + 'verify_tls = false\n[callbacks]\npublic_url = "http://c.example.org"\n'
    )
    warnings = seen(configuration.check_configuration(config), "warning")
    for words in ("retry.limit is 1", "no allocation rule", "http.verify_tls = false", "is not encrypted"):
        assert any(words in each for each in warnings), words
    quiet = http('allocation = { queue = "q" }') + '[callbacks]\npublic_url = "https://c.example.org"\n'
    assert seen(configuration.check_configuration(read(tmp_path, quiet)), "warning") == []
    assert "no system is configured" in seen(configuration.check_configuration(read(tmp_path, "")), "warning")


def test_the_file_against_what_is_in_force() -> None:
    path, problem = Path("c.toml"), Problem("c.toml", 3, "a.b", "must be 1")
    assert seen(configuration.compare_with_file(path, 2, [], []), "ok") == ["version 2 is in force, as c.toml has it"]
    (differs,) = seen(configuration.compare_with_file(path, 2, ["a", "b", "c", "d"], []), "warning")
    assert "a, b, c, ... would change" in differs
    (refused,) = seen(configuration.compare_with_file(path, 2, [], [problem, problem]), "error")
    assert "c.toml:3: a.b: must be 1 (and 1 more)" in refused


# -- permissions


def test_what_lies_open(tmp_path: Path) -> None:
    config = read(tmp_path, http() + 'auth = { bearer = "abc" }\n')
    state = tmp_path / "state"
    assert any("does not exist yet" in each for each in seen(check(config), "warning"))
    state.mkdir(mode=0o700)
    for name in ("connectord.db", "callback.key"):
        (state / name).touch(mode=0o600)
    config_file = tmp_path / "connectord.toml"
    config_file.chmod(0o640)
    assert seen(check(config), "error") == []
    assert seen(check(config), "warning") == [f"the secret http.auth.bearer stands in {config_file}"]
    for path, mode, words in (
        (config_file, 0o644, "which anybody can read (mode 0644)"),
        (config_file, 0o642, "anybody may write"),
        (state, 0o777, "others may write in"),
        (state / "callback.key", 0o640, "the key of the callback addresses can be read by others"),
        (state / "connectord.db", 0o644, "the database can be read by others"),
    ):
        before = path.stat().st_mode
        path.chmod(mode)
        assert any(words in each for each in seen(check(config), "error")), words
        path.chmod(before)


def test_a_state_directory_of_somebody_else(tmp_path: Path) -> None:
    config = read(tmp_path, http())
    (tmp_path / "state").mkdir(mode=0o700)
    found = list(files.check_files(config, {}, os.getuid() + 1))
    assert any("belongs to" in each for each in seen(found, "error"))


def test_keys_and_credentials(tmp_path: Path) -> None:
    authority = trustme.CA()
    key = tmp_path / "client.pem"
    authority.issue_cert("client.example.org").private_key_and_cert_chain_pem.write_to_path(str(key))
    config = read(tmp_path, http() + f'client_certificate = "{key}"\n')
    key.chmod(0o600)
    assert not any("private key" in each for each in seen(check(config), "error"))
    key.chmod(0o644)
    assert f"anybody can read the private key in {key} (client_certificate)" in seen(check(config), "error")
    credentials = tmp_path / "credentials"
    credentials.mkdir(mode=0o755)
    (credentials / "token").touch(mode=0o644)
    (credentials / "token").chmod(0o644)
    found = files.check_files(config, {"CREDENTIALS_DIRECTORY": str(credentials)}, os.getuid())
    assert any("anybody can read the credential" in each for each in seen(found, "error"))


def check(config: Config) -> list[r.Finding]:
    return list(files.check_files(config, {}, os.getuid()))


# -- disk, clock, limits


MOUNTS = """22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 22 0:30 / /srv/share rw shared:1 - nfs4 nas:/share rw
31 22 0:31 / /run rw - tmpfs tmpfs rw
32 22 0:32 / /srv/with\\040space rw master:1 - fuse.sshfs x rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/var/lib", "ext4"), ("/srv/share/state", "nfs4"), ("/run/x", "tmpfs"), ("/srv/with space/a", "fuse.sshfs"),
     ("/srv/shared", "ext4")],
)  # fmt: skip
def test_the_file_system_of_a_path(path: str, kind: str) -> None:
    assert disk.file_system_of(Path(path), MOUNTS) == kind


@pytest.mark.parametrize(
    ("kind", "level"), [("nfs4", "error"), ("fuse.sshfs", "error"), ("tmpfs", "warning"), ("xfs", "ok")]
)
def test_a_network_file_system_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, level: str) -> None:
    monkeypatch.setattr(disk, "file_system_of", lambda path: kind)
    assert any(kind in each for each in seen(disk.check_disk(tmp_path / "not" / "there"), level))


@pytest.mark.parametrize(
    ("free", "whole", "size", "level"),
    [
        (2**40, 2**41, 0, "ok"),
        (2**20, 2**41, 0, "error"),
        (2**30, 2**41, 2**31, "warning"),
        (2**30, 2**41, 0, "warning"),
    ],
)
def test_room_on_the_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, whole: int, size: int, level: str
) -> None:
    given = os.statvfs_result((4096, 1, whole, free, free, 0, 0, 0, 0, 255))
    monkeypatch.setattr(disk.os, "statvfs", lambda path: given)
    with (tmp_path / "connectord.db").open("wb") as database_file:
        database_file.truncate(size)
    assert any("are free for a database of" in each for each in seen(disk.check_disk(tmp_path), level))


def test_few_inodes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = os.statvfs_result((4096, 1, 2**41, 2**40, 2**40, 1000, 10, 10, 0, 255))
    monkeypatch.setattr(disk.os, "statvfs", lambda path: given)
    assert any("10 of 1000 inodes" in each for each in seen(disk.check_disk(tmp_path), "warning"))


@pytest.mark.parametrize(("synchronised", "level"), [(True, "ok"), (None, "ok"), (False, "warning")])
def test_the_clock(monkeypatch: pytest.MonkeyPatch, synchronised: bool | None, level: str) -> None:
    monkeypatch.setattr(machine, "is_synchronised", lambda: synchronised)
    started = machine.Moment(1000.0, 50.0)
    assert len(seen(machine.check_clock(started, machine.Moment(1010.0, 60.0)), level)) >= 1
    (jump,) = [
        each for each in seen(machine.check_clock(started, machine.Moment(1000.0, 60.0)), "warning") if "jumped" in each
    ]
    assert "by -10.0 s" in jump


def test_the_kernel_is_asked() -> None:
    assert machine.is_synchronised() in (True, False, None)


@pytest.mark.parametrize(("soft", "level"), [(10_000, "ok"), (1024, "warning"), (64, "error")])
def test_open_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, soft: int, level: str) -> None:
    monkeypatch.setattr(machine.resource, "getrlimit", lambda which: (soft, 10_000))
    assert len(seen(machine.check_limits(read(tmp_path, http())), level)) == 1


# -- database


def test_the_database(tmp_path: Path) -> None:
    assert "there is no database" in seen(database.check_database(tmp_path, 5), "warning")[0]
    writer = SqliteWriter(tmp_path / "connectord.db")
    writer.close()
    assert "the database is whole" in seen(database.check_database(tmp_path, 5), "ok")


def test_a_damaged_database(tmp_path: Path) -> None:
    path = tmp_path / "connectord.db"
    SqliteWriter(path).close()
    with path.open("r+b") as stream:
        stream.seek(4096 * 3)
        stream.write(b"\xff" * 4096)
    assert seen(database.check_database(tmp_path, 5), "error")
    path.write_bytes(b"no database at all" * 400)
    assert "cannot be read" in seen(database.check_database(tmp_path, 5), "error")[0]


def test_a_large_database_is_not_looked_through_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "connectord.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) INSERT INTO t "
            "SELECT i FROM n"
        )
    connection.close()
    (words,) = seen(database.check_database(tmp_path, 0), "warning")
    assert "not looked through to the end" in words


# -- leftovers


def system(**members: Any) -> r.System:
    given = {
        "name": "erp", "adapter": "http", "state": "running", "health": "ok", "last_error": None, "pending": 1,
        "waiting": 0, "todo": 2, "in_progress": 0, "in_flight": 0, "concurrency": 1, "retry_limit": 5, "paused": False,
    }  # fmt: skip
    return r.System(**{**given, **members})


def test_what_was_left_lying() -> None:
    now = int(NOW.timestamp() * 1000)
    calm = leftovers.check_backlog([system()], Glance({}, {"erp": now}, 1, 1, 1), now)
    assert seen(calm, "ok") == ["nothing is held, paused, or due for long"]
    systems = [system(name="a", state="held"), system(name="b", state="paused"), system(name="c")]
    glance = Glance({"todo": now - 8 * 86_400_000}, {"c": now - 3_600_000}, 1, 1, 1)
    assert seen(leftovers.check_backlog(systems, glance, now), "warning") == [
        "3 actions are held: the system is not configured any more",
        "paused by a person, with 3 actions before it",
        "an action is due for 60 min, and was not attempted",
        "an action that was submitted 8 days ago is still To Do",
    ]


@pytest.mark.parametrize(
    ("state", "since", "level"),
    [("up", None, "ok"), ("up", "2027-01-14T00:00:00.000Z", "warning"), ("down", "2027-01-14T23:59:00.000Z", "warning"),
     ("down", "2027-01-14T00:00:00.000Z", "error")],
)  # fmt: skip
def test_owners_who_were_not_told(state: Any, since: str | None, level: str) -> None:
    channel = r.Channel(via="smtp", state=state, last_error="refused", since=since, next_try_at=None)
    backlog = r.NotificationBacklog(undelivered=2, since=since, channel=channel)
    assert len(seen(leftovers.check_owners(backlog, int(NOW.timestamp() * 1000)), level)) == 1


# -- reachability


async def answering(date: str) -> tuple[trio.SocketListener, Callable[[trio.SocketStream], Any]]:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def answer(stream: trio.abc.Stream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(f"HTTP/1.1 404 Not Found\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n".encode())

    return listener, answer


async def test_a_system_that_answers_and_whose_clock_goes_wrong() -> None:
    listener, answer = await answering("Tue, 15 Nov 1994 08:12:31 GMT")
    port = listener.socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, answer, [listener])
        found = await try_target(Target("url", "127.0.0.1", port, tls=False, http=True), "erp", NOW)
        nursery.cancel_scope.cancel()
    assert seen(found, "ok") == [f"127.0.0.1:{port} accepts connections"]
    assert "s apart" in seen(found, "error")[0]


async def test_tls_and_a_certificate_that_nobody_trusts() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    soon = datetime.now(UTC) + timedelta(days=5)
    authority.issue_cert("127.0.0.1", not_after=soon).configure_cert(context)
    listener, answer = await answering("soon")
    port = listener.socket.getsockname()[1]

    async def answer_with_tls(stream: trio.SocketStream) -> None:
        await answer(trio.SSLStream(stream, context, server_side=True))  # type: ignore[arg-type]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, answer_with_tls, [listener])
        target = Target("url", "127.0.0.1", port, tls=True, http=True)
        found = await try_target(target, "erp", datetime.now(UTC))
        nursery.cancel_scope.cancel()
    assert seen(found, "ok") == [f"127.0.0.1:{port} accepts connections with TLS"]
    assert f"the certificate of 127.0.0.1:{port} is valid until {soon:%Y-%m-%d}, 4 days" in seen(found, "warning")[0]


async def test_a_port_that_refuses_and_one_that_speaks_no_tls() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        target = Target("url", "127.0.0.1", closed.getsockname()[1], tls=False, http=False)
        (words,) = seen(await try_target(target, "erp", NOW), "error")
    assert "refused" in words
    listener, answer = await answering("now")
    port = listener.socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, answer, [listener])
        (words,) = seen(await try_target(Target("url", "127.0.0.1", port, tls=True, http=True), "erp", NOW), "error")
        nursery.cancel_scope.cancel()
    assert "TLS failed" in words
