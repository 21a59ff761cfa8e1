"""The control socket and real users of the machine: who has no role gets nothing, whatever he sends."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
from connectord.control.signatures import SIGNATURES
from connectord.testing.daemon_process import DaemonProcess

STRANGER = 65_534
BECOME = f"import os, socket, sys; os.setgroups([]); os.setgid({STRANGER}); os.setuid({STRANGER})"
SAY = f"""
{BECOME}
stream = socket.socket(socket.AF_UNIX)
stream.settimeout(20)
stream.connect(sys.argv[1])
stream.sendall(sys.stdin.buffer.read())
stream.shutdown(socket.SHUT_WR)
while chunk := stream.recv(65536):
    sys.stdout.buffer.write(chunk)
"""
FLOOD = f"""
{BECOME}
kept = []
for _ in range(300):
    stream = socket.socket(socket.AF_UNIX)
    stream.connect(sys.argv[1])
    kept.append(stream)
print(len(kept), flush=True)
sys.stdin.read()
"""

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="becoming another user takes root")


@pytest.fixture
async def open_daemon() -> AsyncIterator[DaemonProcess]:
    """A daemon whose socket every user of the machine can reach, as a group's members could."""
    directory = Path(tempfile.mkdtemp(prefix="connectord-users-"))
    directory.chmod(0o755)
    daemon = DaemonProcess(directory)
    daemon.configure(daemon.head())
    try:
        await daemon.start()
        daemon.socket.chmod(0o666)
        yield daemon
    finally:
        daemon.kill()
        shutil.rmtree(directory)


async def say(daemon: DaemonProcess, *requests: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """What another user is answered to these requests, on one connection."""
    lines = [
        json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + "\n"
        for number, (method, params) in enumerate(requests)
    ]
    done = await trio.run_process(
        [sys.executable, "-c", SAY, str(daemon.socket)],
        stdin="".join(lines).encode(),
        capture_stdout=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return sorted(answers, key=lambda answer: int(answer["id"]))


@needs_root
async def test_who_has_no_role_gets_nothing_from_any_method(open_daemon: DaemonProcess) -> None:
    answers = await say(open_daemon, *[(method, {}) for method in SIGNATURES])
    assert len(answers) == len(SIGNATURES)
    for answer in answers:
        assert answer["error"]["code"] == -32003
        assert (
            answer["error"]["message"] == f"uid {STRANGER} has no role here; an admin can give one in [control.roles]"
        )
    assert (await open_daemon.call("status"))["last_seq"] == 0


@needs_root
async def test_a_reload_gives_and_takes_a_role(open_daemon: DaemonProcess) -> None:
    daemon = open_daemon
    daemon.configure(daemon.head() + f'[control.roles]\nviewer = ["uid:{STRANGER}"]\n')
    await daemon.call("reload")
    status, stop, reload, pause = await say(
        daemon, ("status", {}), ("shutdown", {"now": True}), ("reload", {}), ("pause", {"system": "x"})
    )
    assert status["result"]["pid"] == daemon.pid
    for refused, name in ((stop, "shutdown"), (reload, "reload"), (pause, "pause")):
        assert refused["error"]["code"] == -32003
        assert refused["error"]["message"].startswith(f"{name} needs the role admin; ")
    daemon.configure(daemon.head())
    await daemon.call("reload")
    (status,) = await say(daemon, ("status", {}))
    assert status["error"]["code"] == -32003


@needs_root
async def test_a_strangers_flood_does_not_keep_root_out(open_daemon: DaemonProcess) -> None:
    flood = subprocess.Popen(  # noqa: ASYNC220 - it answers at once
        [sys.executable, "-c", FLOOD, str(open_daemon.socket)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert flood.stdout is not None
        assert int(await trio.to_thread.run_sync(flood.stdout.readline)) == 300
        # the kernel's queue may be full for a moment; it empties as fast as strangers are refused
        assert (await open_daemon.call("status"))["pid"] == open_daemon.pid
        assert "control_connections_of_user_full" in open_daemon.log()
    finally:
        flood.kill()
        flood.communicate()


async def test_a_flood_of_rubbish_costs_only_its_own_connection(open_daemon: DaemonProcess) -> None:
    """Half lines, bytes that are no UTF-8, deep nesting, and a line that never ends."""

    def attack() -> list[bytes]:
        answers = []
        for rubbish in (
            b'{"jsonrpc": "2.0", ',
            b'{"jsonrpc": "2.0", "id": 1, "method": "\xff\xfe"}\n',
            b"[" * 100_000 + b"\n",
            b'{"a":' * 100_000 + b"\n",
            b"\0" * 10_000 + b"\n",
            b"x" * (1024 * 1024) + b"\n",
            b"x" * (1024 * 1024 + 1) + b"\n",
            b" " * (3 * 1024 * 1024),
        ):
            with socket.socket(socket.AF_UNIX) as stream:
                stream.settimeout(20)
                stream.connect(str(open_daemon.socket))
                try:
                    stream.sendall(rubbish)
                    stream.shutdown(socket.SHUT_WR)
                except BrokenPipeError:
                    pass
                answer = b""
                try:
                    while chunk := stream.recv(65536):
                        answer += chunk
                except ConnectionResetError:
                    pass
                answers.append(answer)
        return answers

    answers = await trio.to_thread.run_sync(attack)
    codes = [json.loads(answer)["error"]["code"] if answer else None for answer in answers]
    assert codes == [None, -32700, -32700, -32700, -32700, -32700, -32600, -32600]
    assert (await open_daemon.call("status"))["last_seq"] == 0
    assert "control_request_failed" not in open_daemon.log()
