"""The control socket's server: lines in, lines out, several requests under way on one connection."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import structlog
import trio

from connectord.control.peers import Peer, peer_of
from connectord.control.protocol import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    MAX_LINE_BYTES,
    NOT_ALLOWED,
    ProtocolError,
    Request,
    encode_error,
    encode_notification,
    encode_result,
    error_reply,
    parse_request,
)
from connectord.errors import AddressUnusable, ConnectordError

CallerT = TypeVar("CallerT")
Notify: TypeAlias = Callable[[str, dict[str, Any]], Awaitable[None]]
Dispatch: TypeAlias = Callable[[CallerT, str, dict[str, Any], Notify], Awaitable[Any]]
Authorize: TypeAlias = Callable[[Peer], CallerT | None]

WRITE_TIMEOUT_SECONDS = 10.0
READ_BYTES = 65536

log = structlog.get_logger()


async def open_control_listener(path: Path) -> trio.SocketListener:
    """Listen at ``path``; a socket that nobody answers on is replaced.

    Raises :class:`AddressUnusable` where another daemon answers there, or the path cannot be used.
    """
    listener = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if path.is_socket():
            if await _answers(path):
                raise AddressUnusable(f"another daemon answers on {path}; stop it, or set daemon.control_socket")
            path.unlink()
        await listener.bind(str(path))
        path.chmod(0o660)
        listener.listen(128)
    except OSError as error:
        listener.close()
        words = error.strerror or str(error)
        raise AddressUnusable(
            f"the control socket {path} cannot be opened: {words}; set daemon.control_socket"
        ) from error
    except BaseException:
        listener.close()
        raise
    return trio.SocketListener(listener)


async def _answers(path: Path) -> bool:
    try:
        stream = await trio.open_unix_socket(str(path))
    except OSError:
        return False
    await stream.aclose()
    return True


async def serve_control(
    listener: trio.SocketListener,
    dispatch: Dispatch[CallerT],
    authorize: Authorize[CallerT],
    *,
    max_connections: int = 256,
    max_in_flight: int = 64,
    task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled.

    ``authorize`` says who a peer is; None refuses every request. ``dispatch`` answers one request or raises an
    error of ours. A disconnect cancels what is under way for that connection.
    """
    places = trio.Semaphore(max_connections)

    async def welcome(stream: trio.SocketStream) -> None:
        try:
            places.acquire_nowait()
        except trio.WouldBlock:
            await stream.aclose()
            return
        try:
            caller = authorize(peer_of(stream.socket))
            await _Connection(stream, caller, dispatch, max_in_flight).serve()
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass  # the client went away
        finally:
            places.release()
            await stream.aclose()

    try:
        await trio.serve_listeners(welcome, [listener], task_status=task_status)
    finally:
        address = listener.socket.getsockname()
        with contextlib.suppress(OSError):
            Path(address).unlink()


class _Connection:
    def __init__(self, stream: trio.SocketStream, caller: Any, dispatch: Dispatch[Any], max_in_flight: int) -> None:
        self._stream = stream
        self._caller = caller
        self._dispatch = dispatch
        self._places = trio.Semaphore(max_in_flight)
        self._writing = trio.Lock()

    async def serve(self) -> None:
        async with trio.open_nursery() as requests:
            await self._read(requests)
            requests.cancel_scope.cancel()

    async def _read(self, requests: trio.Nursery) -> None:
        buffer = bytearray()
        while True:
            chunk = await self._stream.receive_some(READ_BYTES)
            if not chunk:
                return
            buffer += chunk
            *lines, rest = buffer.split(b"\n") if b"\n" in chunk else [buffer]
            buffer = bytearray(rest)
            for line in lines:
                if len(line) > MAX_LINE_BYTES:
                    buffer = bytearray(line)
                    break
                if line.strip():
                    await self._places.acquire()
                    requests.start_soon(self._serve_line, bytes(line))
            if len(buffer) > MAX_LINE_BYTES:
                words = f"a line is longer than {MAX_LINE_BYTES} bytes; split the request"
                await self._write(encode_error(None, INVALID_REQUEST, words))
                return

    async def _serve_line(self, line: bytes) -> None:
        try:
            reply = await self._reply_to(line)
            if reply is not None:
                await self._write(reply)
        finally:
            self._places.release()

    async def _reply_to(self, line: bytes) -> bytes | None:
        try:
            request = parse_request(line)
        except ProtocolError as error:
            return error_reply(error.request_id, error)
        reply = await self._reply(request)
        return reply if request.wants_answer else None

    async def _reply(self, request: Request) -> bytes:
        if self._caller is None:
            words = "this user has no role on the control socket; an admin can give one in [control.roles]"
            return encode_error(request.id, NOT_ALLOWED, words)
        try:
            result = await self._dispatch(self._caller, request.method, request.params, self._notify)
            return encode_result(request.id, result)
        except ConnectordError as error:
            return error_reply(request.id, error)
        except Exception as error:
            log.error("control request failed", method=request.method, exc_info=error)  # noqa: TRY400
            return encode_error(request.id, INTERNAL_ERROR, "internal error; the daemon's log has the details")

    async def _notify(self, method: str, params: dict[str, Any]) -> None:
        await self._write(encode_notification(method, params))

    async def _write(self, line: bytes) -> None:
        async with self._writing:
            with trio.move_on_after(WRITE_TIMEOUT_SECONDS) as scope:
                await self._stream.send_all(line)
            if scope.cancelled_caught:
                # half a line is out: nothing more can be said on this connection
                await trio.aclose_forcefully(self._stream)
                raise trio.BrokenResourceError("the client does not read")
