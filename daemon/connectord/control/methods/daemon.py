"""The daemon itself: its systems, its status, its changes as a stream, its end."""

from __future__ import annotations

from collections.abc import Mapping

from connectord.control import params as p
from connectord.control import results as r
from connectord.control.methods.base import Call, Caller, MethodGroup, Notify
from connectord.control.views import event_view
from connectord.errors import NotFound, Overloaded


class DaemonMethods(MethodGroup):
    """The methods about the daemon as a whole."""

    def calls(self) -> Mapping[str, Call]:
        return {
            "systems": self._systems,
            "pause": self._pause,
            "resume": self._resume,
            "status": self._status,
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
        await self._services.pause(system, paused, caller.name)
        return next(view for view in self._services.systems_view() if view.name == system)

    async def _status(self, params: p.Nothing, caller: Caller, notify: Notify) -> r.Status:
        return self._services.status_view()

    async def _watch(self, params: p.Watch, caller: Caller, notify: Notify) -> None:
        wanted = params.filters or p.WatchFilters()
        with self._services.ledger.watchers.subscribe() as changes:
            async for row in changes:
                if (
                    wanted.id in (None, row.action_id)
                    and wanted.system in (None, row.system)
                    and wanted.case in (None, row.case_id)
                    and wanted.state in (None, row.to_state)
                ):
                    await notify("event", event_view(row))
        raise Overloaded("watch was too slow and is cut off; history has what it missed, watch again to go on")

    async def _shutdown(self, params: p.Shutdown, caller: Caller, notify: Notify) -> r.Stopping:
        self._services.request_stop(now=params.now)
        return r.Stopping(stopping=True)
