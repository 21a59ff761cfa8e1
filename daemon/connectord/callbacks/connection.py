"""One connection of an HTTP listener: its requests one after the other, under one moving deadline.

What is answered is the business of a subclass; :class:`Connection` answers callbacks.
"""

from __future__ import annotations

import enum
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol, TypeVar

import h11
import trio
from structlog.typing import FilteringBoundLogger

from connectord.callbacks import answers
from connectord.callbacks.addresses import client_behind, group_of
from connectord.callbacks.answers import Answer, CallbackAnswer, problem
from connectord.callbacks.limits import BadTokens, Limits
from connectord.callbacks.requests import Head, fault, is_json, malformed, read
from connectord.callbacks.tokens import TokenKey
from connectord.errors import CallbackNotAllowed, InvalidCallback, NotFound, Overloaded, StoreError
from connectord.measures import CallbackMeasures
from connectord.streams import DirectStream, close_now

_PREFIX: Final = b"/callback/"
_RECEIVE_BYTES: Final = 16 * 1024  # also of chunks, as thousands of tiny ones are read between two checkpoints
_BODY_RECEIVE_BYTES: Final = 64 * 1024
_DRAIN_GRACE_SECONDS: Final = 1.0  # for a peer that has connected and is about to send
_DRAIN_IDLE_SECONDS: Final = 0.25  # for the next request of a busy peer, which may be on its way
DRAIN_READING_SECONDS: Final = 2.0
"""How long the rest of a request that has begun may take once draining has begun."""

_PATIENCE: Final = 64  # whoever has a good token and sends too much shall learn so, and not see a reset connection
_FOREVER: Final = float("inf")


class CallbackHandler(Protocol):
    """Who takes the callbacks."""

    async def handle_callback(self, action_id: str, headers: Mapping[str, str], body: bytes) -> CallbackAnswer:
        """Take one callback whose token was verified; return after the commit. Header names are lower case.

        Raises :class:`InvalidCallback` (answered with 400 and its message), :class:`CallbackNotAllowed` (401 and its
        message), :class:`NotFound` (404), :class:`Overloaded` or :class:`StoreError` (503, try again); anything else
        is answered with 500. Not cancelled when the peer goes away, and under no time limit of the listener's.
        """
        ...


class HttpService(Protocol):
    """What all connections of one listener share, whatever they answer."""

    @property
    def limits(self) -> Limits:
        """The limits in force."""

    log: FilteringBoundLogger
    draining: bool
    """Set once: answer what is under way, then close."""

    read_until: float
    """When the last request must have been read, on trio's clock: draining sets it."""

    connections: set[HttpConnection[Any]]
    """Those being served; the listener adds and removes them."""


ServiceT = TypeVar("ServiceT", bound=HttpService)


@dataclass(slots=True)
class Service:
    """What all connections of the callback listener share."""

    key: TokenKey
    handler: CallbackHandler
    limits_in_force: Callable[[], Limits]
    bad_tokens: BadTokens
    log: FilteringBoundLogger
    measures: CallbackMeasures = field(default_factory=CallbackMeasures)
    draining: bool = False
    read_until: float = float("inf")
    connections: set[HttpConnection[Any]] = field(default_factory=set)

    @property
    def limits(self) -> Limits:
        """The limits in force."""
        return self.limits_in_force()


class _Phase(enum.Enum):
    """What a connection is at, and so what to do when its deadline passes."""

    NEW = enum.auto()
    IDLE = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()
    HANDLING = enum.auto()
    WRITING = enum.auto()
    LINGERING = enum.auto()


_READING: Final = frozenset({_Phase.NEW, _Phase.IDLE, _Phase.HEAD, _Phase.BODY})
_DRAIN_SECONDS: Final = {_Phase.NEW: _DRAIN_GRACE_SECONDS, _Phase.IDLE: _DRAIN_IDLE_SECONDS}
_WAITING: Final = frozenset({_Phase.NEW, _Phase.IDLE, _Phase.HEAD, _Phase.LINGERING})


