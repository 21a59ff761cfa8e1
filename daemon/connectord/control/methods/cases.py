"""Cases: their actions, their data, and which response set which field."""

from __future__ import annotations

from collections.abc import Mapping

from connectord.control import params as p
from connectord.control import results as r
from connectord.control.methods.base import Call, Caller, MethodGroup, Notify
from connectord.control.origins import merge_view
from connectord.control.views import case_view
from connectord.errors import NotFound


class CaseMethods(MethodGroup):
    """The methods about cases."""

    def calls(self) -> Mapping[str, Call]:
        return {"case": self._case, "case_merges": self._merges}

    async def _case(self, params: p.Case, caller: Caller, notify: Notify) -> r.Case:
        case = await self._services.read(lambda store: store.case(params.id, params.after, params.limit + 1))
        if case is None:
            raise NotFound(f"there is no case {params.id}")
        return case_view(case, self._services.limit_of, params.limit)

    async def _merges(self, params: p.CaseMerges, caller: Caller, notify: Notify) -> r.MergePage:
        limit = params.limit
        merges = await self._services.read(lambda store: store.case_merges(params.id, params.after, limit + 1))
        if merges is None:
            raise NotFound(f"there is no case {params.id}")
        return r.MergePage(
            merges=[merge_view(merge) for merge in merges[:limit]],
            next=merges[limit - 1].seq if len(merges) > limit else None,
        )
