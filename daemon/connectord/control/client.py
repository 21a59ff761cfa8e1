"""A client of the control socket on plain sockets, light to import: what connectorctl uses."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from connectord.errors import DaemonUnreachable, RequestFailed


class ControlClient:
    """One connection to a daemon. Raises :class:`DaemonUnreachable` where nobody answers."""

    def __init__(self, path: Path, timeout_seconds: float | None = 30.0) -> None:
        self._path = path
        self._next_id = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_seconds)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise DaemonUnreachable(
                f"no daemon answers on {path} ({error.strerror or error}); is connectord running, and is --socket right?"
            ) from error
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; what is under way on this connection is cancelled."""
        self._lines.close()
        self._socket.close()

    def call(self, method: str, params: dict[str, Any] | None = None) -> Any:
        """The method's result. Raises :class:`RequestFailed` with the daemon's words."""
        self.send(method, params)
        for message in self.messages():
            if message.get("id") == self._next_id or (message.get("id") is None and "error" in message):
                if "error" in message:
                    error = message["error"]
                    raise RequestFailed(error["code"], error["message"], error.get("data"))
                return message["result"]
        raise DaemonUnreachable(f"the daemon on {self._path} hung up before it answered")

    def notifications(self, method: str, params: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """The parameters of every notification that the call ``method`` brings, until it ends."""
        self.send(method, params)
        self._socket.settimeout(None)
        for message in self.messages():
            if "error" in message:
                error = message["error"]
                raise RequestFailed(error["code"], error["message"], error.get("data"))
            if "params" in message:
                yield message["params"]

    def send(self, method: str, params: dict[str, Any] | None = None) -> None:
        """Send a request without waiting for the answer."""
        self._next_id += 1
        request = {"jsonrpc": "2.0", "id": self._next_id, "method": method, "params": params or {}}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise DaemonUnreachable(f"the daemon on {self._path} hung up: {error}") from error

    def messages(self) -> Iterator[dict[str, Any]]:
        """Every message that comes, until the daemon hangs up."""
        while True:
            try:
                line = self._lines.readline()
            except OSError as error:
                raise DaemonUnreachable(f"the daemon on {self._path} did not answer: {error}") from error
            if not line:
                return
            yield json.loads(line)