class HttpConnection(ABC, Generic[ServiceT]):
    """Serves one stream until it is closed.

    There is one cancel scope for the whole connection, and its deadline is moved from phase to phase: entering one
    for every wait costs more than parsing a header. A plain request moves it not at all: between two requests the
    door looks who has been idle for too long.
    """

    __slots__ = (
        "_buffer", "_close", "_dropped", "_peer", "_phase", "_scope", "_searched", "_service", "_stream",
        "_trusted_proxy", "address", "proven", "waiting_since",
    )  # fmt: skip

    def __init__(
        self,
        stream: trio.abc.HalfCloseableStream,
        service: ServiceT,
        *,
        address: str,
        port: int = 0,
        trusted_proxy: bool = False,
    ) -> None:
        """``address`` is what the peer is counted under; a trusted proxy is believed who its client is."""
        self.address = address
        self.proven = False
        """Whether it ever brought a good token."""
        self.waiting_since = trio.current_time()
        """When it was accepted, or its last request answered; on trio's clock."""
        self._stream = stream
        self._service = service
        self._trusted_proxy = trusted_proxy
        self._dropped = False
        self._peer = f"{address}:{port}"
        self._buffer = bytearray()
        self._searched = 0  # how much of the buffer holds no end of a head
        self._close = False
        self._phase = _Phase.NEW
        self._scope = trio.CancelScope()

    async def serve(self) -> None:
        """Answer requests until the peer or a limit ends it, then close the stream. Raises nothing but Cancelled."""
        service = self._service
        try:
            with self._scope:
                self._enter(_Phase.NEW, service.limits.header_timeout_seconds)
                if service.draining:
                    self.drain()
                await self._serve_requests()
            if self._scope.cancelled_caught:
                await self._give_up()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            service.log.debug("callback_peer_gone", peer=self._peer, phase=self._phase.name.lower())
        finally:
            await close_now(self._stream)

    @property
    def is_waiting(self) -> bool:
        """Whether nothing is lost if it is dropped: no request of it has arrived whole, or all are answered."""
        return self._phase in _WAITING

    @property
    def is_idle(self) -> bool:
        """Whether its last request is answered, and nothing of another one has come."""
        return self._phase is _Phase.IDLE

    def drop(self) -> None:
        """Close at once and without a word: somebody else needs the place."""
        self._dropped = True
        self._scope.cancel()

    def drain(self) -> None:
        """Close soon: after a moment between two requests, otherwise after the answer to the one under way.

        A request that is not there as a whole when ``read_until`` has come is answered with 503.
        """
        if self._phase in _READING:
            self._scope.deadline = min(
                self._scope.deadline,
                self._service.read_until,
                trio.current_time() + _DRAIN_SECONDS.get(self._phase, _FOREVER),
            )

    def _handle(self) -> None:
        """From here on to the answer nothing is up to the peer, so no time limit of the listener's holds."""
        self._enter_untimed(_Phase.HANDLING)

    def _enter_untimed(self, phase: _Phase) -> None:
        self._phase = phase
        if self._scope.deadline != _FOREVER:  # setting it costs as much as a wait, also where it is the same
            self._scope.deadline = _FOREVER

    def _enter(self, phase: _Phase, seconds: float) -> None:
        self._phase = phase
        deadline = trio.current_time() + seconds
        if self._service.draining and phase in _READING:
            deadline = min(deadline, self._service.read_until)
        self._scope.deadline = deadline

    async def _serve_requests(self) -> None:
        service = self._service
        limits = service.limits
        remaining = limits.max_requests_per_connection
        while True:
            head = await self._read_head()
            if head is None:
                return
            if isinstance(head, Answer):
                self._close = True
                answer, head_only = head, False
                self._log(answer, None)
            else:
                self._close = not head.keep_alive
                answer = await self._answer(head)
                head_only = head.method == b"HEAD"
            remaining -= 1
            if service.draining or remaining <= 0:
                self._close = True
            rest = answer.to_send(close=self._close, head_only=head_only)
            self._phase = _Phase.WRITING
            if isinstance(self._stream, DirectStream):
                rest = self._stream.send_nowait(rest)
            if rest:
                self._enter(_Phase.WRITING, limits.write_timeout_seconds)
                await self._stream.send_all(rest)
            if self._close:
                await self._linger(_PATIENCE if answer is answers.BODY_TOO_LARGE else 1)
                return
            if service.draining:  # it began while the answer was sent, and a connection at work is not told
                await self._linger()
                return
            self._enter_untimed(_Phase.IDLE)
            self.waiting_since = trio.current_time()

    async def _give_up(self) -> None:
        """The deadline has passed, or draining has cut an idle connection: say so where the peer awaits an answer."""
        limits = self._service.limits
        if self._dropped or self._phase not in (_Phase.HEAD, _Phase.BODY):
            return
        if self._service.draining:
            answer = answers.DRAINING
        else:
            answer = answers.SLOW_HEADERS if self._phase is _Phase.HEAD else answers.SLOW_BODY
        self._log(answer, None)
        # The connection's own scope is used up.
        with trio.move_on_after(limits.write_timeout_seconds) as writing:
            await self._stream.send_all(answer.closing)
        if not writing.cancelled_caught:
            with trio.move_on_after(limits.linger_timeout_seconds):
                await self._linger()

    async def _linger(self, bodies: int = 1) -> None:
        """Throw away what the peer still sends: closing with unread bytes resets the connection, and the reset can
        take the answer away from a peer that has not read it yet. ``bodies`` longest bodies are the most."""
        limits = self._service.limits
        self._enter(_Phase.LINGERING, limits.linger_timeout_seconds)
        await self._stream.send_eof()
        thrown_away = 0
        while thrown_away <= bodies * limits.max_body_bytes:
            data = await self._stream.receive_some(_BODY_RECEIVE_BYTES)
            if not data:
                return
            thrown_away += len(data)

    async def _read_head(self) -> Head | Answer | None:
        """The next request's head, or the answer to what cannot be one. None: the peer has ended between two."""
        limits = self._service.limits
        buffer = self._buffer
        self._searched = 0
        while True:
            if buffer:
                end = buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
                if end >= 0:
                    head = bytes(buffer[: end + 4])
                    del buffer[: end + 4]
                    self._phase = _Phase.HEAD
                    return read(head, limits)
                wrong = fault(buffer, limits)
                if wrong is not None:
                    return wrong
                self._searched = len(buffer)
                if self._phase is _Phase.IDLE:
                    self._enter(_Phase.HEAD, limits.header_timeout_seconds)
                else:
                    self._phase = _Phase.HEAD  # a new connection's time has begun when it was accepted
            data = await self._stream.receive_some(_RECEIVE_BYTES)
            if not data:
                return answers.CUT_SHORT if buffer else None
            buffer += data

    @abstractmethod
    async def _answer(self, head: Head) -> Answer:
        """Everything from the parsed head to the answer; sets whether the connection is closed after it."""

    @abstractmethod
    def _log(self, answer: Answer, action_id: str | None) -> None:
        """Note what was answered; ``action_id`` is None unless the request was about an action."""

    async def _read_body(self, head: Head) -> bytes | Answer:
        buffer = self._buffer
        length = head.content_length
        if head.chunked or len(buffer) < length:
            self._enter(_Phase.BODY, self._service.limits.body_timeout_seconds)
            # A client that has begun to send does not wait for it, and HTTP/1.0 does not know it.
            if "expect" in head.headers and not buffer and head.version == b"1.1":
                await self._stream.send_all(answers.CONTINUE)
        if head.parser is not None and head.chunked:
            return await self._read_chunks(head.parser)
        while len(buffer) < length:
            data = await self._stream.receive_some(_BODY_RECEIVE_BYTES)
            if not data:
                return answers.CUT_SHORT
            buffer += data
        body = bytes(buffer[:length])
        del buffer[:length]
        return body

    async def _read_chunks(self, parser: h11.Connection) -> bytes | Answer:
        """The body of a chunked request. What follows it goes back into the buffer."""
        limits = self._service.limits
        body = bytearray()
        # The framing may be as long as the body; beyond that it is chunks of a few bytes, sent to keep us busy.
        most_wire_bytes = 2 * limits.max_body_bytes + limits.max_header_bytes
        wire_bytes = 0
        tail = b""
        while True:
            wire = bytes(self._buffer)
            self._buffer.clear()
            if not wire:
                wire = bytes(await self._stream.receive_some(_RECEIVE_BYTES))
                if not wire:
                    return answers.CUT_SHORT
            wire_bytes += len(wire)
            parser.receive_data(wire)
            tail = tail[-3:] + wire
            try:
                while (event := parser.next_event()) is not h11.NEED_DATA:
                    if isinstance(event, h11.Data):
                        body += event.data
                        if len(body) > limits.max_body_bytes:
                            return answers.BODY_TOO_LARGE
                    elif isinstance(event, h11.EndOfMessage):
                        rest = parser.trailing_data[0]
                        # h11 takes a bare LF for the end of a trailer line; and a callback has no use for trailers.
                        if list(event.headers) or not tail[: len(tail) - len(rest)].endswith(b"\r\n\r\n"):
                            return problem(400, "the last chunk must be followed by an empty line: no trailers")
                        self._buffer += rest
                        return bytes(body)
                    else:
                        return problem(400, "the body is not well-formed")
            except h11.RemoteProtocolError as error:
                return malformed(error)
            if wire_bytes > most_wire_bytes:
                return answers.BODY_TOO_LARGE


