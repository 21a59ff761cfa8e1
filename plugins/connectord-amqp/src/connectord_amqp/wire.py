"""Bytes to frames and messages, and back: AMQP 0-9-1 without any network."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TypeAlias

import pamqp.frame
from connectord.adapters import NotConnected
from pamqp import commands
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.constants import FRAME_BODY, FRAME_END, FRAME_HEADER, FRAME_HEARTBEAT, FRAME_METHOD
from pamqp.exceptions import UnmarshalingException
from pamqp.header import ContentHeader, ProtocolHeader
from pamqp.heartbeat import Heartbeat

CHANNEL = 1
"""The one channel of every connection."""

SMALLEST_FRAME_MAX = 4_096
LARGEST_FRAME_MAX = 131_072
HEARTBEAT = pamqp.frame.marshal(Heartbeat(), 0)
PROTOCOL_HEADER = pamqp.frame.marshal(ProtocolHeader(), 0)

_FRAME_HEAD = struct.Struct(">BHI")
_CONTENT_HEAD = struct.Struct(">HHQ")
_AROUND_PAYLOAD = _FRAME_HEAD.size + 1
_FRAME_KINDS = frozenset({FRAME_METHOD, FRAME_HEADER, FRAME_BODY, FRAME_HEARTBEAT})
_UNDECODABLE = (UnmarshalingException, ValueError, TypeError, LookupError, OverflowError, OSError, struct.error)


@dataclass(frozen=True, slots=True)
class Message:
    """A message that the broker handed over or gave back, as it came."""

    method: commands.Basic.Deliver | commands.Basic.Return
    body: bytes | None
    """None: it is longer than it may be."""
    _header: bytes = field(repr=False)

    def properties(self) -> commands.Basic.Properties:
        """Raises :class:`ValueError` where they cannot be read; any sender can make such ones."""
        header = ContentHeader()
        try:
            header.unmarshal(self._header)
        except (*_UNDECODABLE, RecursionError) as error:
            raise ValueError(f"its properties cannot be read: {error}") from error
        return header.properties


Received: TypeAlias = Frame | Message
"""What comes in: a method, or a whole message."""


class Receiver:
    """Puts what the broker sends together. A message's body is kept up to ``max_body_bytes``; the rest is skipped."""

    def __init__(self, *, max_body_bytes: int = 0) -> None:
        self.frame_max = LARGEST_FRAME_MAX
        self._max_body_bytes = max_body_bytes
        self._buffer = bytearray()
        self._read = 0
        self._method: commands.Basic.Deliver | commands.Basic.Return | None = None
        self._header: bytes | None = None
        self._body = bytearray()
        self._left = 0

    def feed(self, data: bytes | bytearray) -> None:
        """Take what came in."""
        del self._buffer[: self._read]
        self._read = 0
        self._buffer += data

    def next(self) -> Received | None:
        """What is complete next, None where more has to come. Raises :class:`NotConnected` for what is not AMQP."""
        while (frame := self._next_frame()) is not None:
            kind, payload = frame
            received: Received | None = None
            if kind == FRAME_METHOD:
                received = self._take_method(payload)
            elif kind == FRAME_HEADER:
                received = self._take_header(payload)
            elif kind == FRAME_BODY:
                received = self._take_body(payload)
            # a heartbeat's work is done by its arrival
            if received is not None:
                return received
        return None

    def _next_frame(self) -> tuple[int, bytes] | None:
        buffer, at = self._buffer, self._read
        if len(buffer) - at < _FRAME_HEAD.size:
            return None
        kind, _, size = _FRAME_HEAD.unpack_from(buffer, at)
        if kind not in _FRAME_KINDS or size > self.frame_max:
            raise _not_amqp("it may speak another protocol, or another version of it")
        end = at + size + _AROUND_PAYLOAD
        if len(buffer) < end:
            return None
        if buffer[end - 1] != FRAME_END:
            raise _not_amqp("a frame has no end")
        self._read = end
        return kind, bytes(buffer[at + _FRAME_HEAD.size : end - 1])

    def _take_method(self, payload: bytes) -> Frame | None:
        if self._method is not None:
            raise _not_amqp("a message was broken off")
        method = _decode_method(payload)
        if isinstance(method, commands.Basic.Deliver | commands.Basic.Return):
            self._method = method
            return None
        return method

    def _take_header(self, payload: bytes) -> Message | None:
        if self._method is None or self._header is not None or len(payload) < _CONTENT_HEAD.size:
            raise _not_amqp("a message has no beginning")
        self._header = payload
        self._left = _CONTENT_HEAD.unpack_from(payload)[2]
        return self._finish(self._method) if self._left == 0 else None

    def _take_body(self, payload: bytes) -> Message | None:
        if self._method is None or self._header is None or len(payload) > self._left:
            raise _not_amqp("a body belongs to no message")
        self._left -= len(payload)
        # one byte more than may be tells that it was too long
        self._body += payload[: self._max_body_bytes + 1 - len(self._body)]
        return self._finish(self._method) if self._left == 0 else None

    def _finish(self, method: commands.Basic.Deliver | commands.Basic.Return) -> Message:
        body = bytes(self._body) if len(self._body) <= self._max_body_bytes else None
        message = Message(method, body, self._header or b"")
        self._method, self._header = None, None
        self._body.clear()
        return message


def encode(method: Frame, *, channel: int = CHANNEL) -> bytes:
    """A method's frame. Raises :class:`ValueError` or :class:`TypeError` where a value does not fit."""
    return pamqp.frame.marshal(method, channel)


def encode_message(
    method: commands.Basic.Publish, properties: commands.Basic.Properties, body: bytes, *, frame_max: int
) -> bytes:
    """All frames of a message, none longer than ``frame_max`` bytes."""
    header = ContentHeader(body_size=len(body), properties=properties)
    frames = [pamqp.frame.marshal(method, CHANNEL), pamqp.frame.marshal(header, CHANNEL)]
    step = frame_max - _AROUND_PAYLOAD
    frames += [
        pamqp.frame.marshal(ContentBody(body[start : start + step]), CHANNEL) for start in range(0, len(body), step)
    ]
    return b"".join(frames)


def plain(text: str) -> str:
    """What the broker says, without what could play tricks on a terminal; at most 500 characters."""
    return "".join(each if each.isprintable() else " " for each in text[:500]).strip()


def _decode_method(payload: bytes) -> Frame:
    index = int.from_bytes(payload[:4], "big")
    kind = commands.INDEX_MAPPING.get(index)
    if kind is None or len(payload) < 4:
        raise _not_amqp(f"there is no method {index:#010x}")
    method: Frame = kind()
    try:
        method.unmarshal(payload[4:])
    except _UNDECODABLE as error:
        if isinstance(method, commands.Basic.Deliver):
            return _deliver_without_names(payload, error)
        raise _not_amqp(f"{method.name} cannot be read: {error}") from error
    return method


def _deliver_without_names(payload: bytes, error: Exception) -> commands.Basic.Deliver:
    # the routing key is the sender's, who need not keep to UTF-8; only the tag matters
    tag_at = 5 + payload[4] if len(payload) > 4 else 0
    if not tag_at or len(payload) < tag_at + 9:
        raise _not_amqp(f"Basic.Deliver cannot be read: {error}") from error
    tag, redelivered = struct.unpack_from(">QB", payload, tag_at)
    return commands.Basic.Deliver(delivery_tag=tag, redelivered=bool(redelivered & 1), consumer_tag="")


def _not_amqp(words: str) -> NotConnected:
    return NotConnected(f"the broker sent something that is not AMQP 0-9-1: {words}")
