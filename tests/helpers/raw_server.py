"""A server that sees and sends bytes, for what no HTTP library would send."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeAlias

import trio

Script: TypeAlias = Callable[[trio.abc.Stream], Awaitable[None]]


@asynccontextmanager
async def serve_raw(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncGenerator[str, None]:
    """Run ``script`` for each connection, which it may leave open, while the context is open; yields the URL."""

    async def run(stream: trio.abc.Stream) -> None:
        try:
            await script(stream)
        except trio.BrokenResourceError:
            pass  # the client went away, which tests provoke
        finally:
            await trio.aclose_forcefully(stream)

    listen: Callable[..., Awaitable[None]] = partial(trio.serve_tcp, run, 0, host="127.0.0.1")
    if tls is not None:
        listen = partial(trio.serve_ssl_over_tcp, run, 0, tls, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(listen)
        if isinstance(listener, trio.SSLListener):
            listener = listener.transport_listener
        yield f"{'https' if tls else 'http'}://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def read_until(stream: trio.abc.Stream, ending: bytes) -> bytes:
    """What the client sends, up to and including ``ending``; less if it closes before."""
    received = b""
    while not received.endswith(ending):
        data = await stream.receive_some(65536)
        if not data:
            break
        received += data
    return received


async def read_head(stream: trio.abc.Stream) -> bytes:
    """A request that ends with its head."""
    return await read_until(stream, b"\r\n\r\n")


def answering(*answers: bytes, then_close: bool = False) -> Script:
    """Answer one request without a body after the other on each connection; then close, or wait for ever."""

    async def script(stream: trio.abc.Stream) -> None:
        for answer in answers:
            if not await read_head(stream):
                return
            await stream.send_all(answer)
        if not then_close:
            await stream.receive_some(1)

    return script
