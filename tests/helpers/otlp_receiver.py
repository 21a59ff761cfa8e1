"""A receiver of OTLP over HTTP, which decodes spans with OpenTelemetry's own messages."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h11
import trio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class OtlpReceiver:
    """Takes spans at ``/v1/traces``, and answers as the test wants."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.requests: list[ExportTraceServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        self.answers: deque[tuple[int, bytes]] = deque()
        """What the next requests are answered with; then 200."""

    @property
    def spans(self) -> list[Span]:
        """Every span that was taken."""
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    async def until(self, count: int, seconds: float = 20.0) -> list[Span]:
        """Wait for so many spans."""
        with trio.fail_after(seconds):
            while len(self.spans) < count:
                await trio.sleep(0.05)
        return self.spans

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """Listen on loopback until the block ends."""
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(self.port, host="127.0.0.1")
            self.port = listener.socket.getsockname()[1]
            nursery.start_soon(trio.serve_listeners, self._serve, [listener])
            yield
            nursery.cancel_scope.cancel()

    async def _serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            connection = h11.Connection(h11.SERVER)
            while True:
                body, head = bytearray(), None
                while not isinstance(event := connection.next_event(), h11.EndOfMessage):
                    if event is h11.NEED_DATA:
                        try:
                            connection.receive_data(await stream.receive_some())
                        except trio.BrokenResourceError:
                            return
                    elif isinstance(event, h11.Request):
                        head = event
                    elif isinstance(event, h11.Data):
                        body += event.data
                    else:
                        return
                assert head is not None
                status, answer = self._take(head, bytes(body))
                response = h11.Response(status_code=status, headers=[("Content-Length", str(len(answer)))])
                for part in (response, h11.Data(data=answer), h11.EndOfMessage()):
                    await stream.send_all(connection.send(part) or b"")
                connection.start_next_cycle()

    def _take(self, head: h11.Request, body: bytes) -> tuple[int, bytes]:
        assert (head.method, head.target) == (b"POST", b"/v1/traces")
        if self.answers:
            status, answer = self.answers.popleft()
            if status != 200:
                return status, answer
        else:
            answer = ExportTraceServiceResponse().SerializeToString()
        self.headers.append({name.decode(): value.decode() for name, value in head.headers})
        self.requests.append(ExportTraceServiceRequest.FromString(body))
        return 200, answer
