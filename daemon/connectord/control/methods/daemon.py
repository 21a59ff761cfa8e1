"""The daemon itself: its systems, its status, its changes as a stream, its end."""

from __future__ import annotations

from collections.abc import Mapping

from connectord.control import params as p
from connectord.control import results as r
from connectord.control.methods.base import Call, Caller, MethodGroup, Notify
from connectord.control.verdict import with_verdict
from connectord.control.views import event_view
from connectord.errors import NotFound
from connectord.store.base import ChangeFilters, HistoryPage

TOLD_AT_ONCE = 64


class DaemonMethods(MethodGroup):
    """The methods about the daemon as a whole."""

    def calls(self) -> Mapping[str, Call]:
        return {
            "systems": self._systems,
            "pause": self._pause,
            "resume": self._resume,
            "status": self._status,
            "doctor": self._doctor,
            "watch": self._watch,
            "shutdown": self._shutdown,
        }

    async def _systems(self, params: p.Nothing, caller: Caller, notify: Notify) -> r.Systems:
        return r.Systems(systems=self._services.systems_view())

    async def _pause(self, params: p.System, caller: Caller, notify: Notify) -> r.System:
        return await self._set_paused(params.system, True, caller)

    async def _resume(self, params: p.System, caller: Caller, notify: Notify) -> r.System:
        return await self._set_paused(params.system, False, caller)

    async def _set_paused(self, system: str, paused: bool, caller: Caller) -> r.System:
        if self._services.limit_of(system) is None:
            raise NotFound(f"there is no system {system!r} in connectord.toml")
        await self._services.pause(system, paused, caller)
        for view in self._services.systems_view():
            if view.name == system:
                return view
        raise NotFound(f"a reload has removed the system {system!r} meanwhile")

    async def _status(self, params: p.Nothing, caller: Caller, notify: Notify) -> r.Status:
        status = self._services.status_view()
        systems = self._services.systems_view()
        glance = await self._services.read(lambda store: store.glance([system.name for system in systems]))
        return with_verdict(status, systems, glance, self._services.now_ms())

    async def _doctor(self, params: p.Doctor, caller: Caller, notify: Notify) -> r.Diagnosis:
        return await self._services.examine(caller, params.timeout_seconds)

    async def _watch(self, params: p.Watch, caller: Caller, notify: Notify) -> None:
        wanted = params.filters or p.WatchFilters()
        filters = ChangeFilters(wanted.id, wanted.system, wanted.case, wanted.state)

        async def read(after: int, upto: int, limit: int) -> HistoryPage:
            return await self._services.read(lambda store: store.history_page(filters, after, upto, limit))

        with self._services.ledger.watchers.subscribe(params.after, filters, read) as watcher:
            while True:
                rows = await watcher.next_rows()
                for first in range(0, len(rows), TOLD_AT_ONCE):
                    await notify("event", *map(event_view, rows[first : first + TOLD_AT_ONCE]))

    async def _shutdown(self, params: p.Shutdown, caller: Caller, notify: Notify) -> r.Stopping:
        self._services.stop_for(caller, now=params.now)
        return r.Stopping(stopping=True)
