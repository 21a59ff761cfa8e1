"""The control socket's methods: each one's parameters, the role it needs, and what it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar, cast

import msgspec

from connectord.control import params as p
from connectord.control.peers import Role
from connectord.control.protocol import unknown_method
from connectord.control.schemas import METHODS
from connectord.control.views import action_view, attempt_view, case_view, history_view
from connectord.errors import InvalidRequest, NotAllowed, NotFound, Overloaded, Refused
from connectord.ledger.ledger import Ledger
from connectord.ledger.operations import Rerun
from connectord.ledger.submission import Submission
from connectord.lifecycle import events as on
from connectord.lifecycle.action import State
from connectord.store.base import Filters, ReadStore
from connectord.times import parse_rfc3339

T = TypeVar("T")
Notify: TypeAlias = Callable[[str, dict[str, Any]], Awaitable[None]]

RERUN_LIMIT = 10_000
CASE_ACTIONS_SHOWN = 1000


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is at the other end of the control socket."""

    name: str
    role: Role


class Services(Protocol):
    """What the methods need of the daemon."""

    @property
    def ledger(self) -> Ledger: ...
    async def read(self, question: Callable[[ReadStore], T]) -> T: ...
    def limit_of(self, system: str) -> int | None: ...
    def is_paused(self, system: str) -> bool: ...
    def systems_view(self) -> list[dict[str, Any]]: ...
    def status_view(self) -> dict[str, Any]: ...
    async def pause(self, system: str, paused: bool, who: str) -> None: ...
    async def reload(self, *, plan: bool, who: str) -> dict[str, Any]: ...
    def request_stop(self, *, now: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class Method:
    """One method: who may call it, what it does. What it takes stands in :mod:`connectord.control.schemas`."""

    role: Role
    call: Callable[[Any, Caller, Notify], Awaitable[Any]]


class Methods:
    """Dispatches a request to its method, after checking the caller's role and the parameters."""

    def __init__(self, services: Services) -> None:
        self._services = services
        viewer, operator, admin = Role.VIEWER, Role.OPERATOR, Role.ADMIN
        self.table: dict[str, Method] = {
            "submit": Method(operator, self._submit),
            "submit_many": Method(operator, self._submit_many),
            "list": Method(viewer, self._list),
            "show": Method(viewer, self._show),
            "history": Method(viewer, self._history),
            "attempts": Method(viewer, self._attempts),
            "case": Method(viewer, self._case),
            "retry": Method(operator, self._retry),
            "take": Method(operator, self._take),
            "release": Method(operator, self._release),
            "assign": Method(operator, self._assign),
            "complete": Method(operator, self._complete),
            "cancel": Method(operator, self._cancel),
            "rerun": Method(operator, self._rerun),
            "systems": Method(viewer, self._systems),
            "pause": Method(admin, self._pause),
            "resume": Method(admin, self._resume),
            "reload": Method(admin, self._reload),
            "status": Method(viewer, self._status),
            "watch": Method(viewer, self._watch),
            "shutdown": Method(admin, self._shutdown),
        }

    async def dispatch(self, caller: Caller, name: str, params: dict[str, Any], notify: Notify) -> Any:
        """Call the method ``name``. Raises the :class:`connectord.errors.RequestError` that says what is wrong."""
        method = self.table.get(name)
        if method is None:
            raise unknown_method(name, self.table)
        if caller.role < method.role:
            raise NotAllowed(
                f"{name} needs the role {method.role.name.lower()}; {caller.name} is {caller.role.name.lower()}"
            )
        try:
            checked = msgspec.convert(params, METHODS[name])
        except msgspec.ValidationError as error:
            raise InvalidRequest(f"{name}: {error}") from error
        return await method.call(checked, caller, notify)

    # -- submitting and looking

    async def _submit(self, params: p.Submit, caller: Caller, notify: Notify) -> Any:
        return (await self._submit_all([params], caller))[0]

    async def _submit_many(self, params: p.SubmitMany, caller: Caller, notify: Notify) -> Any:
        return {"actions": await self._submit_all(params.actions, caller)}

    async def _submit_all(self, items: Sequence[p.Submit], caller: Caller) -> list[dict[str, Any]]:
        submissions = []
        for item in items:
            if self._services.limit_of(item.system) is None:
                names = ", ".join(view["name"] for view in self._services.systems_view()) or "none"
                raise NotFound(f"there is no system {item.system!r} in connectord.toml; configured are: {names}")
            due_at = None if item.due_at is None else parse_rfc3339(item.due_at, "due_at")
            submissions.append(Submission(item.system, item.case, item.owner, item.key, item.data or {}, due_at))
        actions = await self._services.ledger.submit(submissions, caller.name)
        return await self._views([action.id for action in actions])

    async def _list(self, params: p.List, caller: Caller, notify: Notify) -> Any:
        since = None if params.since is None else parse_rfc3339(params.since, "since")
        filters = Filters(params.state, params.system, params.case, params.reason, params.resolution, since)
        limit = params.limit
        records = await self._services.read(lambda store: store.list_records(filters, params.after, limit + 1))
        page = records[:limit]
        return {
            "actions": [action_view(record, self._services.limit_of) for record in page],
            "next": page[-1].action.id if len(records) > limit else None,
        }

    async def _show(self, params: p.ById, caller: Caller, notify: Notify) -> Any:
        return (await self._views([params.id]))[0]

    async def _views(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        records = await self._services.read(lambda store: [store.record(action_id) for action_id in ids])
        views = []
        for action_id, record in zip(ids, records, strict=True):
            if record is None:
                raise NotFound(f"there is no action {action_id}")
            views.append(action_view(record, self._services.limit_of))
        return views

    async def _history(self, params: p.ById, caller: Caller, notify: Notify) -> Any:
        await self._show(params, caller, notify)
        rows = await self._services.read(lambda store: store.history(params.id))
        return {"history": [history_view(row) for row in rows]}

    async def _attempts(self, params: p.ById, caller: Caller, notify: Notify) -> Any:
        await self._show(params, caller, notify)
        rows = await self._services.read(lambda store: store.attempts(params.id))
        return {"attempts": [attempt_view(row) for row in rows]}

    async def _case(self, params: p.ById, caller: Caller, notify: Notify) -> Any:
        case = await self._services.read(lambda store: store.case(params.id, CASE_ACTIONS_SHOWN))
        if case is None:
            raise NotFound(f"there is no case {params.id}")
        return case_view(case, self._services.limit_of)

    # -- what people do

    async def _apply(self, action_id: str, event: on.Event, caller: Caller, note: str | None = None) -> Any:
        await self._services.ledger.apply(action_id, event, caller.name, note)
        return (await self._views([action_id]))[0]

    async def _retry(self, params: p.ById, caller: Caller, notify: Notify) -> Any:
        record = await self._services.read(lambda store: store.record(params.id))
        if record is not None and record.action.state is State.PENDING:
            system = record.action.system
            if self._services.limit_of(system) is None:
                raise Refused("pending", f"the system {system} is not configured any more; its actions are held")
            if self._services.is_paused(system):
                raise Refused("pending", f"the system {system} is paused; connectorctl resume {system} lets it go on")
        return await self._apply(params.id, on.RetryRequested(), caller)

    async def _take(self, params: p.Take, caller: Caller, notify: Notify) -> Any:
        return await self._apply(params.id, on.Took(params.user), caller)

    async def _release(self, params: p.ById, caller: Caller, notify: Notify) -> Any:
        return await self._apply(params.id, on.Released(), caller)

    async def _assign(self, params: p.Assign, caller: Caller, notify: Notify) -> Any:
        if (params.queue is None) == (params.user is None):
            raise InvalidRequest("assign: give a queue or a user, one of the two")
        return await self._apply(params.id, on.Assigned(params.queue, params.user), caller)

    async def _complete(self, params: p.Complete, caller: Caller, notify: Notify) -> Any:
        event = on.Completed(params.resolution == "done_successfully", params.data or {}, params.note)
        return await self._apply(params.id, event, caller, params.note)

    async def _cancel(self, params: p.Cancel, caller: Caller, notify: Notify) -> Any:
        return await self._apply(params.id, on.Cancelled(params.note), caller, params.note)

    async def _rerun(self, params: p.Rerun, caller: Caller, notify: Notify) -> Any:
        if (params.ids is None) == (params.filters is None):
            raise InvalidRequest("rerun: give ids or filters, one of the two")
        if params.ids is not None:
            ids: Sequence[str] = params.ids
        else:
            chosen = params.filters or p.RerunFilters()
            since = None if chosen.since is None else parse_rfc3339(chosen.since, "since")
            filters = Filters(system=chosen.system, resolution=chosen.resolution, since=since)
            ids = await self._services.read(lambda store: store.closed_ids(filters, RERUN_LIMIT))
        if params.dry_run:
            return {"count": len(ids)}
        actions = cast("list[Any]", await self._services.ledger.perform_at_once(Rerun(ids, caller.name))) if ids else []
        return {"actions": await self._views([action.id for action in actions])}

    # -- the daemon

    async def _systems(self, params: p.Nothing, caller: Caller, notify: Notify) -> Any:
        return {"systems": self._services.systems_view()}

    async def _pause(self, params: p.System, caller: Caller, notify: Notify) -> Any:
        return await self._set_paused(params.system, True, caller)

    async def _resume(self, params: p.System, caller: Caller, notify: Notify) -> Any:
        return await self._set_paused(params.system, False, caller)

    async def _set_paused(self, system: str, paused: bool, caller: Caller) -> Any:
        if self._services.limit_of(system) is None:
            raise NotFound(f"there is no system {system!r} in connectord.toml")
        await self._services.pause(system, paused, caller.name)
        return next(view for view in self._services.systems_view() if view["name"] == system)

    async def _reload(self, params: p.Reload, caller: Caller, notify: Notify) -> Any:
        return await self._services.reload(plan=params.plan, who=caller.name)

    async def _status(self, params: p.Nothing, caller: Caller, notify: Notify) -> Any:
        return self._services.status_view()

    async def _watch(self, params: p.Watch, caller: Caller, notify: Notify) -> Any:
        wanted = params.filters or p.WatchFilters()
        with self._services.ledger.watchers.subscribe() as changes:
            async for row in changes:
                if (
                    wanted.id in (None, row.action_id)
                    and wanted.system in (None, row.system)
                    and wanted.case in (None, row.case_id)
                    and wanted.state in (None, row.to_state)
                ):
                    await notify("event", {**history_view(row), "system": row.system, "case": row.case_id})
        raise Overloaded("watch was too slow and is cut off; history has what it missed, watch again to go on")

    async def _shutdown(self, params: p.Shutdown, caller: Caller, notify: Notify) -> Any:
        self._services.request_stop(now=params.now)
        return {"stopping": True}
