"""The listener for Prometheus and probes: three pages, with the limits of the callback listener."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog
import trio
from structlog.typing import FilteringBoundLogger

from connectord.callbacks import Limits, answers, serve_http
from connectord.callbacks.answers import Answer, problem, unavailable
from connectord.callbacks.connection import HttpConnection
from connectord.callbacks.requests import Head
from connectord.errors import StoreError
from connectord.metrics.sources import Sources, hindrances, troubles

MOST_CONNECTIONS = 64

_WRONG_METHOD = problem(405, "a page is asked for with GET", {"Allow": "GET, HEAD"})
_NO_PAGE = problem(404, "the pages here are /metrics, /healthz and /readyz")
_TEXT = "text/plain; charset=utf-8"


@dataclass(slots=True)
class _Service:
    """What all connections of the listener share."""

    sources: Sources
    limits: Limits
    log: FilteringBoundLogger
    draining: bool = False
    read_until: float = float("inf")
    connections: set[HttpConnection[Any]] = field(default_factory=set)


async def serve_metrics(
    listeners: list[trio.SocketListener],
    sources: Sources,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer on ``listeners``, which it closes in the end, until it is cancelled."""
    # imported here, as nobody needs it who has no metrics; before the first scrape, as it takes its time
    import connectord.metrics.exposition  # noqa: F401

    log: FilteringBoundLogger = structlog.get_logger("connectord.metrics").bind(listener="metrics")
    service = _Service(sources, Limits(max_connections=MOST_CONNECTIONS, max_body_bytes=1024), log)
    await serve_http(listeners, service, partial(_Page, service=service), task_status=task_status)


class _Page(HttpConnection[_Service]):
    """Answers GET and HEAD for the three pages."""

    __slots__ = ()

    async def _answer(self, head: Head) -> Answer:
        # a body that nobody reads is thrown away at the end
        self._close = head.has_body or not head.keep_alive
        self._handle()
        answer = await self._page(head.method, head.path.partition(b"?")[0], head.headers)
        self._log(answer, None)
        return answer

    async def _page(self, method: bytes, path: bytes, headers: Mapping[str, str]) -> Answer:
        sources = self._service.sources
        if path not in (b"/metrics", b"/healthz", b"/readyz"):
            return _NO_PAGE
        if method not in (b"GET", b"HEAD"):
            return _WRONG_METHOD
        if path == b"/healthz":
            return _verdict(troubles(sources, trio.current_time()))
        if path == b"/readyz":
            return _verdict(hindrances(sources, trio.current_time()))
        from connectord.metrics.exposition import render

        try:
            body, kind = await render(sources, headers.get("accept", ""))
        except StoreError as error:
            return unavailable(str(error))
        except Exception:
            self._service.log.exception("metrics failed")
            return answers.INTERNAL
        return Answer(200, kind, body)

    def _log(self, answer: Answer, action_id: str | None) -> None:
        self._service.log.debug("page", status=answer.status, peer=self._peer, why=answer.why)


def _verdict(found: list[str]) -> Answer:
    if found:
        return Answer(503, _TEXT, f"no: {'; '.join(found)}\n".encode())
    return Answer(200, _TEXT, b"ok\n")
