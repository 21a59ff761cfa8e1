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

With ``answer`` it plays another API than connectord's own. What goes wrong is scripted, request by request::

    system = FakeSystem(answer=lambda request: Answer.of_json({"job": "J-1"}, 202))
    async with system.serve():
        system.script(Unavailable(), None, Hang())  # 503, then all is well, then never an answer
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import h11
import httpx
import trio

from connectord.network import SystemNetwork
from connectord.testing.faults import Exchange, Fault
from connectord.testing.messages import Answer, Request
from connectord.testing.ports import held_port

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
    """The system. :attr:`requests` has every request in order, with those that went wrong; :attr:`seen` every action in
    connectord's own format, :attr:`notices` what came to ``/notices``.

    ``answer`` is what it says to a request when all is well; without it, the action's data says what it plays.
    """

    callback_delay_seconds: float = 0.05
    answer: Callable[[Request], Answer] | None = None
    requests: list[Request] = field(default_factory=list)
    seen: list[SeenRequest] = field(default_factory=list)
    notices: list[dict[str, Any]] = field(default_factory=list)
    callback_answers: list[tuple[str, int]] = field(default_factory=list)
    most_bytes_sent: int = 0
    """How many bytes of one spoiled answer the other side took at most."""
    port: int = 0
    _keys: defaultdict[str, list[str | None]] = field(default_factory=lambda: defaultdict(list))
    _scripted: deque[Fault | None] = field(default_factory=deque)
    _always: Fault | None = None
    _held: tuple[int, trio.Event] | None = None
    _under_way: int = 0
    _streams: set[trio.SocketStream] = field(default_factory=set)
    _listeners: list[trio.SocketListener] = field(default_factory=list)
    _nursery: trio.Nursery | None = None
    _client: httpx.AsyncClient | None = None

    @property
    def url(self) -> str:
        """Where it takes actions."""
        return f"{self.base_url}/jobs"

    @property
    def base_url(self) -> str:
        """Its address without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def nursery(self) -> trio.Nursery | None:
        """Where its own tasks run, None while it does not serve."""
        return self._nursery

    @asynccontextmanager
    async def serve(self, port: int = 0) -> AsyncIterator[FakeSystem]:
        """Listen on loopback until the block ends; 0 is any free port."""
        async with trio.open_nursery() as nursery:
            if self.answer is None:
                # the daemon is killed in the middle of callbacks: our own transport leaves nothing behind then
                transport = SystemNetwork().http_transport(connect_timeout_seconds=5)
                self._client = httpx.AsyncClient(transport=transport, trust_env=False, timeout=10)
            self._nursery = nursery
            try:
                await self._listen(port)
                yield self
            finally:
                nursery.cancel_scope.cancel()
                client, self._client, self._nursery = self._client, None, None
                if client is not None:
                    with trio.CancelScope(shield=True):
                        await client.aclose()

    def script(self, *faults: Fault | None) -> None:
        """What goes wrong with the next requests, one after the other; None: nothing."""
        self._scripted.extend(faults)

    def always(self, fault: Fault | None) -> None:
        """What goes wrong with every request after those in the script; None: nothing."""
        self._always = fault

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        """Refuse connections, and cut those that there are, until the block ends."""
        for listener in self._listeners:
            await listener.aclose()
        for stream in list(self._streams):
            await trio.aclose_forcefully(stream)
        with held_port(self.port):
            yield
        await self._listen(self.port)

    @contextmanager
    def holding(self, count: int) -> Iterator[None]:
        """Answer nothing before ``count`` requests are under way at once, until the block ends."""
        event = trio.Event()
        self._held = count, event
        try:
            yield
        finally:
            self._held = None
            event.set()

    def filenos(self) -> frozenset[int]:
        """The file descriptors that are its own."""
        mine = [*(stream.socket for stream in self._streams), *(listener.socket for listener in self._listeners)]
        return frozenset(each.fileno() for each in mine)

    def keys_of(self, action_id: str) -> list[str | None]:
        """The idempotency keys of all requests for an action."""
        return list(self._keys.get(action_id, ()))

    def tries(self) -> dict[str, int]:
        """How many requests it got for every action."""
        return {action_id: len(keys) for action_id, keys in self._keys.items()}

    async def _listen(self, port: int) -> None:
        if self._nursery is None:
            raise RuntimeError("the system does not serve")
        self._listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
        self.port = self._listeners[0].socket.getsockname()[1]
        self._nursery.start_soon(self._serve_listeners, self._listeners)

    async def _serve_listeners(self, listeners: list[trio.SocketListener]) -> None:
        try:
            await trio.serve_listeners(self._welcome, listeners)
        except* trio.ClosedResourceError:
            pass  # it refuses connections

    async def _welcome(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER)
        self._streams.add(stream)
        try:
            while await self._serve_one(stream, connection):
                connection.start_next_cycle()
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.ProtocolError):
            return
        finally:
            self._streams.discard(stream)
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)

    async def _serve_one(self, stream: trio.SocketStream, connection: h11.Connection) -> bool:
        try:
            request = await _receive(stream, connection)
        except h11.RemoteProtocolError:
            await self._spoil(stream, None)
            return False
        if request is None:
            return False
        self.requests.append(request)
        self._under_way += 1
        try:
            await self._wait_for_others()
            if await self._spoil(stream, request):
                return False
            answer = await self._respond(request)
        finally:
            self._under_way -= 1
        await stream.send_all(answer.encode())
        # what was sent by hand is told to the parser, which keeps the connection's state
        connection.send(h11.Response(status_code=answer.status, headers=[("Content-Length", "0")]))
        connection.send(h11.EndOfMessage())
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE

    async def _wait_for_others(self) -> None:
        if self._held is not None:
            count, event = self._held
            if self._under_way >= count:
                event.set()
            await event.wait()

    async def _spoil(self, stream: trio.SocketStream, request: Request | None) -> bool:
        """Whether something went wrong with it on purpose."""
        fault = self._scripted.popleft() if self._scripted else self._always
        if fault is None:
            return False

        async def good_answer() -> Answer:
            return Answer() if request is None else await self._respond(request)

        exchange = Exchange(stream, request, good_answer)
        try:
            await fault.play(exchange)
        finally:
            self.most_bytes_sent = max(self.most_bytes_sent, exchange.sent_bytes)
        return True

    async def _respond(self, request: Request) -> Answer:
        if self.answer is not None:
            return self.answer(request)
        if request.method == "HEAD":
            # somebody looks whether there is anybody: connectorctl doctor
            return Answer(405)
        status, document = await self._answer(request.target, dict(request.headers), request.json())
        return Answer.of_json(document, status) if document is not None else Answer(status)

    async def _answer(
        self, path: str, headers: dict[str, str], body: dict[str, Any]
    ) -> tuple[int, dict[str, Any] | None]:
        if path == "/notices":
            self.notices.append(body)
            return 204, None
        self.seen.append(SeenRequest(path, headers.get("idempotency-key"), body))
        action = body["action"]
        data = action["data"]
        keys = self._keys[action["id"]]
        keys.append(headers.get("idempotency-key"))
        tries = len(keys)
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


async def _receive(stream: trio.SocketStream, connection: h11.Connection) -> Request | None:
    """The next request; None where the peer is gone. Raises :class:`h11.RemoteProtocolError` where it is no HTTP."""
    head, body = None, b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(bytes(await stream.receive_some(65536)))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
            return Request(head.method.decode(), head.target.decode(), headers, body)
        else:
            return None
