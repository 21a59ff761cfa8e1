"""Sends spans of what was committed, in the order of the history, from where it was when it last ended.

The history on disk is its queue: nothing waits in memory, nothing is lost in a crash, and while the collector is away
it only falls behind. What was sent just before a crash may be sent again, with the same ids.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Protocol

import httpx
import structlog
import trio

from connectord.adapters import Network
from connectord.config import TracingSettings
from connectord.errors import NotInHistory, WatcherTooSlow
from connectord.ledger.watchers import ReadPage, Watchers
from connectord.store.base import ChangeFilters, Executor, HistoryRow, ReadStore
from connectord.trace_context import is_sampled
from connectord.tracing.spans import Span, TracedAction, spans_of

POSITION_NAME = "traces.position"
"""The file in the state directory that has the number of the last change of which the spans were sent."""

GATHER_SECONDS = 1.0
"""How long changes are gathered before their spans are sent, where nothing waits."""
FEW_ROWS = 64
"""So many changes are worth sending at once."""
ACTIONS_AT_ONCE = 32
SEND_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0

_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}

log = structlog.get_logger()


class Read(Protocol):
    """Asks the store, beside the writer."""

    async def __call__(self, question: Callable[[ReadStore], list[TracedAction]], /) -> list[TracedAction]: ...


class Tracer:
    """Sends the spans of one daemon to one collector."""

    def __init__(
        self,
        settings: TracingSettings,
        *,
        watchers: Watchers,
        read_page: ReadPage,
        read: Read,
        executor: Executor,
        network: Network,
        directory: Path,
        mask: Callable[[str], str],
    ) -> None:
        self.exported = 0
        """Spans that the collector took."""
        self.dropped = 0
        """Spans that it refused for good, and changes that were not kept any more when their turn came."""
        self.failures = 0
        """Exports that failed and were tried again."""
        self._settings = settings
        self._watchers = watchers
        self._read_page = read_page
        self._read = read
        self._executor = executor
        self._network = network
        self._file = directory / POSITION_NAME
        self._mask = mask
        self._position = watchers.newest

    @property
    def behind(self) -> int:
        """How many changes there are of which no spans were sent yet."""
        return self._watchers.newest - self._position

    async def run(self) -> None:
        """Send until cancelled."""
        # in a thread, for it takes long, and the daemon goes on meanwhile
        otlp = await trio.to_thread.run_sync(importlib.import_module, "connectord.tracing.otlp")
        self._position = await self._executor.run(load_position, self._file, self._position)
        # now, and not with the first spans: a crash before those must not lose them
        await self._executor.run(save_position, self._file, self._position)
        transport = self._network.http_transport(connect_timeout_seconds=SEND_SECONDS)
        async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=SEND_SECONDS) as client:
            while True:
                try:
                    await self._follow(otlp, client)
                except WatcherTooSlow:
                    continue  # from where it was, out of the history
                except NotInHistory as error:
                    missed = max(error.resume_after - self._position, 0)
                    self.dropped += missed
                    log.warning("traces lost", changes=missed, error=str(error))
                    self._position = error.resume_after

    async def _follow(self, otlp: ModuleType, client: httpx.AsyncClient) -> None:
        with self._watchers.subscribe(self._position, ChangeFilters(), self._read_page) as watcher:
            while True:
                rows = await watcher.next_rows()
                if len(rows) < FEW_ROWS and rows[-1].seq == self._watchers.newest:
                    await trio.sleep(GATHER_SECONDS)
                spans = await self._spans(rows)
                if spans:
                    await self._send(otlp, client, spans)
                self._position = rows[-1].seq
                await self._executor.run(save_position, self._file, self._position)

    async def _spans(self, rows: Sequence[HistoryRow]) -> list[Span]:
        """The spans that ended by ``rows``."""
        ids = list(dict.fromkeys(row.action_id for row in rows))
        ended_by = {row.seq for row in rows}
        spans: list[Span] = []
        # in pieces, for others want to read, too
        for start in range(0, len(ids), ACTIONS_AT_ONCE):
            for traced in await self._read(partial(_traced, ids=ids[start : start + ACTIONS_AT_ONCE])):
                action = traced.action
                if is_sampled(action.id, action.traceparent, self._settings.sample):
                    spans += [span for span in spans_of(traced) if span.seq in ended_by]
        return spans

    async def _send(self, otlp: ModuleType, client: httpx.AsyncClient, spans: Sequence[Span]) -> None:
        """Returns once the collector has taken the spans, or refused them for good."""
        settings = self._settings
        body = otlp.encode(spans, service_name=settings.service_name, mask=self._mask)
        headers = {**settings.headers, "Content-Type": "application/x-protobuf"}
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                with trio.fail_after(SEND_SECONDS):
                    answer = await client.post(settings.endpoint, content=body, headers=headers)
                words, again = f"HTTP {answer.status_code}", answer.status_code in _TRY_AGAIN
            except (httpx.HTTPError, trio.TooSlowError) as error:
                words, again = f"{type(error).__name__}: {error}", True
            else:
                if answer.is_success:
                    count, why = otlp.rejected(answer.content)
                    self._taken(len(spans) - count, count, why)
                    return
            if not again:
                self._taken(0, len(spans), words)
                return
            self.failures += 1
            log.warning("traces not taken", error=words, changes_behind=self.behind, pause_seconds=pause)
            await trio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _taken(self, taken: int, refused: int, why: str) -> None:
        self.exported += taken
        self.dropped += refused
        if refused:
            log.error("traces refused", spans=refused, error=why)


def _traced(store: ReadStore, ids: Sequence[str]) -> list[TracedAction]:
    found = []
    for action_id in ids:
        record = store.record(action_id)
        if record is not None:
            found.append(TracedAction(record.action, store.history(action_id), store.attempts(action_id)))
    return found


def load_position(file: Path, newest: int) -> int:
    """The number in ``file``; ``newest`` where there is none, or one that the history has not reached."""
    try:
        position = int(file.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return newest
    return position if 0 <= position <= newest else newest


def save_position(file: Path, position: int) -> None:
    """Keep the number. A disk that is full keeps an older one: then spans are sent twice after a restart."""
    fresh = file.with_suffix(".new")
    try:
        fresh.write_text(f"{position}\n", encoding="ascii")
        fresh.replace(file)
    except OSError as error:
        log.warning("traces: position not kept", error=str(error))
