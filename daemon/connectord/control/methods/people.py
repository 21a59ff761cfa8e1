"""To Do work: what a person does with an action that needs one (rule 5)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from connectord.config.tables import shown, suggestion
from connectord.control import params as p
from connectord.control import results as r
from connectord.control.methods.base import Call, Caller, MethodGroup, Notify
from connectord.control.queues import queues_view
from connectord.errors import InvalidRequest, NotFound
from connectord.lifecycle import events as on


class PeopleMethods(MethodGroup):
    """The methods of people at work."""

    def calls(self) -> Mapping[str, Call]:
        return {
            "take": self._take,
            "release": self._release,
            "assign": self._assign,
            "complete": self._complete,
            "cancel": self._cancel,
            "queues": self._queues,
        }

    async def _take(self, params: p.Take, caller: Caller, notify: Notify) -> r.Action:
        return await self._apply(params.id, on.Took(params.user), caller)

    async def _release(self, params: p.ById, caller: Caller, notify: Notify) -> r.Action:
        return await self._apply(params.id, on.Released(), caller)

    async def _assign(self, params: p.Assign, caller: Caller, notify: Notify) -> r.Action:
        if (params.queue is None) == (params.user is None):
            raise InvalidRequest("assign: give a queue or a user, one of the two")
        known = self._services.queues()
        if params.queue is not None and params.queue not in known:
            raise NotFound(_unknown_queue(params.queue, known))
        return await self._apply(params.id, on.Assigned(params.queue, params.user), caller)

    async def _complete(self, params: p.Complete, caller: Caller, notify: Notify) -> r.Action:
        self._check_depth(params.data)
        event = on.Completed(params.resolution == "done_successfully", params.data or {}, params.note)
        return await self._apply(params.id, event, caller, params.note)

    async def _cancel(self, params: p.Cancel, caller: Caller, notify: Notify) -> r.Action:
        return await self._apply(params.id, on.Cancelled(params.note), caller, params.note)

    async def _queues(self, params: p.Nothing, caller: Caller, notify: Notify) -> r.Queues:
        counts = await self._services.read(lambda store: store.people_counts())
        return queues_view(counts, self._services.queues(), self._services.now_ms())


def _unknown_queue(name: str, known: Collection[str]) -> str:
    title = "known queues"
    listed = f"{title}: {', '.join(known)}"
    near = suggestion(name, known, title)
    return f"there is no queue {shown(name)}; {listed if near == listed else f'{near} {listed}'}"
