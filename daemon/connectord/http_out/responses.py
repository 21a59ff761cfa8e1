"""Reading responses strictly (RFC 9112), on llhttp by way of httptools."""

from __future__ import annotations

from typing import TypeAlias

import httptools
import httpx

MAX_OVERHEAD_BYTES = 64 * 1024
"""How many bytes of head, chunk framing or trailers may come in a row without any of the body."""

Header: TypeAlias = tuple[bytes, bytes]

_TOO_MUCH = f"more than {MAX_OVERHEAD_BYTES} bytes of headers or chunk framing"
_START = b"HTTP/"
_TRANSFER_ENCODING = b"transfer-encoding"
_CONTENT_LENGTH = b"content-length"


class ResponseParser:
    """The responses that come on one connection, one after the other, as values rather than events.

    :meth:`expect` makes it ready for the next one. Whatever leaves the body's length in doubt is refused: a second
    Content-Length, one beside a Transfer-Encoding, a coding other than ``chunked``, a line that does not end in
    CRLF, a continued (folded) header line, a control character. Interim responses are dropped, and so are
    trailers; switching protocols is not for us.
    """

    __slots__ = (
        "_fault", "_head_only", "_informational", "_overhead", "_parser", "_pieces", "_start", "_suspicious",
        "_unparsed", "complete", "headers", "http_version", "reason", "reusable", "status",
    )  # fmt: skip

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.expect(head_only=False)

    def expect(self, *, head_only: bool) -> None:
        """Get ready for the next response; ``head_only`` if it answers a HEAD, whose length says nothing."""
        self.status = 0
        """The final response's status, 100 or more; 0 until its head is complete."""
        self.headers: list[Header] = []
        self.reason = b""
        self.http_version = "1.1"
        self.complete = False
        self.reusable = False
        """Whether the connection may carry another request, once the response is complete."""
        self._head_only = head_only
        self._pieces: list[bytes] = []
        self._overhead = 0
        self._start = b""
        self._fault = ""
        self._informational = False
        self._suspicious = False
        self._unparsed = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes, at least one, that came on the connection.

        Raises :class:`httpx.RemoteProtocolError`.
        """
        if len(self._start) < len(_START):
            self._start += data[: len(_START) - len(self._start)]
            if not _START.startswith(self._start):
                raise httpx.RemoteProtocolError("the answer does not begin with HTTP/")
        self._overhead += len(data)
        if self._head_only:
            self._feed_head(data)
        else:
            self._parse(data)
        if self._pieces or self.complete:
            self._overhead = 0
        elif self._overhead > MAX_OVERHEAD_BYTES:
            raise httpx.RemoteProtocolError(_TOO_MUCH)

    def feed_end(self) -> None:
        """The peer has closed its side.

        Raises :class:`httpx.RemoteProtocolError` if the response is not complete with that.
        """
        if self.status == 0:
            # the words that httpcore uses, which others look for
            where = "in the middle of its head" if self._start else "without sending a response."
            raise httpx.RemoteProtocolError(f"Server disconnected {where}")
        if not self.complete and any(name.lower() in (_CONTENT_LENGTH, _TRANSFER_ENCODING) for name, _ in self.headers):
            raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")
        self.complete = True
        self.reusable = False

    def has_head(self) -> bool:
        """Whether the final response's head is complete."""
        return self.status > 0

    def has_news(self) -> bool:
        """Whether there is something of the body to take, or nothing more to come."""
        return self.complete or bool(self._pieces)

    def is_read(self) -> bool:
        """Whether the response is complete and everything of it was taken."""
        return self.complete and not self._pieces

    def take_body(self) -> bytes:
        """What has come of the body since the last call."""
        pieces = self._pieces
        if not pieces:
            return b""
        self._pieces = []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.reusable = False
            if not self.complete:
                raise httpx.RemoteProtocolError(self._fault or f"not HTTP/1.1: {error}") from error
        if self._fault:
            raise httpx.RemoteProtocolError(self._fault)

    def _feed_head(self, data: bytes) -> None:
        """llhttp would wait for the body that a response to HEAD describes, so it gets the head only."""
        self._unparsed += data
        while not self.complete:
            head, end, rest = self._unparsed.partition(b"\r\n\r\n")
            if not end:
                return
            self._unparsed = rest
            self._parse(head + end)
        self._parser = httptools.HttpResponseParser(self)
        self.reusable = self.reusable and not self._unparsed

    # what llhttp calls; an exception from these would lose its type on the way

    def on_message_begin(self) -> None:
        if self.complete:
            raise httptools.HttpParserError("more than was asked for")

    def on_status(self, reason: bytes) -> None:
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.status == 0:
            self.headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        parser = self._parser
        status = parser.get_status_code()
        self.http_version = parser.get_http_version()
        if self.http_version not in ("1.1", "1.0"):
            self._fault = f"HTTP/{self.http_version} instead of HTTP/1.1"
        elif status == 101 or status < 100:
            self._fault = f"status {status}, which nobody asked for"
        codings = [value for name, value in self.headers if len(name) == 17 and name.lower() == _TRANSFER_ENCODING]
        if codings:
            if len(codings) > 1 or codings[0].lower() != b"chunked":
                self._fault = "a Transfer-Encoding other than chunked"
            self._suspicious = self.http_version == "1.0"  # RFC 9112, 6.1
        if status < 200:
            self._informational = True
            return
        if self._overhead > MAX_OVERHEAD_BYTES and _size(self.headers) > MAX_OVERHEAD_BYTES:
            self._fault = _TOO_MUCH
        self._overhead = 0
        self.status = status
        if self._head_only:
            self._finish()

    def on_body(self, piece: bytes) -> None:
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        if self._informational:
            self._informational = False
            self.headers = []
            self.reason = b""
        elif not self.complete:
            self._finish()

    def _finish(self) -> None:
        self.complete = True
        # of a HEAD's response llhttp believes that it ends with the connection unless it tells its length
        self.reusable = self._parser.should_keep_alive() and not self._suspicious


def _size(headers: list[Header]) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers)
