"""The control socket's server side: connections, lines, replies. What a method does is the dispatcher's business."""

from __future__ import annotations

import contextlib
import math
import os
import select
import socket
import stat
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import structlog
import trio

from connectord.accepting import accept_patiently
from connectord.control.peers import Peer, peer_of
from connectord.control.protocol import (
    INVALID_REQUEST,
    MAX_LINE_BYTES,
    NOT_ALLOWED,
    OVERLOADED,
    Notify,
    ProtocolError,
    Request,
    encode_error,
    encode_notification,
    encode_result,
    error_reply,
    is_expected,
    parse_request,
    unknown_method,
)
from connectord.errors import AddressUnusable, StoreFailed
from connectord.streams import DirectListener, DirectStream

Caller = TypeVar("Caller")
Dispatch = Callable[[Caller, str, dict[str, Any], Notify], Awaitable[Any]]
Authorize = Callable[[Peer], Caller | None]

WRITE_TIMEOUT_SECONDS = 10
LINE_TIMEOUT_SECONDS = 60
"""From a line's first byte to its end: half a line is kept in memory."""
NOTIFICATION_PATIENCE_SECONDS = 300
"""How long a reader may take for what it is notified of in one piece before it is dropped. What it costs meanwhile is
its own connection: whoever notifies it waits, and keeps nothing for it."""
_HANGUP_CHECK_SECONDS = 0.25
_LINGER_SECONDS = 1
_SECONDS_BETWEEN_WARNINGS = 10
_READ_BYTES = 64 * 1024

log = structlog.get_logger(__name__)


