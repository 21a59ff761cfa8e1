"""Running closed actions again (rule 16): by id, or all that filters find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connectord.control import params as p
from connectord.control import results as r
from connectord.control.methods.base import Call, Caller, MethodGroup, Notify
from connectord.errors import InvalidRequest, NotFound, Overloaded, Refused, StoreFull
from connectord.lifecycle.action import Action, State
from connectord.store.base import Filters, Selection
from connectord.times import parse_rfc3339

RERUN_LIMIT = 10_000
SLICE = 100
"""How many are made in one transaction, so that the attempts under way do not wait long behind it."""


class RerunMethods(MethodGroup):
    """The method ``rerun``."""

    def calls(self) -> Mapping[str, Call]:
        return {"rerun": self._rerun}

    async def _rerun(self, params: p.Rerun, caller: Caller, notify: Notify) -> r.Rerun:
        if (params.ids is None) == (params.filters is None):
            raise InvalidRequest("rerun: give ids or filters, one of the two")
        if params.ids is not None:
            chosen = await self._named(params.ids)
        else:
            chosen = await self._selected(params.filters or p.RerunFilters())
        if params.expect is not None and params.expect != chosen.count:
            raise Refused(
                None,
                f"{params.expect} actions were expected, but it is {chosen.count} now; nothing was run again. Count "
                "them anew, and decide",
            )
        if params.dry_run:
            return r.Rerun(count=chosen.count, left_out=chosen.left_out, actions=[])
        made = await self._run_again(chosen.ids, caller, once=params.ids is None)
        left_out = chosen.left_out + chosen.count - len(made)
        return r.Rerun(count=len(made), left_out=left_out, actions=await self._views([action.id for action in made]))

    async def _named(self, ids: Sequence[str]) -> Selection:
        """Actions that a person named: each must be closed, so that none is run again where one cannot be."""
        ids = list(dict.fromkeys(ids))
        states = await self._services.read(lambda store: [store.state_of(action_id) for action_id in ids])
        for action_id, state in zip(ids, states, strict=True):
            if state is None:
                raise NotFound(f"there is no action {action_id}")
            if state != State.CLOSED:
                raise Refused(state, f"action {action_id} is not closed; only a closed one can be run again")
        return Selection(ids, len(ids), 0)

    async def _selected(self, chosen: p.RerunFilters) -> Selection:
        filters = Filters(
            system=chosen.system,
            case_id=chosen.case,
            reason=chosen.reason,
            resolution=chosen.resolution,
            since=None if chosen.since is None else parse_rfc3339(chosen.since, "since"),
            until=None if chosen.until is None else parse_rfc3339(chosen.until, "until"),
        )
        found = await self._services.read_at_length(lambda store: store.rerun_selection(filters, RERUN_LIMIT))
        if found.count > RERUN_LIMIT:
            raise Refused(
                None,
                f"{found.count} actions are too many to run again at once; at most {RERUN_LIMIT} can be. Narrow the "
                "selection with since and until, or with system",
            )
        return found

    async def _run_again(self, ids: Sequence[str], caller: Caller, *, once: bool) -> list[Action]:
        # each slice is made whole or not at all
        ledger = self._services.ledger
        made: list[Action] = []
        for start in range(0, len(ids), SLICE):
            piece = ids[start : start + SLICE]
            try:
                made += await ledger.rerun_for(caller, piece, once=once, at_once=start == 0)
            except (StoreFull, Overloaded) as error:
                if start == 0:
                    raise
                raise StoreFull(
                    f"{len(made)} of {len(ids)} were run again; {ids[start]} and those after it were not: {error}"
                ) from error
        return made
