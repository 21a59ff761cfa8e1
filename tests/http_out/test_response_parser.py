"""The parser of responses: what it makes of a response does not depend on how the network cut it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import httpx
import pytest
from connectord.http_out.responses import MAX_OVERHEAD_BYTES, ResponseParser
from hypothesis import given
from hypothesis import strategies as st


@dataclass(frozen=True)
class Reading:
    """What a response came to."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    reason: bytes
    body: bytes
    complete: bool
    reusable: bool


def read(pieces: list[bytes], *, head_only: bool = False, ended: bool = False) -> Reading | str:
    """What the parser makes of these; the message of its error."""
    parser = ResponseParser()
    parser.expect(head_only=head_only)
    body = b""
    reusable = True
    try:
        for piece in pieces:
            if parser.complete:
                # what a connection sees before it is used again
                reusable = False
                break
            if piece:
                parser.feed(piece)
            body += parser.take_body()
        if ended:
            parser.feed_end()
    except httpx.RemoteProtocolError as error:
        return str(error)
    return Reading(
        parser.status, tuple(parser.headers), parser.reason, body, parser.complete, parser.reusable and reusable
    )


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[begin:end] for begin, end in pairwise(edges)]


TOKEN = st.text(st.sampled_from("abcXYZ-019!"), min_size=1, max_size=12).map(str.encode)
VALUE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_categories=["Cc"]), max_size=20).map(
    lambda text: text.encode("latin-1").strip(b" ")
)
HEADERS = st.lists(st.tuples(TOKEN.map(lambda name: b"X-" + name), VALUE), max_size=5)
BODY = st.binary(max_size=200)


@st.composite
def responses(draw: st.DrawFn) -> tuple[bytes, Reading]:
    """A well-formed response, and what is to be read from it."""
    headers = draw(HEADERS)
    reason = draw(VALUE)
    interim = draw(st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\nLink: a\r\n\r\n"]))
    framing = draw(st.sampled_from(["length", "chunked", "end", "none"]))
    status = 204 if framing == "none" else draw(st.integers(200, 599).filter(lambda number: number not in (204, 304)))
    body = b"" if framing == "none" else draw(BODY)
    wire = body
    if framing == "length":
        headers.insert(draw(st.integers(0, len(headers))), (b"Content-LENGTH", str(len(body)).encode()))
    elif framing == "chunked":
        headers.append((b"Transfer-Encoding", b"chunked"))
        chunks = [chunk for chunk in cut(body, draw(st.lists(st.integers(0, 200), max_size=4))) if chunk]
        extension = draw(st.sampled_from([b"", b";a=b"]))
        trailers = draw(st.sampled_from([b"", b"X-Sum: 1\r\n"]))
        wire = b"".join(b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
        wire += b"0\r\n" + trailers + b"\r\n"
    head = b"".join(b"%b: %b\r\n" % header for header in headers)
    data = interim + b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, reason, head, wire)
    return data, Reading(status, tuple(headers), reason, body, framing != "end", framing != "end")


@given(responses(), st.lists(st.integers(0, 1000), max_size=10))
def test_where_it_is_cut_makes_no_difference(response: tuple[bytes, Reading], places: list[int]) -> None:
    data, expected = response
    assert read(cut(data, places)) == expected


@given(responses())
def test_byte_by_byte(response: tuple[bytes, Reading]) -> None:
    data, expected = response
    assert read([bytes([byte]) for byte in data]) == expected


@given(responses(), st.integers(0, 1000))
def test_a_response_that_ends_too_early_is_never_taken_for_a_whole_one(
    response: tuple[bytes, Reading], length: int
) -> None:
    data, expected = response
    found = read([data[: length % len(data)]], ended=True)
    # one that ends with the connection cannot be told from a whole one
    assert isinstance(found, str) or not expected.complete
    if isinstance(found, Reading):
        assert expected.body.startswith(found.body)
        assert not found.reusable


@given(responses(), st.binary(min_size=1, max_size=50), st.lists(st.integers(0, 1000), max_size=5))
def test_surplus_never_gets_into_the_response(
    response: tuple[bytes, Reading], surplus: bytes, places: list[int]
) -> None:
    data, expected = response
    if not expected.complete:
        return
    found = read(cut(data + surplus, places))
    assert isinstance(found, Reading)
    assert (found.status, found.headers, found.body) == (expected.status, expected.headers, expected.body)
    # empty lines after a response are passed over, as RFC 9112 has it for servers
    assert not found.reusable or not surplus.strip(b"\r\n")


@given(responses(), st.lists(st.integers(0, 1000), max_size=10), st.binary(max_size=20))
def test_the_response_to_a_head_is_its_head(response: tuple[bytes, Reading], places: list[int], surplus: bytes) -> None:
    data, expected = response
    interim, _, rest = data.rpartition(b"HTTP/1.1 ")
    head = interim + b"HTTP/1.1 " + rest.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    found = read(cut(head + surplus, places), head_only=True)
    assert isinstance(found, Reading)
    assert (found.status, found.headers, found.body, found.complete) == (expected.status, expected.headers, b"", True)
    assert found.reusable == (expected.complete and not surplus)


@given(st.binary(max_size=300), st.lists(st.integers(0, 1000), max_size=10))
def test_nonsense_never_does_anything_else_than_fail(data: bytes, places: list[int]) -> None:
    read(cut(data, places), ended=True)
    read(cut(b"HTTP/1.1 200 OK\r\n" + data, places), ended=True)
    read(cut(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + data, places), ended=True)


def test_one_parser_reads_one_response_after_the_other() -> None:
    parser = ResponseParser()
    for number in range(3):
        parser.expect(head_only=number == 1)
        parser.feed(b"HTTP/1.1 200 OK\r\nX: %d\r\nContent-Length: 1\r\n\r\n" % number)
        if number != 1:
            parser.feed(b"%d" % number)
        assert parser.headers[0] == (b"X", b"%d" % number)
        assert parser.take_body() == (b"" if number == 1 else b"%d" % number)
        assert parser.is_read()
        assert parser.reusable


@pytest.mark.parametrize(("size", "accepted"), [(MAX_OVERHEAD_BYTES - 100, True), (MAX_OVERHEAD_BYTES + 100, False)])
@pytest.mark.parametrize("step", [1000, 1_000_000])
def test_the_limit_of_a_head(size: int, accepted: bool, step: int) -> None:
    data = b"HTTP/1.1 200 OK\r\nX: " + b"y" * (size - 50) + b"\r\nContent-Length: 0\r\n\r\n"
    found = read([data[at : at + step] for at in range(0, len(data), step)])
    assert isinstance(found, Reading) == accepted


@pytest.mark.parametrize("step", [1000, 1_000_000])
def test_a_body_may_be_as_long_as_it_likes_in_chunks_as_small_as_it_likes(step: int) -> None:
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n"
    found = read([data[at : at + step] for at in range(0, len(data), step)])
    assert isinstance(found, Reading)
    assert len(found.body) == 100_000


def test_chunk_framing_without_a_body_has_an_end() -> None:
    begin = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;"
    assert "more than" in str(read([begin, *[b"x" * 1000] * 100]))


def test_an_old_response_in_chunks_ends_its_connection() -> None:
    found = read([b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"])
    assert isinstance(found, Reading)
    assert (found.complete, found.reusable) == (True, False)
