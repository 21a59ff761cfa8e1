"""The server of http_out.py: answers every request alike, from raw sockets, and does nothing else.

Two processes on one listening socket, each a loop over epoll; a request costs it one receive and one send, a
fraction of what it costs the client. TLS is the standard library's, with a certificate made for the occasion.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import trustme

PROCESSES = 2
ANSWER = (
    b"HTTP/1.1 202 Accepted\r\nServer: sink\r\nDate: Tue, 24 Nov 2026 12:00:00 GMT\r\n"
    b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
)
_END_OF_HEAD = b"\r\n\r\n"


@contextmanager
def running_sink(body_bytes: int, *, tls: bool) -> Generator[str, None, None]:
    """A sink in processes of its own, for requests with bodies of that length; yields its URL."""
    command = [sys.executable, __file__, str(body_bytes), "tls" if tls else "plain"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as server:
        assert server.stdout is not None
        try:
            port = int(server.stdout.readline())
            yield f"{'https' if tls else 'http'}://127.0.0.1:{port}/jobs"
        finally:
            os.killpg(server.pid, signal.SIGKILL)


def _serve(listener: socket.socket, body_bytes: int, context: ssl.SSLContext | None) -> None:
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN | select.EPOLLEXCLUSIVE)
    connections: dict[int, socket.socket] = {}
    shaking_hands: set[int] = set()
    received: dict[int, bytes] = {}
    while True:
        for number, _ in poll.poll():
            if number == listener.fileno():
                with contextlib.suppress(BlockingIOError):
                    connection, _ = listener.accept()
                    connection.setblocking(False)
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    if context is not None:
                        connection = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                        shaking_hands.add(connection.fileno())
                    connections[connection.fileno()] = connection
                    received[connection.fileno()] = b""
                    poll.register(connection, select.EPOLLIN)
                continue
            connection = connections[number]
            try:
                if number in shaking_hands:
                    assert isinstance(connection, ssl.SSLSocket)
                    connection.do_handshake()
                    shaking_hands.discard(number)
                data = connection.recv(65536)
                if data:
                    received[number] = _answer(connection, received[number] + data, body_bytes)
                    continue
            except (BlockingIOError, ssl.SSLWantReadError):
                continue
            except OSError:
                pass
            shaking_hands.discard(number)
            connections.pop(number).close()


def _answer(connection: socket.socket, received: bytes, body_bytes: int) -> bytes:
    """Answer the requests that are complete; the rest of what was received."""
    while (end := received.find(_END_OF_HEAD)) >= 0 and len(received) >= end + 4 + body_bytes:
        received = received[end + 4 + body_bytes :]
        connection.send(ANSWER)
    return received


def _tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.bytes()
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(certificate)
        file.flush()
        context.load_cert_chain(Path(file.name))
    return context


def main() -> None:
    """Serve until killed; the port is the first line of the output."""
    body_bytes, protocol = int(sys.argv[1]), sys.argv[2]
    context = _tls() if protocol == "tls" else None
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        listener.setblocking(False)
        for _ in range(PROCESSES - 1):
            if os.fork() == 0:
                break
        else:
            print(listener.getsockname()[1], flush=True)
        _serve(listener, body_bytes, context)


if __name__ == "__main__":
    main()
