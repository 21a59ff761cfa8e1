"""What cannot be is refused with words that say what to do, and nothing is lost by it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from connectord.errors import DaemonUnreachable, RequestFailed
from connectord.testing.daemon_process import DaemonProcess

TEN_MISTAKES = """\
[daemon]
log_level = "loud"
drain = "soon"
[callbacks]
bind = "nowhere"
[retry]
limit = 0
jitter = 2.0
[systems.billing]
adapter = "htpp"
[systems.stock]
adapter = "http"
concurency = 4
timeout = 30
[systems.stock.http]
url = "ftp://stock"
[systems.mail]
adapter = "http"
on_timeout = "wait"
[systems.mail.http]
url = "http://127.0.0.1/"
"""


def run(*args: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "connectord.cli.daemon", *args]
    env = {**os.environ, **(environ or {})}
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=30, check=False)


def test_ten_mistakes_give_ten_errors_with_lines_and_exit_78(tmp_path: Path) -> None:
    file = tmp_path / "connectord.toml"
    file.write_text(TEN_MISTAKES)
    done = run("check", "--config", str(file))
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 78
    assert [int(line.removeprefix(f"{file}:").partition(":")[0]) for line in lines] == [
        2, 3, 5, 7, 8, 10, 13, 14, 16, 19,
    ]  # fmt: skip
    assert 'did you mean "concurrency"?' in done.stderr
    assert run("run", "--config", str(file)).returncode == 78


def test_a_good_file_is_ok(tmp_path: Path) -> None:
    file = tmp_path / "connectord.toml"
    file.write_text('[systems.a]\nadapter = "http"\n[systems.a.http]\nurl = "http://127.0.0.1/"\n')
    done = run("check", "--config", str(file))
    assert (done.returncode, done.stdout) == (0, f"{file}: ok, 1 system\n")


def test_a_missing_credential_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "connectord.toml"
    file.write_text(
        '[systems.a]\nadapter = "http"\n[systems.a.http]\nurl = "http://127.0.0.1/"\n'
        'headers = { Authorization = { credential = "erp-token" } }\n'
    )
    done = run("check", "--config", str(file), environ={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert done.returncode == 78
    assert f"{file}:5:" in done.stderr
    assert "erp-token" in done.stderr


def test_no_configuration_says_where_it_looked(tmp_path: Path) -> None:
    done = run("check", "--config", str(tmp_path / "none.toml"))
    assert done.returncode == 78
    assert "none.toml" in done.stderr


async def test_a_second_daemon_on_the_same_directory_is_refused(
    daemon: DaemonProcess, configure: Callable[..., None]
) -> None:
    await daemon.start()
    other = daemon.directory / "other.toml"
    text = daemon.config_file.read_text().replace("control.sock", "other.sock")
    other.write_text(text)
    done = await trio.to_thread.run_sync(run, "run", "--config", str(other))
    assert done.returncode == 1
    assert f"another connectord (process {daemon.pid})" in done.stderr
    assert (await daemon.call("status"))["pid"] == daemon.pid


async def test_a_port_that_is_taken_is_named(daemon: DaemonProcess, configure: Callable[..., None]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        daemon.configure(daemon.head(port))
        done = await trio.to_thread.run_sync(run, "run", "--config", str(daemon.config_file))
    assert done.returncode == 1
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", ["a file in its place", "below a file"])
async def test_an_unusable_state_directory_is_refused(daemon: DaemonProcess, kind: str) -> None:
    obstacle = daemon.directory / "state"
    obstacle.write_text("not a directory")
    text = daemon.head()
    if kind == "below a file":
        text = text.replace('/state"', '/state/deeper"')
    daemon.configure(text)
    done = await trio.to_thread.run_sync(run, "run", "--config", str(daemon.config_file))
    assert done.returncode == 1
    assert "daemon.state_directory" in done.stderr


async def test_a_broken_database_is_refused(daemon: DaemonProcess) -> None:
    (daemon.directory / "state").mkdir()
    (daemon.directory / "state" / "connectord.db").write_bytes(b"this is no database" * 1000)
    daemon.configure(daemon.head())
    done = await trio.to_thread.run_sync(run, "run", "--config", str(daemon.config_file))
    assert done.returncode == 1
    assert "restore a backup" in done.stderr


def raw(daemon: DaemonProcess, *lines: bytes) -> list[dict[str, Any]]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(daemon.socket))
        connection.sendall(b"".join(line + b"\n" for line in lines))
        with connection.makefile("rb") as answers:
            return [json.loads(answers.readline()) for _ in lines]


async def test_each_malformed_request_is_answered_and_the_daemon_goes_on(
    daemon: DaemonProcess, configure: Callable[..., None]
) -> None:
    await daemon.start()
    wrong: list[tuple[bytes, int]] = [
        (b"not json", -32700),
        (b"\xff\xfe", -32700),
        (b"[" * 50_000, -32700),
        (b"[]", -32600),
        (b"17", -32600),
        (b'{"jsonrpc": "1.0", "id": 1, "method": "status"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "statsu"}', -32601),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "show", "params": [1]}', -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "show", "params": {}}', -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "show", "params": {"id": 17}}', -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "show", "params": {"id": "x", "more": 1}}', -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "show", "params": {"id": "x"}}', -32001),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "case", "params": {"id": "x"}}', -32001),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "submit", "params": {"system": "nope"}}', -32001),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "submit", "params": {"system": "erp", "data": 3}}', -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "submit", "params": {"system": "erp", "due_at": "soon"}}', -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "list", "params": {"limit": 100000}}', -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "pause", "params": {"system": "nope"}}', -32001),
    ]
    for line, code in wrong:
        (answer,) = await trio.to_thread.run_sync(raw, daemon, line)
        assert answer["error"]["code"] == code, (line[:80], answer)
        assert len(answer["error"]["message"]) > 10
    (oversize,) = await trio.to_thread.run_sync(raw, daemon, b"x" * (1024 * 1024 + 1))
    assert oversize["error"]["code"] == -32600
    assert (await daemon.call("status"))["counts"] == {}


async def test_one_bad_action_of_many_takes_none(daemon: DaemonProcess, configure: Callable[..., None]) -> None:
    await daemon.start()
    await daemon.call("submit", system="erp", key="a", data={"play": "silent"})
    actions = [{"system": "erp", "data": {"n": 1}}, {"system": "erp", "key": "a", "data": {"other": True}}]
    with pytest.raises(RequestFailed) as caught:
        await daemon.call("submit_many", actions=actions)
    assert caught.value.code == -32006
    assert len((await daemon.call("list"))["actions"]) == 1


async def test_1000_submits_are_one_commit(daemon: DaemonProcess, configure: Callable[..., None]) -> None:
    await daemon.start()
    await daemon.call("pause", system="erp")
    before = (await daemon.call("status"))["commits"]
    answer = await daemon.call("submit_many", actions=[{"system": "erp", "data": {"n": n}} for n in range(1000)])
    status = await daemon.call("status")
    assert status["commits"] - before == 1
    assert len({action["id"] for action in answer["actions"]}) == 1000
    assert status["counts"]["pending"] == 1000


async def test_a_refused_reload_changes_nothing(daemon: DaemonProcess, configure: Callable[..., None]) -> None:
    await daemon.start()
    configure(erp="retry.limit = 9\nconcurrency = 0")
    with pytest.raises(RequestFailed) as caught:
        await daemon.call("reload")
    assert caught.value.code == -32004
    (error,) = (caught.value.data or {})["errors"]
    assert error["key"] == "systems.erp.concurrency"
    assert error["line"] > 0
    systems = (await daemon.call("systems"))["systems"]
    assert {system["retry_limit"] for system in systems} == {3}


async def test_sighup_reloads_and_sigterm_stops(daemon: DaemonProcess, configure: Callable[..., None]) -> None:
    await daemon.start()
    configure(erp="retry.limit = 9")
    daemon.signal(signal.SIGHUP)
    with trio.fail_after(10):
        while (await daemon.call("systems"))["systems"][0]["retry_limit"] != 9:
            await trio.sleep(0.02)
    assert await daemon.stop() == 0
    with pytest.raises(DaemonUnreachable):
        await daemon.call("status")


async def test_status_answers_while_all_lanes_are_busy(daemon: DaemonProcess, configure: Callable[..., None]) -> None:
    configure(erp="concurrency = 4", depot="concurrency = 4")
    await daemon.start()
    await daemon.call("submit_many", actions=[{"system": "erp", "data": {"play": "hang"}} for _ in range(40)])
    with trio.fail_after(10):
        while (await daemon.call("status"))["in_flight"] < 4:
            await trio.sleep(0.02)
    with trio.fail_after(2):
        status = await daemon.call("status")
    assert (status["in_flight"], status["counts"]["attempting"], status["counts"]["pending"]) == (4, 4, 36)


async def test_watch_tells_every_change(daemon: DaemonProcess, configure: Callable[..., None]) -> None:
    await daemon.start()
    command = [sys.executable, "-m", "connectord.cli.control", "--socket", str(daemon.socket), "watch", "--json"]
    async with trio.open_nursery() as nursery:
        process = await nursery.start(
            lambda task_status: trio.run_process(  # noqa: ASYNC105  - the nursery awaits it
                command, capture_stdout=False, stdout=subprocess.PIPE, check=False, task_status=task_status
            )
        )
        await trio.sleep(0.5)
        action = await daemon.call("submit", system="erp", data={"play": "succeed"})
        text = b""
        with trio.fail_after(10):
            while text.count(b"\n") < 4:
                text += await process.stdout.receive_some()
        nursery.cancel_scope.cancel()
    events = [json.loads(line) for line in text.splitlines()]
    events = [event.get("params", event) for event in events]
    assert [event["to"] for event in events] == ["pending", "attempting", "waiting", "closed"]
    assert {event["action"] for event in events} == {action["id"]}
