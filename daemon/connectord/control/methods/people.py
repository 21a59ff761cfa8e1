"""To Do work: what a person does with an action that needs one (rule 5)."""

from __future__ import annotations

from collections.abc import Mapping

from connectord.control import params as p
from connectord.control import results as r
from connectord.control.methods.base import Call, Caller, MethodGroup, Notify
from connectord.errors import InvalidRequest
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
        }

    async def _take(self, params: p.Take, caller: Caller, notify: Notify) -> r.Action:
        return await self._apply(params.id, on.Took(params.user), caller)

    async def _release(self, params: p.ById, caller: Caller, notify: Notify) -> r.Action:
        return await self._apply(params.id, on.Released(), caller)

    async def _assign(self, params: p.Assign, caller: Caller, notify: Notify) -> r.Action:
        if (params.queue is None) == (params.user is None):
            raise InvalidRequest("assign: give a queue or a user, one of the two")
        return await self._apply(params.id, on.Assigned(params.queue, params.user), caller)

    async def _complete(self, params: p.Complete, caller: Caller, notify: Notify) -> r.Action:
        event = on.Completed(params.resolution == "done_successfully", params.data or {}, params.note)
        return await self._apply(params.id, event, caller, params.note)

    async def _cancel(self, params: p.Cancel, caller: Caller, notify: Notify) -> r.Action:
        return await self._apply(params.id, on.Cancelled(params.note), caller, params.note)
