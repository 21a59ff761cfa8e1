"""The ``http`` adapter, opened, and servers for it to talk to."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from connectord.adapters import AdapterContext
from connectord.address_guard import Lookup, look_up
from connectord.network import SystemNetwork
from connectord_http.adapter import HttpAdapter
from connectord_http.settings import HttpSettings

from helpers.http_server import Handler, Request, Response

NETWORK = SystemNetwork()
NOW = 784_111_777.0
"""Sun, 06 Nov 1994 08:49:37 GMT: what the adapter takes the time for."""


@asynccontextmanager
async def adapter_for(url: Any, *, lookup: Lookup = look_up, **settings: Any) -> AsyncGenerator[HttpAdapter, None]:
    """An open adapter with the ``settings``."""
    adapter = make_adapter(url, lookup=lookup, **settings)
    await adapter.open()
    try:
        yield adapter
    finally:
        await adapter.close()


def make_adapter(url: Any, *, lookup: Lookup = look_up, **settings: Any) -> HttpAdapter:
    """An adapter that is not open yet, as one that only reads callbacks is."""
    values = {"url": url, "connect_timeout": "5s", "read_timeout": "5s", **settings}
    context = AdapterContext(system="billing", concurrency=16, network=NETWORK)
    return HttpAdapter(HttpSettings.model_validate(values), context, now=lambda: NOW, lookup=lookup)


def always(response: Response) -> Handler:
    """A handler that gives one answer."""

    async def handler(request: Request) -> Response:
        return response

    return handler


class Recorder:
    """A handler that keeps every request, and gives ``answers`` one after the other, the last one for ever."""

    def __init__(self, *answers: Response) -> None:
        self.requests: list[Request] = []
        self._answers = list(answers or [Response(status=202)])

    async def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    @property
    def only(self) -> Request:
        """The one request that came."""
        [request] = self.requests
        return request


class Resolver:
    """A lookup that the test programs: each call gives the next of ``answers``, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.asked: list[tuple[str, int]] = []
        self._answers = list(answers)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


class Trap:
    """A listening socket on loopback that counts who connects, without a loop that could miss one."""

    def __enter__(self) -> Trap:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def connections(self) -> int:
        """How many connections were made since the last call."""
        count = 0
        while True:
            try:
                connection, _ = self._socket.accept()
            except BlockingIOError:
                return count
            connection.close()
            count += 1
