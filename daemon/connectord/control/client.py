"""A synchronous client of the control socket. Standard library only, so that connectorctl starts fast."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, NamedTuple, Self

from connectord.errors import DaemonUnreachable, RequestFailed

_PIECE_SECONDS = 0.2
QUEUE_PAUSE_SECONDS = 0.02
"""After what time one tries again to connect where the kernel's queue for the socket is full."""


class Notification(NamedTuple):
    """What the daemon said of its own accord; ``text`` is the params' JSON as it came."""

    method: str
    params: dict[str, Any]
    text: str


class ControlClient:
    """One connection to the daemon; a context manager.

    It connects on entering, and raises DaemonUnreachable if nobody is there. While an answer is awaited,
    ``while_waiting`` is called a few times a second with the seconds that it takes already, and once with 0 at the end.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        timeout_seconds: float = 30,
        *,
        while_waiting: Callable[[float], object] | None = None,
    ) -> None:
        self.path = os.fspath(path)
        self._while_waiting = while_waiting
        self.timeout_seconds = timeout_seconds
        self._socket: socket.socket | None = None
        self._buffer = bytearray()
        self._last_id = 0

    def __enter__(self) -> Self:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(self.timeout_seconds)
        try:
            self._connect(connection)
        except OSError as error:
            connection.close()
            raise not_connected(self.path, error, self.timeout_seconds) from error
        self._socket = connection
        return self

    def _connect(self, connection: socket.socket) -> None:
        # where its queue is full, the kernel says so at once, whatever the time limit is
        deadline = time.monotonic() + self.timeout_seconds
        while True:
            try:
                connection.connect(self.path)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(QUEUE_PAUSE_SECONDS)
            else:
                return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect; what is under way is cancelled by the daemon."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._buffer.clear()

    def call(self, method: str, params: dict[str, Any] | None = None) -> Any:
        """The method's result; RequestFailed if the daemon refused."""
        return self._reply(self._send(method, params))[0]

    def raw_call(self, method: str, params: dict[str, Any] | None = None) -> str:
        """The method's result as the daemon wrote it: one line of JSON."""
        request_id = self._send(method, params)
        result, line = self._reply(request_id)
        return _member(line, f'{{"jsonrpc":"2.0","id":{request_id},"result":', result)

    def notifications(self, method: str = "watch", params: dict[str, Any] | None = None) -> Iterator[Notification]:
        """Call ``method`` and yield its notifications until it ends or the connection breaks."""
        request_id = self._send(method, params)
        while True:
            message, line = self._receive(timeout=None)
            if "method" in message:
                prefix = f'{{"jsonrpc":"2.0","method":{json.dumps(message["method"])},"params":'
                told = message.get("params") or {}
                yield Notification(message["method"], told, _member(line, prefix, told))
            elif self._is_reply(message, request_id):
                return

    def _send(self, method: str, params: dict[str, Any] | None) -> int:
        if self._socket is None:
            raise DaemonUnreachable(f"not connected to {self.path}")
        self._last_id += 1
        message = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params or {}}
        try:
            line = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:  # half a surrogate pair; the daemon says what is wrong with it
            line = json.dumps(message, separators=(",", ":")).encode()
        self._socket.settimeout(self.timeout_seconds)
        try:
            self._socket.sendall(line + b"\n")
        except BrokenPipeError:
            pass  # the daemon closed; it may have said why
        except OSError as error:
            raise DaemonUnreachable(f"the connection to {self.path} broke: {error}") from error
        return self._last_id

    def _reply(self, request_id: int) -> tuple[Any, str]:
        while True:
            message, line = self._receive(timeout=self.timeout_seconds)
            if self._is_reply(message, request_id):
                return message.get("result"), line

    @staticmethod
    def _is_reply(message: dict[str, Any], request_id: int) -> bool:
        error = message.get("error")
        # an error without an id is about the line or the connection: ours
        if isinstance(error, dict) and message.get("id") in (request_id, None):
            raise RequestFailed(error.get("code", 0), str(error.get("message", "no reason given")), error.get("data"))
        return "method" not in message and message.get("id") == request_id

    def _receive(self, timeout: float | None) -> tuple[dict[str, Any], str]:
        try:
            # a stream of notifications has no end that one would wait for
            if self._while_waiting is None or timeout is None:
                line = self._line(timeout)
            else:
                line = self._line_in_pieces(timeout, self._while_waiting)
        except TimeoutError as error:
            raise DaemonUnreachable(f"no answer from {self.path} within {timeout:g} s") from error
        return self._message(line)

    def _line(self, timeout: float | None) -> bytes:
        """The next line. After TimeoutError one may go on reading: what has come of it is kept."""
        if self._socket is None:
            raise DaemonUnreachable(f"not connected to {self.path}")
        deadline = None if timeout is None else time.monotonic() + timeout
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            remaining = None if deadline is None else deadline - time.monotonic()
            if remaining is not None and remaining <= 0:
                raise TimeoutError
            self._socket.settimeout(remaining)
            try:
                chunk = self._socket.recv(64 * 1024)
            except TimeoutError:
                raise
            except OSError as error:
                raise DaemonUnreachable(f"the connection to {self.path} broke: {error}") from error
            if not chunk:
                raise DaemonUnreachable(f"the daemon at {self.path} closed the connection before it answered")
            self._buffer += chunk
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _line_in_pieces(self, timeout: float, tell: Callable[[float], object]) -> bytes:
        began = time.monotonic()
        waited = 0.0
        try:
            while waited < timeout:
                try:
                    return self._line(min(_PIECE_SECONDS, timeout - waited))
                except TimeoutError:
                    waited = time.monotonic() - began
                    tell(waited)
            raise TimeoutError
        finally:
            if waited:
                tell(0.0)

    def _message(self, line: bytes) -> tuple[dict[str, Any], str]:
        try:
            text = line.decode()
            message = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DaemonUnreachable(f"what answers at {self.path} does not speak JSON-RPC: {error}") from error
        if not isinstance(message, dict):
            raise DaemonUnreachable(f"what answers at {self.path} does not speak JSON-RPC")
        return message, text


def not_connected(path: str, error: OSError, seconds: float) -> DaemonUnreachable:
    """What a client says that could not connect; ``seconds`` is how long it has tried where the queue is full."""
    if isinstance(error, BlockingIOError):
        return DaemonUnreachable(f"not let in at {path} within {seconds:g} s: too many others wait; try again")
    return DaemonUnreachable(f"no daemon answers at {path}: {error.strerror or error}")


def _member(line: str, prefix: str, value: Any) -> str:
    """The last member of a message as it stands in ``line``; written anew if the line is laid out otherwise."""
    if line.startswith(prefix) and line.endswith("}"):
        return line[len(prefix) : -1]
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
