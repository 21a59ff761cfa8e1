"""Traces in a running daemon: what is passed on, and the task that sends spans, as the configuration has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import trio

from connectord.adapters import Network
from connectord.config import TracingSettings
from connectord.ledger.watchers import ReadPage, Watchers
from connectord.lifecycle.action import Action
from connectord.store.base import Executor
from connectord.trace_context import attempt_traceparent
from connectord.tracing.tracer import POSITION_NAME, Read, Tracer


class TraceKeeper:
    """Starts and ends the :class:`Tracer`. Without ``[tracing]`` there is none; what submitters gave is passed on."""

    def __init__(
        self,
        settings: TracingSettings | None,
        *,
        watchers: Watchers,
        read_page: ReadPage,
        read: Read,
        executor: Executor,
        network: Network,
        directory: Path,
        mask: Callable[[str], str],
    ) -> None:
        self.tracer: Tracer | None = None
        self._settings = settings
        self._watchers = watchers
        self._read_page = read_page
        self._read = read
        self._executor = executor
        self._network = network
        self._directory = directory
        self._mask = mask
        self._nursery: trio.Nursery | None = None
        self._scope = trio.CancelScope()

    def start(self, nursery: trio.Nursery) -> None:
        """Send spans from now on, in a task of ``nursery``."""
        self._nursery = nursery
        self._begin()

    def reconfigure(self, settings: TracingSettings | None) -> None:
        """Go on with other settings, or not at all."""
        if settings != self._settings:
            self._settings = settings
            self._scope.cancel()
            self._begin()

    def traceparent(self, action: Action) -> str | None:
        """What the external system is told of an action's trace in the attempt under way."""
        settings = self._settings
        if settings is None:
            return action.traceparent
        return attempt_traceparent(action.id, action.traceparent, action.attempts, settings.sample)

    def _begin(self) -> None:
        self.tracer = None
        settings, nursery = self._settings, self._nursery
        if settings is None or nursery is None:
            # whoever turns traces on one day wants those from then on
            (self._directory / POSITION_NAME).unlink(missing_ok=True)
            return
        self.tracer = Tracer(
            settings,
            watchers=self._watchers,
            read_page=self._read_page,
            read=self._read,
            executor=self._executor,
            network=self._network,
            directory=self._directory,
            mask=self._mask,
        )
        self._scope = trio.CancelScope()
        nursery.start_soon(self._run, self.tracer, self._scope, name="traces")

    async def _run(self, tracer: Tracer, scope: trio.CancelScope) -> None:
        with scope:
            await tracer.run()
