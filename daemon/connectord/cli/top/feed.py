"""What ``top`` asks the daemon. A call waits for nobody but itself and can be cancelled at any time."""

from __future__ import annotations

import json
from typing import Any

import trio

from connectord.cli.top.state import Record, Snapshot, sorted_actions
from connectord.errors import DaemonUnreachable, RequestFailed

TIMEOUT_SECONDS = 10.0

_READ_BYTES = 64 * 1024
# of what needs attention first, and which count of the system says whether there is any
_WANTED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"retrying": True}, "pending"),
    ({"state": "todo"}, "todo"),
    ({"state": "in_progress"}, "in_progress"),
    ({"state": "attempting"}, "in_flight"),
    ({"state": "waiting"}, "waiting"),
    ({"state": "pending"}, "pending"),
)


class Connection:
    """One connection to the control socket, for one call at a time; made when it is needed, and again after a fault."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._stream: trio.SocketStream | None = None
        self._buffer = bytearray()
        self._last_id = 0

    async def call(self, method: str, **params: Any) -> Any:
        """A method's result. Raises :class:`DaemonUnreachable` and :class:`RequestFailed`."""
        try:
            with trio.fail_after(TIMEOUT_SECONDS):
                answer = await self._exchange(method, params)
        except trio.TooSlowError:
            await self.close()
            raise DaemonUnreachable(f"no answer from {self.path} within {TIMEOUT_SECONDS:g} s") from None
        except (OSError, trio.BrokenResourceError, ValueError, RecursionError) as error:
            await self.close()
            # trio's own errors say nothing to a person
            reason = error.strerror if isinstance(error, OSError) else None
            raise DaemonUnreachable(f"no daemon answers at {self.path}: {reason or 'the connection broke'}") from error
        except BaseException:
            # half an answer may be on its way: nothing can follow it
            await self.close()
            raise
        error_ = answer.get("error")
        if isinstance(error_, dict):
            raise RequestFailed(error_.get("code", 0), str(error_.get("message")), error_.get("data"))
        return answer.get("result")

    async def close(self) -> None:
        """Disconnect; the next call connects again."""
        stream, self._stream = self._stream, None
        self._buffer.clear()
        if stream is not None:
            await trio.aclose_forcefully(stream)

    async def _exchange(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if self._stream is None:
            self._stream = await trio.open_unix_socket(self.path)
        self._last_id += 1
        message = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        await self._stream.send_all(json.dumps(message).encode() + b"\n")
        while True:
            answer = json.loads(await self._line(self._stream))
            # an error without an id is about the connection: ours
            if isinstance(answer, dict) and answer.get("id") in (self._last_id, None):
                return answer

    async def _line(self, stream: trio.SocketStream) -> bytes:
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            chunk = await stream.receive_some(_READ_BYTES)
            if not chunk:
                raise trio.BrokenResourceError("the daemon closed the connection")
            self._buffer += chunk
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line


async def fetch(connection: Connection, limit: int, only_system: str | None) -> Snapshot:
    """All that the tables show: ``limit`` actions of each kind that needs attention, and of the newest ones.

    Of one system alone only actions that are not closed are asked for: there is no quick way to its newest ones.
    """
    status: Record = await connection.call("status")
    systems: list[Record] = (await connection.call("systems"))["systems"]
    chosen: dict[str, Any] = {"limit": limit} if only_system is None else {"limit": limit, "system": only_system}
    counted = [system for system in systems if only_system in (None, system.get("name"))]
    actions: list[Record] = []
    for wanted, count in _WANTED:
        if any(system.get(count) for system in counted):
            actions += (await connection.call("list", **wanted, **chosen))["actions"]
    if only_system is None:
        actions += (await connection.call("list", **chosen))["actions"]
    return Snapshot(status, systems, sorted_actions(actions))
