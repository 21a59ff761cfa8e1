"""What ``top`` asks the daemon, and how it stands what the daemon does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from connectord.cli.top import feed
from connectord.cli.top.feed import Connection, fetch
from connectord.control.server import open_control_listener, serve_control
from connectord.errors import DaemonUnreachable, RequestFailed
from helpers.screens import STATUS, action, retrying, system


class Daemon:
    """Plays the daemon on a real socket."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.systems = [system("erp", pending=0, in_progress=0), system("depot", pending=0, in_progress=2)]
        self.silent = False

    async def dispatch(self, caller: Any, method: str, params: dict[str, Any], notify: Any) -> Any:
        self.calls.append((method, params))
        if self.silent:
            await trio.sleep_forever()
        match method:
            case "status":
                return STATUS
            case "systems":
                return {"systems": self.systems}
            case "list":
                return {"actions": [action("A1", "todo"), retrying("A2")], "next": None}
        return {"text": "x" * 500_000}


@asynccontextmanager
async def serving(path: Path, daemon: Daemon) -> AsyncIterator[None]:
    listener = await open_control_listener(path)
    async with trio.open_nursery() as nursery:

        async def run(task_status: trio.TaskStatus[None]) -> None:
            await serve_control(listener, daemon.dispatch, lambda peer: peer, task_status=task_status)

        await nursery.start(run)
        yield
        nursery.cancel_scope.cancel()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


async def test_only_what_there_is_is_asked_for(path: Path) -> None:
    daemon, connection = Daemon(), Connection(str(path))
    async with serving(path, daemon):
        found = await fetch(connection, 7, None)
        assert [item["id"] for item in found.actions] == ["A2", "A1"]
        asked = [params for method, params in daemon.calls if method == "list"]
        kinds = [{"state": "todo"}, {"state": "in_progress"}, {"state": "attempting"}, {"state": "waiting"}, {}]
        assert asked == [{**kind, "limit": 7} for kind in kinds]
        daemon.calls.clear()
        daemon.systems[0]["pending"] = 1
        await fetch(connection, 7, "erp")
        asked = [params for method, params in daemon.calls if method == "list"]
        assert asked[0] == {"retrying": True, "limit": 7, "system": "erp"}
        assert {"state": "in_progress", "limit": 7, "system": "erp"} not in asked
        assert {"limit": 7, "system": "erp"} not in asked
        await connection.close()


async def test_a_refusal_is_told_and_the_connection_goes_on(path: Path) -> None:
    connection = Connection(str(path))
    async with serving(path, Daemon()):
        with pytest.raises(RequestFailed):
            await connection.call("status", bad=float("nan"))
        assert len((await connection.call("big"))["text"]) == 500_000
        await connection.close()


async def test_it_connects_again_after_the_daemon_went_away(path: Path) -> None:
    connection = Connection(str(path))
    with pytest.raises(DaemonUnreachable, match="no daemon answers at .*: No such file"):
        await connection.call("status")
    for _ in range(2):
        async with serving(path, Daemon()):
            assert await connection.call("status") == STATUS
        with pytest.raises(DaemonUnreachable):
            await connection.call("status")


async def test_a_daemon_that_says_nothing_is_given_up_and_a_cancelled_call_leaves_nothing_behind(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "TIMEOUT_SECONDS", 0.1)
    daemon, connection = Daemon(), Connection(str(path))
    async with serving(path, daemon):
        daemon.silent = True
        with pytest.raises(DaemonUnreachable, match="no answer from .* within 0.1 s"):
            await connection.call("status")
        monkeypatch.setattr(feed, "TIMEOUT_SECONDS", 60)
        with trio.move_on_after(0.1) as gave_up:
            await connection.call("systems")
        assert gave_up.cancelled_caught
        daemon.silent = False
        assert await connection.call("status") == STATUS
        await connection.close()


async def test_what_is_no_daemon_is_told(path: Path) -> None:
    async def babble(stream: trio.SocketStream) -> None:
        await stream.receive_some(1)
        await stream.send_all(b"220 mail.example ESMTP\n[1]\n")

    listener = await open_control_listener(path)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, babble, [listener])
        with pytest.raises(DaemonUnreachable, match="the connection broke"):
            await Connection(str(path)).call("status")
        nursery.cancel_scope.cancel()