class Connection(HttpConnection[Service]):
    """Takes callbacks. Bad tokens and signatures are counted under the peer's address."""

    __slots__ = ()

    async def _answer(self, head: Head) -> Answer:
        """Everything from the parsed head to the answer; sets whether the connection is closed after it."""
        keep_alive = head.keep_alive
        # As long as the body is not read, nothing can follow on this connection.
        self._close = head.has_body or not keep_alive
        action_id: str | None = None
        answer = self._refusal(head)
        if answer is None:
            action_id = self._service.key.verify(head.path[len(_PREFIX) :].decode("ascii"))
            if action_id is None:
                self._close = True
                answer = self._guessed(answers.NO_SUCH_TOKEN, head.headers)
            else:
                self.proven = True
                answer = self._body_refusal(head)
                if answer is None:
                    body = await self._read_body(head)
                    if isinstance(body, Answer):
                        answer = body
                    else:
                        self._close = not keep_alive
                        answer = await self._hand_over(action_id, head.headers, body)
        self._log(answer, action_id)
        return answer

    def _refusal(self, head: Head) -> Answer | None:
        if not head.path.startswith(_PREFIX):
            return answers.NOT_FOUND
        if head.method != b"POST":
            return answers.WRONG_METHOD
        return None

    def _guessed(self, answer: Answer, headers: Mapping[str, str]) -> Answer:
        """``answer``, which refuses a token or a signature, or 429 where the peer has had too many of them."""
        limits = self._service.limits
        address = self.address
        if self._trusted_proxy:
            client = client_behind(headers.get("x-forwarded-for", ""), limits.trusted_proxies)
            address = address if client is None else group_of(client)
        wait_seconds = self._service.bad_tokens.count(address, limits.guesses_per_minute)
        return answers.too_many(wait_seconds) if wait_seconds else answer

    def _body_refusal(self, head: Head) -> Answer | None:
        headers = head.headers
        if headers.get("expect", "100-continue").lower() != "100-continue":
            return answers.WRONG_EXPECTATION
        if headers.get("content-encoding", "identity").lower() != "identity":
            return answers.ENCODED
        content_type = headers.get("content-type")
        if content_type is not None and not is_json(content_type):
            return answers.NOT_JSON
        if head.content_length > self._service.limits.max_body_bytes:
            return answers.BODY_TOO_LARGE
        return None

    async def _hand_over(self, action_id: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Ask the handler. Neither this frame nor one below may hold the token: tracebacks may show local variables."""
        if self._scope.cancel_called:
            # The deadline passed just as the last byte came: the handler would be cut off in the midst of it.
            await trio.lowlevel.checkpoint()
        self._handle()
        began_at = trio.current_time()
        try:
            return answers.HANDLED[await self._service.handler.handle_callback(action_id, headers, body)]
        except InvalidCallback as error:
            return problem(400, str(error))
        except CallbackNotAllowed as error:
            return self._guessed(answers.not_allowed(str(error)), headers)
        except NotFound as error:
            return problem(404, str(error))
        except Overloaded as error:
            self._warn("callback_not_taken", action_id, error)
            return answers.unavailable(str(error))
        except StoreError as error:
            self._warn("callback_not_taken", action_id, error)
            # Not the message: it may name paths and tables, which are none of the peer's business.
            return answers.unavailable(answers.STORE_REFUSED)
        except Exception:
            self._service.log.exception("callback_handler_failed", action=action_id, peer=self._peer)
            self._close = True
            return answers.INTERNAL
        finally:
            self._service.measures.seconds.observe(trio.current_time() - began_at)

    def _warn(self, event: str, action_id: str, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        self._service.log.warning(event, action=action_id, peer=self._peer, error=text)

    def _log(self, answer: Answer, action_id: str | None) -> None:
        """One debug line. What is our own fault was a warning before, where its cause was known; a 501 or 505 is the
        peer's, who must not be able to fill the log with them."""
        self._service.measures.statuses[answer.status] += 1
        log = self._service.log
        if log.is_enabled_for(logging.DEBUG):
            log.debug("callback", status=answer.status, action=action_id, peer=self._peer, why=answer.why)
