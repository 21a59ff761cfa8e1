"""Writing requests: the head in one piece, checked, and how the body is framed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

import httpx
import msgspec

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"(?:[\x21-\x7e\x80-\xff]+(?:[ \t]+[\x21-\x7e\x80-\xff]+)*)?")
_TARGET = re.compile(rb"[\x21-\x7e]+")
_FRAMING = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection"})


class RequestHead(msgspec.Struct, frozen=True):
    """A request's head as it goes over the wire, and what it says about the body and the connection.

    ``content_length`` is None where there is none; a request that is neither ``chunked`` nor has one has no body.
    """

    data: bytes
    content_length: int | None
    chunked: bool
    closes: bool


class HeadWriter:
    """Writes the heads of one transport's requests.

    Most of a head is the same from request to request, so that lines which were checked once are kept: a few
    hundred of them, for as long as the transport lives.
    """

    def __init__(self) -> None:
        self._request_line = lru_cache(64)(_request_line)
        self._header_line = lru_cache(256)(_header_line)

    def write(self, method: str, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> RequestHead:
        """Raises :class:`httpx.LocalProtocolError` for what HTTP/1.1 cannot say, or says in two ways."""
        lines = [self._request_line(method, target)]
        header_line = self._header_line
        found: list[tuple[bytes, bytes]] = []
        for name, value in headers:
            line, framing = header_line(name, value)
            lines.append(line)
            if framing is not None:
                found.append((framing, value))
        lines.append(b"\r\n")
        return _framed(b"".join(lines), found)


def fitting(chunks: Iterable[bytes], head: RequestHead) -> bytes:
    """A body that is there as a whole, framed as ``head`` says.

    Raises :class:`httpx.LocalProtocolError` if its length is not the one that was announced.
    """
    body = b"".join(chunks)
    if head.chunked:
        return b"%b0\r\n\r\n" % chunk_of(body)
    check_length(len(body), head, complete=True)
    return body


def chunk_of(data: bytes) -> bytes:
    """``data`` as one chunk; nothing for no data, for an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def check_length(sent: int, head: RequestHead, *, complete: bool) -> None:
    """Raises :class:`httpx.LocalProtocolError` if a body of ``sent`` bytes cannot be what ``head`` announces."""
    announced = head.content_length or 0
    if sent > announced:
        raise httpx.LocalProtocolError("Too much data for declared Content-Length")
    if complete and sent < announced:
        raise httpx.LocalProtocolError("Too little data for declared Content-Length")


def _request_line(method: str, target: bytes) -> bytes:
    name = method.encode("ascii", "replace")
    if _TOKEN.fullmatch(name) is None or name == b"CONNECT":
        raise httpx.LocalProtocolError(f"the method {method!r} cannot be sent")
    if _TARGET.fullmatch(target) is None:
        raise httpx.LocalProtocolError("the request's target has characters that HTTP does not allow")
    return b"%b %b HTTP/1.1\r\n" % (name, target)


def _header_line(name: bytes, value: bytes) -> tuple[bytes, bytes | None]:
    """The line, and the header's name in lower case if it has to do with framing."""
    # neither message quotes the value, which may be a secret
    if _TOKEN.fullmatch(name) is None:
        raise httpx.LocalProtocolError(f"Illegal header name {name!r}")
    if _VALUE.fullmatch(value) is None:
        raise httpx.LocalProtocolError(f"Illegal value of the header {name.decode()}")
    lowered = name.lower()
    return b"%b: %b\r\n" % (name, value), lowered if lowered in _FRAMING else None


def _framed(data: bytes, found: list[tuple[bytes, bytes]]) -> RequestHead:
    content_length: int | None = None
    chunked = closes = False
    hosts = 0
    for name, value in found:
        if name == b"host":
            hosts += 1
        elif name == b"connection":
            closes = closes or b"close" in (option.strip().lower() for option in value.split(b","))
        elif content_length is not None or chunked:
            raise httpx.LocalProtocolError("more than one Content-Length or Transfer-Encoding")
        elif name == b"content-length":
            if not value.isdigit():
                raise httpx.LocalProtocolError("bad Content-Length")
            content_length = int(value)
        elif value.lower() == b"chunked":
            chunked = True
        else:
            raise httpx.LocalProtocolError("Only Transfer-Encoding: chunked is supported")
    if hosts != 1:
        raise httpx.LocalProtocolError(f"{hosts} Host headers instead of one")
    return RequestHead(data, content_length, chunked, closes)
