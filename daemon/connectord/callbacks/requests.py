"""Reading one request's head: the bytes up to the blank line, and what they say. No waiting, no sockets.

h11 parses; what it lets pass for the sake of old programs is refused here before it sees it, because two programs that
read the same bytes differently are what request smuggling is made of. A head of the plainest kind, which nearly all
are, is read without h11, by rules that are narrower than its own: it never says anything else than h11 would (a test
compares them), and costs a tenth.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import h11

from connectord.callbacks import answers
from connectord.callbacks.answers import Answer, problem
from connectord.callbacks.limits import Limits

_CONTROLS = bytes({*range(0x20), 0x7F} - {0x09, 0x0A, 0x0D})
_JSON_TYPE = re.compile(r"(?:application/json|[!#$%&'*+.^_`|~0-9a-z-]+/[!#$%&'*+.^_`|~0-9a-z-]+\+json)", re.ASCII)
_COMMON_JSON = frozenset({"application/json", "application/json; charset=utf-8", "application/json;charset=utf-8"})
_UTF_8 = frozenset({"utf-8", "utf8", '"utf-8"', '"utf8"'})
_REQUEST_LINE = re.compile(rb"([A-Z]+) (/[\x21-\x7e]*) HTTP/1\.1")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?[ \t]*")
_COMMON_LINE = 128
"""Up to so many bytes of a header's line it is remembered what they say."""

_LENGTH = re.compile(r"[0-9]{1,20}", re.ASCII)
_ABSOLUTE = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)


@dataclass(slots=True)
class Head:
    """The head of one request. Header names are lower case; a repeated header's values are joined with commas."""

    method: bytes
    path: bytes
    version: bytes
    headers: dict[str, str]
    parser: h11.Connection | None = None
    """Has read the head, and goes on with a chunked body; None where the head was read without it."""

    chunked: bool = False
    content_length: int = 0

    @property
    def has_body(self) -> bool:
        """Whether the request announces a body."""
        return self.chunked or self.content_length > 0

    @property
    def keep_alive(self) -> bool:
        """Whether the peer wants to send another request on the same connection."""
        if self.version == b"1.0":
            return False
        connection = self.headers.get("connection")
        return connection is None or "close" not in (option.strip() for option in connection.lower().split(","))


def fault(head: bytes | bytearray, limits: Limits) -> Answer | None:
    """What is wrong with a head, whole or as far as it has come; None if nothing shows yet."""
    if len(head) > limits.max_header_bytes:
        return answers.HEADERS_TOO_LARGE
    ends = head.count(b"\r\n")
    if ends > limits.max_headers + 2:  # the request line and the blank line
        return answers.HEADERS_TOO_LARGE
    if head.count(b"\n") != ends:
        return problem(400, "a line ends with LF instead of CR LF")
    if head.count(b"\r") - head.endswith(b"\r") != ends:
        return problem(400, "a CR stands where no line ends")
    if b"\r\n " in head or b"\r\n\t" in head:
        return problem(400, "a header is folded over several lines")
    if len(head.translate(None, _CONTROLS)) != len(head):
        return problem(400, "there are control characters in the headers; is this TLS? This port speaks plain HTTP")
    return None


def read(head: bytes, limits: Limits) -> Head | Answer:
    """Read a whole head, up to and with its blank line. An answer says why it cannot be read."""
    if len(head) <= limits.max_header_bytes:
        plain = read_plain(head)
        if plain is not None and len(plain.headers) <= limits.max_headers:
            return plain
    return fault(head, limits) or parse_any(head, limits)


def read_plain(head: bytes) -> Head | None:
    """A head of the plainest kind; None for any other, whatever it is.

    HTTP/1.1, a path, headers in ASCII of which each stands there once, a Host, and no Transfer-Encoding. In such a one
    :func:`fault` finds nothing but that there is too much of it.
    """
    first, *lines = head[:-4].split(b"\r\n")
    request = _REQUEST_LINE.fullmatch(first)
    if request is None:
        return None
    headers: dict[str, str] = {}
    for line in lines:
        header = _read_line(line) if len(line) <= _COMMON_LINE else _read_any_line(line)
        if header is None:
            return None
        headers[header[0]] = header[1]
    if len(headers) != len(lines) or "host" not in headers or "transfer-encoding" in headers:
        return None
    plain = Head(request[1], request[2], b"1.1", headers)
    length = headers.get("content-length")
    if length is not None:
        if _LENGTH.fullmatch(length) is None:
            return None
        plain.content_length = int(length)
    return plain


def _read_any_line(line: bytes) -> tuple[str, str] | None:
    header = _HEADER.fullmatch(line)
    return None if header is None else (header[1].decode("ascii").lower(), (header[2] or b"").decode("ascii"))


_read_line = lru_cache(256)(_read_any_line)  # a system says mostly the same in all of its requests


def parse_any(head: bytes, limits: Limits) -> Head | Answer:
    """Read a whole head with h11, in which :func:`fault` found nothing."""
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.max_header_bytes)
    parser.receive_data(head)
    try:
        request = parser.next_event()
    except h11.RemoteProtocolError as error:
        return malformed(error)
    if not isinstance(request, h11.Request):
        return problem(400, "there is no request line")
    headers: dict[str, str] = {}
    for raw_name, raw_value in request.headers.raw_items():  # iterating over the headers themselves is slow
        name = raw_name.decode("ascii").lower()
        value = raw_value.decode("latin-1")
        headers[name] = value if name not in headers else f"{headers[name]}, {value}"
    parsed = Head(request.method, request.target, request.http_version, headers, parser)
    return _framing_fault(parsed) or parsed


def malformed(error: h11.RemoteProtocolError) -> Answer:
    """The answer to what h11 refuses: its reason without the line that it quotes, which may hold the token."""
    status = error.error_status_hint if error.error_status_hint in (431, 501) else 400
    return problem(status, str(error).partition(": bytearray")[0].partition(": b'")[0])


def is_json(content_type: str) -> bool:
    """Whether a Content-Type is ``application/json`` or any ``+json``, in UTF-8."""
    content_type = content_type.lower()
    if content_type in _COMMON_JSON:
        return True
    kind, *parameters = content_type.split(";")
    if _JSON_TYPE.fullmatch(kind.strip()) is None:
        return False
    for parameter in parameters:
        name, _, value = parameter.strip().partition("=")
        if name == "charset" and value not in _UTF_8:
            return False
    return True


def _framing_fault(head: Head) -> Answer | None:
    """Settle where the body ends, and the path. An answer where two readers could disagree about that."""
    if head.version not in (b"1.1", b"1.0"):
        return answers.WRONG_VERSION
    headers = head.headers
    length = headers.get("content-length")
    if "transfer-encoding" in headers:
        if length is not None:
            return problem(400, "Content-Length and Transfer-Encoding exclude each other")
        if head.version == b"1.0":
            return problem(400, "HTTP/1.0 has no Transfer-Encoding")
        head.chunked = True
    elif length is not None:
        head.content_length = int(length)  # h11 has checked that it is one number of at most 20 digits
    if not head.path.startswith(b"/"):
        head.path = _ABSOLUTE.sub(b"", head.path, count=1)
    return None
