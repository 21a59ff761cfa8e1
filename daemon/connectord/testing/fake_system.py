"""A real HTTP server that plays an external system: takes actions, answers at once or by callback, misbehaves.

What it does with an action is written in the action's own data, under ``play``:

=================  ==============================================================================================
``succeed``        takes it (202), then calls back with success and ``{"done_by": "fake"}``
``fail``           takes it, then calls back with a failure and a reason
``answer``         answers with a success at once
``reject``         refuses it (422) with a problem document
``silent``         takes it and never answers
``unavailable``    says 503, always
``flaky``          says 503 to the first ``times`` tries, then as ``succeed``
``hang``           does not answer the first try at all, then as ``succeed``
``progress``       takes it, sends heartbeats for ``seconds``, then calls back with success
``early``          calls back before it answers the request
``late``           takes it and calls back after ``seconds``
``twice``          takes it and sends the same callback twice
=================  ==============================================================================================
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import h11
import httpx
import trio

from connectord.network import SystemNetwork

SUCCESS: dict[str, Any] = {"status": "success", "data": {"done_by": "fake"}}
FAILURE: dict[str, Any] = {"status": "failure", "reason": "Vendor unknown", "data": {"checked": True}}


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """One request as the system got it."""

    path: str
    idempotency_key: str | None
    body: dict[str, Any]


@dataclass(slots=True)
class FakeSystem:
    """The system. :attr:`seen` has every action's request in order, :attr:`notices` what came to ``/notices``."""

    callback_delay_seconds: float = 0.05
    seen: list[SeenRequest] = field(default_factory=list)
    notices: list[dict[str, Any]] = field(default_factory=list)
    callback_answers: list[tuple[str, int]] = field(default_factory=list)
    port: int = 0
    _nursery: trio.Nursery | None = None
    _client: httpx.AsyncClient | None = None

    @property
    def url(self) -> str:
        """Where it takes actions."""
        return f"http://127.0.0.1:{self.port}/jobs"

    @asynccontextmanager
    async def serve(self, port: int = 0) -> AsyncIterator[FakeSystem]:
        """Listen on loopback until the block ends; 0 is any free port."""
        listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        # the daemon is killed in the middle of callbacks: our own transport leaves nothing behind then
        transport = SystemNetwork().http_transport(connect_timeout_seconds=5)
        client = httpx.AsyncClient(transport=transport, trust_env=False, timeout=10)
        async with client, trio.open_nursery() as nursery:
            self._client, self._nursery = client, nursery
            nursery.start_soon(trio.serve_listeners, self._welcome, listeners)
            yield self
            nursery.cancel_scope.cancel()
        self._client = self._nursery = None

    def keys_of(self, action_id: str) -> list[str | None]:
        """The idempotency keys of all requests for an action."""
        return [item.idempotency_key for item in self.seen if item.body["action"]["id"] == action_id]

    async def _welcome(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER)
        try:
            while await self._serve_one(stream, connection):
                connection.start_next_cycle()
        except (trio.BrokenResourceError, h11.ProtocolError):
            return
        finally:
            await stream.aclose()

    async def _serve_one(self, stream: trio.SocketStream, connection: h11.Connection) -> bool:
        request, body = None, b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive_some(65536))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        if request is None:
            return False
        headers = {name.decode(): value.decode() for name, value in request.headers}
        status, answer = await self._answer(request.target.decode(), headers, json.loads(body))
        content = b"" if answer is None else json.dumps(answer).encode()
        response = h11.Response(
            status_code=status,
            headers=[("Content-Type", "application/json"), ("Content-Length", str(len(content)))],
        )
        sent = connection.send(response) or b""
        sent += connection.send(h11.Data(data=content)) or b""
        sent += connection.send(h11.EndOfMessage()) or b""
        await stream.send_all(sent)
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE

    async def _answer(
        self, path: str, headers: dict[str, str], body: dict[str, Any]
    ) -> tuple[int, dict[str, Any] | None]:
        if path == "/notices":
            self.notices.append(body)
            return 204, None
        self.seen.append(SeenRequest(path, headers.get("idempotency-key"), body))
        action = body["action"]
        data = action["data"]
        tries = len(self.keys_of(action["id"]))
        url = body["callback_url"]
        match data.get("play", "succeed"):
            case "answer":
                return 200, SUCCESS
            case "reject":
                return 422, {"title": "Unprocessable", "detail": "the amount is missing"}
            case "unavailable":
                return 503, None
            case "flaky" if tries <= data.get("times", 1):
                return 503, None
            case "hang" if tries == 1:
                await trio.sleep_forever()
            case "silent":
                return 202, None
            case "fail":
                self._call_back(url, FAILURE)
            case "progress":
                self._call_back(url, SUCCESS, after=data.get("seconds", 1.0), heartbeats=True)
            case "early":
                await self._send(url, SUCCESS)
            case "late":
                self._call_back(url, SUCCESS, after=data.get("seconds", 1.0))
            case "twice":
                self._call_back(url, SUCCESS, times=2)
            case _:
                if url is not None:
                    self._call_back(url, SUCCESS)
        return 202, None

    def _call_back(
        self, url: str, document: dict[str, Any], *, after: float = 0.0, times: int = 1, heartbeats: bool = False
    ) -> None:
        async def later() -> None:
            pause = after or self.callback_delay_seconds
            if heartbeats:
                for percent in (25, 50, 75):
                    await trio.sleep(pause / 4)
                    await self._send(url, {"status": "progress", "text": "at work", "percent": percent})
                pause /= 4
            await trio.sleep(pause)
            for _ in range(times):
                await self._send(url, document)

        if self._nursery is not None:
            self._nursery.start_soon(later)

    async def _send(self, url: str, document: dict[str, Any]) -> None:
        # like a decent system, it tries again while connectord does not answer
        for _ in range(100):
            if self._client is None:
                return
            try:
                answer = await self._client.post(url, json=document)
            except httpx.TransportError:
                await trio.sleep(0.1)
                continue
            self.callback_answers.append((url, answer.status_code))
            if answer.status_code != 503:
                return
            await trio.sleep(0.1)