async def open_control_listener(path: Path) -> trio.SocketListener:
    """A listener on the unix socket ``path``, mode 0660; a socket nobody answers on is replaced."""
    await trio.lowlevel.checkpoint()
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _remove_stale(path)
        listening = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError as error:
        raise AddressUnusable(f"control socket {path}: {error.strerror or error}") from error
    try:
        await listening.bind(str(path))
        # nobody can connect before listen(), so the socket is never open to more than 0660 says
        path.chmod(0o660)
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise AddressUnusable(f"control socket {path}: {error.strerror or error}") from error
    except BaseException:
        listening.close()
        raise
    return trio.SocketListener(listening)


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise AddressUnusable(f"control socket {path}: there is something else of that name; move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a live daemon with a full backlog gives EAGAIN at once
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except FileNotFoundError:
            return
        except BlockingIOError:
            pass
    raise AddressUnusable(f"control socket {path}: another daemon answers there; stop it or choose another path")


def socket_peer(stream: DirectStream) -> Peer:
    """Who is at the other end, from the kernel. Raises OSError where it cannot be told."""
    return peer_of(stream.socket)


def is_socket_hung_up(stream: DirectStream) -> bool:
    """Whether both halves are closed (POLLHUP), in contrast to a mere end of input."""
    poll = select.poll()
    poll.register(stream.socket.fileno(), 0)
    return any(flags & (select.POLLHUP | select.POLLERR) for _, flags in poll.poll(0))


@dataclass(frozen=True, slots=True)
class _Service(Generic[Caller]):
    """What all connections of one listener share."""

    dispatch: Dispatch[Caller]
    authorize: Authorize[Caller]
    max_in_flight: int
    methods: Collection[str] | None
    is_hung_up: Callable[[Any], bool]


async def serve_control(
    listener: trio.abc.Listener[trio.abc.HalfCloseableStream],
    dispatch: Dispatch[Caller],
    authorize: Authorize[Caller],
    *,
    max_connections: int = 256,
    max_connections_per_user: int = 64,
    reserved_connections: int = 8,
    max_in_flight: int = 64,
    methods: Collection[str] | None = None,
    drain: trio.Event | None = None,
    peer_of: Callable[[Any], Peer] = socket_peer,
    is_hung_up: Callable[[Any], bool] = is_socket_hung_up,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the control socket until cancelled.

    ``authorize`` is asked at every request, so that a reload counts on open connections too. With ``methods``, any
    other method is refused here. Of the ``max_connections`` a user may have ``max_connections_per_user``; root and the
    daemon's own user have no limit of their own, and ``reserved_connections`` are kept for them. Once ``drain`` is set
    nothing more is accepted: who connects then waits for the next daemon, where the service manager holds the socket.
    ``peer_of`` and ``is_hung_up`` are asked about the listener's streams. StoreFailed out of ``dispatch`` is answered
    and then raised: the daemon must stop.
    """
    if isinstance(listener, trio.SocketListener):
        listener = DirectListener(listener)
    by_user: Counter[int] = Counter()
    tell = _Seldom()
    service = _Service(dispatch, authorize, max_in_flight, methods, is_hung_up)

    def refusal(uid: int) -> str | None:
        """Why one more connection of a user cannot be taken."""
        privileged = uid in (0, os.getuid())
        if by_user.total() >= max_connections - (0 if privileged else reserved_connections):
            tell("control_connections_full", limit=max_connections)
            return f"{max_connections} connections are open already; try again"
        if not privileged and by_user[uid] >= max_connections_per_user:
            tell("control_connections_of_user_full", limit=max_connections_per_user, uid=uid)
            return f"uid {uid} has {max_connections_per_user} connections open already; close some, or try again"
        return None

    async def serve(stream: trio.abc.HalfCloseableStream, peer: Peer) -> None:
        try:
            await _Connection(stream, peer, service).run()
        finally:
            by_user[peer.uid] -= 1
            if not by_user[peer.uid]:
                del by_user[peer.uid]

    async def accept(nursery: trio.Nursery) -> None:
        while True:
            stream = await accept_patiently(
                listener, lambda error: log.warning("control_accept_failed", error=str(error))
            )
            try:
                peer = peer_of(stream)
            except OSError as error:
                log.warning("control_peer_unknown", error=str(error))
                await trio.aclose_forcefully(stream)
                continue
            refused = refusal(peer.uid)
            if refused is not None:
                with contextlib.suppress(trio.BrokenResourceError), trio.move_on_after(1):
                    await stream.send_all(encode_error(None, OVERLOADED, refused))
                await trio.aclose_forcefully(stream)
                continue
            by_user[peer.uid] += 1
            nursery.start_soon(serve, stream, peer)

    async with listener, trio.open_nursery() as nursery:
        task_status.started()
        async with trio.open_nursery() as accepting:
            accepting.start_soon(accept, nursery)
            if drain is not None:
                await drain.wait()
                accepting.cancel_scope.cancel()
        await listener.aclose()


class _Seldom:
    """Warnings that a flood of connections would otherwise make a flood of."""

    def __init__(self) -> None:
        self._next: dict[str, float] = {}

    def __call__(self, event: str, **fields: Any) -> None:
        now = trio.current_time()
        if now >= self._next.get(event, now):
            self._next[event] = now + _SECONDS_BETWEEN_WARNINGS
            log.warning(event, **fields)


class _Connection(Generic[Caller]):
    def __init__(self, stream: trio.abc.HalfCloseableStream, peer: Peer, service: _Service[Caller]) -> None:
        self._stream = stream
        self._peer = peer
        self._service = service
        self._slots = trio.Semaphore(service.max_in_flight)
        self._write_lock = trio.Lock()
        self._scope = trio.CancelScope()
        self._dropped = False
        self._is_notified = False

    async def run(self) -> None:
        try:
            with self._scope:
                async with trio.open_nursery() as watcher:
                    async with trio.open_nursery() as requests:
                        if await self._read(requests):
                            # only the writing half was closed (socat does): what is under way is still answered
                            watcher.start_soon(self._drop_on_hangup)
                        else:
                            self._drop()
                    watcher.cancel_scope.cancel()
        finally:
            await trio.aclose_forcefully(self._stream)

    async def _read(self, requests: trio.Nursery) -> bool:
        """Read and start requests. True at the end of input, False if the connection is to be closed now."""
        buffer = bytearray()
        searched = 0
        line_ends_by = math.inf
        while True:
            try:
                chunk = await self._receive(line_ends_by)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return False
            if chunk is None:
                await self._refuse_line(f"a line has to end within {LINE_TIMEOUT_SECONDS} s after it began")
                return False
            if not chunk:
                return not self._hung_up()
            buffer += chunk
            took = False
            while (end := buffer.find(b"\n", searched)) >= 0:
                if end > MAX_LINE_BYTES:
                    break
                line = bytes(buffer[:end])
                del buffer[: end + 1]
                searched = 0
                took = True
                if not await self._take(line, requests):
                    return False
            searched = len(buffer)
            if searched > MAX_LINE_BYTES:
                await self._refuse_line(f"a line may have at most {MAX_LINE_BYTES} bytes")
                return False
            if not buffer:
                line_ends_by = math.inf
            elif took or line_ends_by == math.inf:
                line_ends_by = trio.current_time() + LINE_TIMEOUT_SECONDS

    async def _receive(self, ends_at: float) -> bytes | bytearray | None:
        """What has come; None where nothing did until ``ends_at``."""
        if ends_at == math.inf:
            return await self._stream.receive_some(_READ_BYTES)
        with trio.move_on_at(ends_at):
            return await self._stream.receive_some(_READ_BYTES)
        return None

    async def _refuse_line(self, why: str) -> None:
        await self._send(encode_error(None, INVALID_REQUEST, f"{why}; the connection is closed"))
        # take the rest for a moment, so that the peer's own write ends and it comes to read the answer
        with trio.move_on_after(_LINGER_SECONDS), contextlib.suppress(trio.BrokenResourceError):
            await self._stream.send_eof()
            while await self._stream.receive_some(_READ_BYTES):
                pass

    async def _take(self, line: bytes, requests: trio.Nursery) -> bool:
        try:
            request = parse_request(line)
        except ProtocolError as error:
            await self._send(error_reply(error.id, error))
            return True
        if not await self._take_slot():
            return False
        requests.start_soon(self._answer, request)
        return True

    async def _take_slot(self) -> bool:
        """Hold one of the requests that may be under way; False where the peer is gone before one is free."""
        try:
            self._slots.acquire_nowait()
        except trio.WouldBlock:
            pass
        else:
            return True
        while True:
            with trio.move_on_after(_HANGUP_CHECK_SECONDS):
                await self._slots.acquire()
                return True
            # nothing is read while it is full, so a disconnect has to be looked for
            if self._hung_up():
                return False

    async def _answer(self, request: Request) -> None:
        try:
            failure: StoreFailed | None = None
            try:
                reply = await self._reply(request)
            except Exception as raised:
                error = _single(raised)
                if not is_expected(error):
                    log.exception("control_request_failed", method=request.method[:100], exc_info=raised)
                if isinstance(error, StoreFailed):
                    failure = error
                reply = error_reply(request.id, error)
            if not request.is_notification:
                await self._send(reply)
            if failure is not None:
                raise failure
        finally:
            self._slots.release()

    async def _reply(self, request: Request) -> bytes:
        service = self._service
        caller = service.authorize(self._peer)
        if caller is None:
            text = f"uid {self._peer.uid} has no role here; an admin can give one in [control.roles]"
            return encode_error(request.id, NOT_ALLOWED, text)
        if service.methods is not None and request.method not in service.methods:
            raise unknown_method(request.method, service.methods, request.id)
        result = await service.dispatch(caller, request.method, request.params, self._notify)
        return encode_result(request.id, result)

    async def _notify(self, method: str, *params: Any) -> None:
        # from now on: the reply that ends the stream has to wait behind the notifications too
        self._is_notified = True
        await self._send(b"".join([encode_notification(method, one) for one in params]))

    async def _send(self, line: bytes) -> None:
        if isinstance(self._stream, DirectStream) and not self._dropped and not self._write_lock.locked():
            try:
                line = self._stream.send_nowait(line)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._drop()
                await trio.lowlevel.checkpoint_if_cancelled()
                return
            if not line:
                return
            # the rest of a line: nothing else may come before it
            self._write_lock.acquire_nowait()
        else:
            await self._write_lock.acquire()
        try:
            await self._send_slowly(line)
        finally:
            self._write_lock.release()

    async def _send_slowly(self, line: bytes) -> None:
        sent = False
        try:
            if not self._dropped:
                patience = NOTIFICATION_PATIENCE_SECONDS if self._is_notified else WRITE_TIMEOUT_SECONDS
                with trio.move_on_after(patience) as timeout:
                    await self._stream.send_all(line)
                    sent = True
                if timeout.cancelled_caught:
                    log.warning("control_reader_too_slow", pid=self._peer.pid, uid=self._peer.uid)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            # half a line may be out: nothing can follow it
            if not sent:
                self._drop()
        if not sent:
            await trio.lowlevel.checkpoint_if_cancelled()

    def _drop(self) -> None:
        self._dropped = True
        self._scope.cancel()

    def _hung_up(self) -> bool:
        return self._service.is_hung_up(self._stream)

    async def _drop_on_hangup(self) -> None:
        while not self._hung_up():
            await trio.sleep(_HANGUP_CHECK_SECONDS)
        self._drop()


def _single(error: Exception) -> Exception:
    """What a dispatcher's nursery wrapped, if it is one exception only."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
