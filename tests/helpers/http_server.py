"""A real HTTP server on loopback, as well or as badly behaved as a test wants it.

::

    async def handler(request: Request) -> Response:
        return Response(status=503, headers={"Retry-After": "120"})

    async with serve(handler) as url:
        ...
"""

from __future__ import annotations

import json
import socket
import ssl
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Literal, TypeAlias

import h11
import trio
from connectord.testing.ports import held_port

Ending: TypeAlias = Literal["keep", "silent_close", "cut", "drop", "reset", "hang"]
"""How an exchange ends.

``keep`` answers and keeps the connection; ``silent_close`` answers, then closes without having said so; ``cut``
closes halfway through the body; ``drop`` and ``reset`` close without an answer, the latter with a TCP reset;
``hang`` never answers.
"""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came in. Header names are lower case; ``connection`` counts connections from 1."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Response:
    """What to answer. A ``Content-Length`` is added unless ``headers`` frame the body themselves."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    ending: Ending = "keep"

    @classmethod
    def of_json(cls, document: Any, *, status: int = 200, content_type: str = "application/json") -> Response:
        """An answer with ``document`` as its body."""
        return cls(status=status, body=json.dumps(document).encode(), headers={"Content-Type": content_type})


Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


@asynccontextmanager
async def serve(handler: Handler, *, tls: bool | ssl.SSLContext = False) -> AsyncGenerator[str, None]:
    """Serve ``handler`` on a free port while the context is open; yields ``http://127.0.0.1:PORT``.

    With ``tls`` it is ``https``, with the certificate :data:`CERTIFICATE` or a context of the test's own. What the
    handler raises, the context raises.
    """
    serve_connection = partial(_serve_connection, handler, count(1))
    listen: Callable[..., Awaitable[None]] = partial(trio.serve_tcp, serve_connection, 0, host="127.0.0.1")
    if tls:
        context = tls if isinstance(tls, ssl.SSLContext) else server_context()
        listen = partial(trio.serve_ssl_over_tcp, serve_connection, 0, context, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(listen)
        if isinstance(listener, trio.SSLListener):
            listener = listener.transport_listener
        port = listener.socket.getsockname()[1]
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def refuse() -> AsyncGenerator[str, None]:
    """An address that refuses connections, and that nobody else gets while the context is open."""
    with held_port() as port:
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def never_accept() -> AsyncGenerator[str, None]:
    """An address where connecting takes for ever: the queue of a listener that never accepts is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        queued = []
        try:
            for _ in range(8):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(address)
                queued.append(filler)
            await trio.sleep(0.01)
            yield f"http://127.0.0.1:{address[1]}"
        finally:
            for filler in queued:
                filler.close()


async def _serve_connection(handler: Handler, numbers: count[int], stream: trio.abc.Stream) -> None:
    number = next(numbers)
    connection = h11.Connection(h11.SERVER)
    try:
        while True:
            request = await _receive(connection, stream, number)
            if request is None:
                return
            response = await handler(request)
            await trio.sleep(response.delay_seconds)
            if not await _answer(connection, stream, response):
                return
            if connection.our_state is h11.MUST_CLOSE:
                return
            connection.start_next_cycle()
    except trio.BrokenResourceError:
        pass  # the client went away, which tests provoke
    finally:
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(stream)


async def _receive(connection: h11.Connection, stream: trio.abc.Stream, number: int) -> Request | None:
    head: h11.Request | None = None
    body = bytearray()
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            return None  # the client was cut off halfway through
        if event is h11.NEED_DATA:
            connection.receive_data(bytes(await stream.receive_some(65536)))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            headers = {name.decode(): value.decode() for name, value in head.headers}
            return Request(head.method.decode(), head.target.decode(), headers, bytes(body), number)
        else:
            return None


async def _answer(connection: h11.Connection, stream: trio.abc.Stream, response: Response) -> bool:
    """Whether the connection goes on."""
    if response.ending == "hang":
        await trio.sleep_forever()
    if response.ending == "reset":
        _socket_of(stream).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    if response.ending in ("drop", "reset"):
        return False
    names = {name.lower() for name in response.headers}
    framed = names & {"content-length", "transfer-encoding"} or response.status in (204, 304)
    length = {} if framed else {"Content-Length": str(len(response.body))}
    headers = list({**response.headers, **length}.items())
    sent = connection.send(h11.Response(status_code=response.status, headers=headers, reason=b"Whatever"))
    if response.ending == "cut":
        await stream.send_all(sent + response.body[: len(response.body) // 2])
        return False
    sent += (connection.send(h11.Data(response.body)) or b"") if response.body else b""
    await stream.send_all(sent + (connection.send(h11.EndOfMessage()) or b""))
    return response.ending == "keep"


def _socket_of(stream: Any) -> trio.socket.SocketType:
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    found: trio.socket.SocketType = stream.socket
    return found


def server_context() -> ssl.SSLContext:
    """A server's, with :data:`CERTIFICATE`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(_PRIVATE_KEY + CERTIFICATE)
        file.flush()
        context.load_cert_chain(Path(file.name))
    return context


CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBqTCCAU+gAwIBAgIUEGqj0r/Nsnq3NK4E4GVR7NOvo00wCgYIKoZIzj0EAwIw
GzEZMBcGA1UEAwwQY29ubmVjdG9yZCB0ZXN0czAgFw0yNjExMjQxMDM5MDZaGA8y
MTI2MTAzMTEwMzkwNlowGzEZMBcGA1UEAwwQY29ubmVjdG9yZCB0ZXN0czBZMBMG
ByqGSM49AgEGCCqGSM49AwEHA0IABJJCSq0fVuyTyW7NIM0N5jNUgjTnxeacdq2j
qPYqrY7lCFP5/7Tsj4ig4bsEWFnYlf3bd7Qf+k2Qlokhfq4zhUyjbzBtMB0GA1Ud
DgQWBBTaK/KN7GJGYx3DDn6YcFNBa9fKaTAfBgNVHSMEGDAWgBTaK/KN7GJGYx3D
Dn6YcFNBa9fKaTAPBgNVHRMBAf8EBTADAQH/MBoGA1UdEQQTMBGHBH8AAAGCCWxv
Y2FsaG9zdDAKBggqhkjOPQQDAgNIADBFAiEA7hLXGRTtf8TXqnvTTGrLlbo1woWA
D+ZjHNqrHcUgzXoCIDbipQa/XMsv6HOvZDdV73IZ6QmQ1cmFbkBgHn4+ql/S
-----END CERTIFICATE-----
"""
"""The server's self-signed certificate, for 127.0.0.1 and localhost, until 2126."""

_PRIVATE_KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgmsxZznw3Jw5rRpPc
ffMJijSt8ZDpslX8ilCqRtYKyZGhRANCAASSQkqtH1bsk8luzSDNDeYzVII058Xm
nHato6j2Kq2O5QhT+f+07I+IoOG7BFhZ2JX923e0H/pNkJaJIX6uM4VM
-----END PRIVATE KEY-----
"""
