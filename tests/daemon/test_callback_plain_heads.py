"""A head that is read without h11 says what h11 would have said."""

from __future__ import annotations

import pytest
from connectord.callbacks.answers import HEADERS_TOO_LARGE, Answer
from connectord.callbacks.limits import Limits
from connectord.callbacks.requests import Head, fault, parse_any, read, read_plain
from hypothesis import example, given
from hypothesis import strategies as st

LIMITS = Limits()
NAMES = [
    b"Host", b"host", b"Content-Length", b"content-length", b"Transfer-Encoding", b"Connection", b"Expect", b"Upgrade",
    b"X-A", b"X_B", b"x a", b"", b"X\xe9", b"Content-Type", b"Content-Encoding",
]  # fmt: skip
VALUES = [
    b"a", b"", b" ", b"0", b"5", b"+5", b"-1", b"5, 5", b"5 5", b"\xb2", b"00000000000000000000001", b"chunked",
    b"close", b"keep-alive, Upgrade", b"100-continue", b"a\tb", b" a ", b"a b", b"\x80", b"caf\xc3\xa9", b"h2c",
    b"a:b", b'"x"',
]  # fmt: skip
SEPARATORS = [b": ", b":", b":\t", b":  ", b" : ", b" :", b""]
FIRST_LINES = [
    b"POST /callback/x HTTP/1.1", b"GET / HTTP/1.1", b"POST / HTTP/1.0", b"POST / HTTP/2.0", b"post / HTTP/1.1",
    b"POST  / HTTP/1.1", b"POST /a b HTTP/1.1", b"CONNECT / HTTP/1.1", b"POST * HTTP/1.1", b"POST http://h/c HTTP/1.1",
    b"", b"POST /\xe9 HTTP/1.1", b"POST / HTTP/1.1 ", b" POST / HTTP/1.1", b"POST /?a=1#b HTTP/1.1",
    b"PO-ST / HTTP/1.1",
]  # fmt: skip


def head_of(first: bytes, headers: list[tuple[bytes, bytes, bytes]]) -> bytes:
    lines = [name + separator + value for name, separator, value in headers]
    return b"\r\n".join([first, *lines]) + b"\r\n\r\n"


def agrees(head: bytes) -> bool:
    """Whether it was read without h11; fails where h11 disagrees."""
    plain = read_plain(head)
    if plain is None:
        return False
    assert fault(head, LIMITS) is None, head
    other = parse_any(head, LIMITS)
    assert not isinstance(other, Answer), (head, other.why)
    other.parser = None
    assert plain == other
    assert (plain.keep_alive, plain.has_body) == (other.keep_alive, other.has_body)
    return True


@given(
    first=st.sampled_from(FIRST_LINES) | st.binary(max_size=40),
    headers=st.lists(
        st.tuples(
            st.sampled_from(NAMES) | st.binary(max_size=12),
            st.sampled_from(SEPARATORS),
            st.sampled_from(VALUES) | st.binary(max_size=12),
        ),
        max_size=6,
    ),
)
@example(first=FIRST_LINES[0], headers=[(b"Host", b": ", b"a"), (b"Content-Length", b": ", b"5")])
@example(first=FIRST_LINES[0], headers=[(b"Host", b": ", b"a"), (b"host", b": ", b"b")])
def test_what_is_read_without_h11_is_what_h11_reads(first: bytes, headers: list[tuple[bytes, bytes, bytes]]) -> None:
    agrees(head_of(first, [(b"Host", b": ", b"a"), *headers]))
    agrees(head_of(first, headers))


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("name", NAMES)
def test_every_value_of_every_header_agrees(name: bytes, value: bytes) -> None:
    for separator in SEPARATORS:
        agrees(head_of(FIRST_LINES[0], [(b"Host", b": ", b"a"), (name, separator, value)]))


def test_a_plain_head_of_any_length_meets_the_limits() -> None:
    headers = [(b"Host", b": ", b"a"), *((b"X-%d" % number, b": ", b"b" * 200) for number in range(9))]
    head = head_of(FIRST_LINES[0], headers)
    assert isinstance(read(head, Limits(max_headers=10, max_header_bytes=len(head))), Head)
    assert read(head, Limits(max_headers=9)) is HEADERS_TOO_LARGE
    assert read(head, Limits(max_header_bytes=len(head) - 1)) is HEADERS_TOO_LARGE


def test_an_ordinary_callback_is_read_without_h11() -> None:
    headers = [
        (b"Host", b": ", b"127.0.0.1:8470"),
        (b"Accept", b": ", b"*/*"),
        (b"User-Agent", b": ", b"python-httpx/0.28.1 (x; y)"),
        (b"Content-Length", b": ", b"39"),
        (b"Content-Type", b": ", b"application/json"),
        (b"Connection", b": ", b"keep-alive"),
    ]
    assert agrees(head_of(FIRST_LINES[0], headers))
