"""Reading an answer's body without trusting its length, its speed or its encoding."""

from __future__ import annotations

import zlib

import httpx
import trio


async def read_body(response: httpx.Response, *, limit: int, timeout_seconds: float) -> bytes | None:
    """The whole body, decompressed; None if it has more than ``limit`` bytes or cannot be decompressed.

    Raises :class:`httpx.TransportError` when the connection breaks, and :class:`httpx.ReadTimeout` among them
    when the body is not there after ``timeout_seconds``.
    """
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        raise TypeError("an asynchronous transport gives an asynchronous body")
    chunks: list[bytes] = []
    size = 0
    with trio.move_on_after(timeout_seconds) as scope:
        async for chunk in stream:
            size += len(chunk)
            if size > limit:
                # leaving the loop would abandon a stream that is a generator to the garbage collector; a cancelled
                # read unwinds it
                scope.cancel()
            else:
                chunks.append(chunk)
    if size > limit:
        return None
    if scope.cancelled_caught:
        raise httpx.ReadTimeout("the body took too long", request=response.request)
    return decompress(b"".join(chunks), response.headers.get("content-encoding", "identity"), limit)


def decompress(body: bytes, encoding: str, limit: int) -> bytes | None:
    """What ``body`` is in plain; None where that is more than ``limit`` bytes, or cannot be had."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity") or not body:
        return body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        return None
    decompressor = zlib.decompressobj(zlib.MAX_WBITS | 32)  # 32: gzip or zlib, whichever it is
    try:
        plain = decompressor.decompress(body, limit + 1)
    except zlib.error:
        return None
    return plain if decompressor.eof and len(plain) <= limit else None
