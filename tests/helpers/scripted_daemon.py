"""A server on a unix socket that says what it is told to say, line by line."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import trio

STATUS: dict[str, Any] = {
    "version": "9", "pid": 1, "started_at": "now", "uptime_seconds": 1.0, "state_directory": "/s", "callbacks": "c",
    "config_version": 1, "config_file": None, "systems": 0, "counts": {}, "in_flight": 0, "commits": 0,
    "stopping": False, "last_seq": 0,
    "notifications": {
        "undelivered": 0, "since": None,
        "channel": {"via": "log", "state": "up", "last_error": None, "since": None, "next_try_at": None},
    },
}  # fmt: skip


def action(action_id: str = "A", state: str = "pending", **members: Any) -> dict[str, Any]:
    """An action as ``show`` returns it."""
    nothing = dict.fromkeys(
        ["case", "owner", "key", "reason", "resolution", "rejected_reason", "retry_limit", "due_at", "deadline",
         "todo_at", "closed_at", "assigned_to", "rerun_of", "connection_error", "progress", "reference",
         "next_poll_at", "response"]
    )  # fmt: skip
    return {
        **nothing, "id": action_id, "system": "erp", "state": state, "label": state, "attempts": 0,
        "submitted_at": "now", "data": {}, "response_data": {}, "held": False, "late_responses": [],
        "highlighted": False, "notifications": [], "probing": False, **members,
    }  # fmt: skip


def event(action_id: str, to: str, seq: int = 1) -> dict[str, Any]:
    """An event as ``watch`` tells it."""
    return {
        "seq": seq, "action": action_id, "at": "now", "from": None, "to": to, "event": "e", "rules": "1", "why": "w",
        "who": "scheduler", "note": None, "config_version": 1, "system": "erp", "case": None,
    }  # fmt: skip


class Peer:
    """One connection as the scripted server sees it."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._buffer = b""

    async def read(self) -> dict[str, Any] | None:
        """The next request; None at the end."""
        while b"\n" not in self._buffer:
            try:
                chunk = await self.stream.receive_some()
            except trio.BrokenResourceError:
                return None
            if not chunk:
                return None
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        request: dict[str, Any] = json.loads(line)
        return request

    async def need(self, method: str, **params: Any) -> int:
        """Read a request for this method, with these parameters among others; its id."""
        request = await self.read()
        assert request is not None
        assert request["method"] == method
        assert request["params"].items() >= params.items()
        return int(request["id"])

    async def send(self, **message: Any) -> None:
        await self.stream.send_all(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    async def send_in_pieces(self, size: int, **message: Any) -> None:
        line = json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"
        for start in range(0, len(line), size):
            await self.stream.send_all(line[start : start + size])
            await trio.lowlevel.checkpoint()

    async def answer(self) -> None:
        """Answer every request: ``show`` with an action, anything else with the status."""
        while (request := await self.read()) is not None:
            shown = request["method"] == "show"
            await self.send(id=request["id"], result=action(request["params"]["id"]) if shown else STATUS)

    async def tell(self, *events: dict[str, Any]) -> None:
        for item in events:
            await self.send(method="event", params=item)

    async def begin_watch(self, **params: Any) -> int:
        """Read what a client sends to watch, and let it begin; the watch's id."""
        watch_id = await self.need("watch", **params)
        await self.send(id=await self.need("status"), result=STATUS)
        return watch_id


Script: TypeAlias = Callable[[Peer], Awaitable[None]]
Serve: TypeAlias = Callable[..., AbstractAsyncContextManager[Path]]


@asynccontextmanager
async def serving(directory: Path, *scripts: Script) -> AsyncIterator[Path]:
    """Serve a script for each connection in turn; the socket's path.

    A connection is closed when its script ends; one too many fails the test, and so does one too few. The block's end
    cancels what still runs.
    """
    path = directory / "control.sock"
    left = list(scripts)
    listening = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    await listening.bind(str(path))
    listening.listen(16)

    async def play(stream: trio.SocketStream) -> None:
        assert left, "a connection too many"
        with suppress(trio.BrokenResourceError):  # the client has left
            await left.pop(0)(Peer(stream))

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, play, [trio.SocketListener(listening)])
            yield path
            nursery.cancel_scope.cancel()
    assert not left, "a connection too few"
