"""Submitting actions, looking at them, trying them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connectord.control import params as p
from connectord.control import results as r
from connectord.control.methods.base import Call, Caller, MethodGroup, Notify
from connectord.control.views import (
    NewActionViews,
    action_view,
    attempt_view,
    explanation_view,
    history_view,
    with_circuit,
)
from connectord.errors import InvalidRequest, NotFound, Refused
from connectord.ledger.submission import Submission
from connectord.lifecycle import events as on
from connectord.lifecycle.action import State
from connectord.store.base import Filters
from connectord.times import parse_rfc3339
from connectord.trace_context import parse_traceparent


class ActionMethods(MethodGroup):
    """The methods about actions."""

    def calls(self) -> Mapping[str, Call]:
        return {
            "submit": self._submit,
            "submit_many": self._submit_many,
            "list": self._list,
            "show": self._show,
            "why": self._why,
            "history": self._history,
            "attempts": self._attempts,
            "retry": self._retry,
        }

    async def _submit(self, params: p.Submit, caller: Caller, notify: Notify) -> r.Action:
        return (await self._submit_all([params], caller))[0]

    async def _submit_many(self, params: p.SubmitMany, caller: Caller, notify: Notify) -> r.Actions:
        return r.Actions(actions=await self._submit_all(params.actions, caller))

    async def _submit_all(self, items: Sequence[p.Submit], caller: Caller) -> list[r.Action]:
        submissions = []
        for item in items:
            self._check_depth(item.data)
            if self._services.limit_of(item.system) is None:
                names = ", ".join(view.name for view in self._services.systems_view()) or "none"
                raise NotFound(f"there is no system {item.system!r} in connectord.toml; configured are: {names}")
            due_at = None if item.due_at is None else parse_rfc3339(item.due_at, "due_at")
            submissions.append(
                Submission(
                    item.system,
                    item.case,
                    item.owner,
                    item.key,
                    item.data or {},
                    due_at,
                    traceparent=_checked_traceparent(item.traceparent),
                )
            )
        actions = await self._services.ledger.submit_for(caller, submissions)
        # under a key it may be the first action, of long ago; any other is as it was just committed
        known = iter(await self._views([a.id for a, item in zip(actions, items, strict=True) if item.key is not None]))
        new = NewActionViews(self._services.limit_of)
        return [
            new.of(action, item.data or {}) if item.key is None else next(known)
            for action, item in zip(actions, items, strict=True)
        ]

    async def _list(self, params: p.List, caller: Caller, notify: Notify) -> r.ActionPage:
        since = None if params.since is None else parse_rfc3339(params.since, "since")
        about_people = params.queue is not None or params.user is not None
        if about_people and params.state not in (None, State.TODO, State.IN_PROGRESS):
            raise InvalidRequest(
                "list: 'queue' and 'user' find To Do and In Progress actions only; "
                f"leave out state {params.state!r}, or make it 'todo' or 'in_progress'"
            )
        filters = Filters(
            state=params.state,
            system=params.system,
            case_id=params.case,
            reason=params.reason,
            resolution=params.resolution,
            since=since,
            queue=params.queue,
            user=params.user,
            retrying=params.retrying,
        )
        limit = params.limit
        records = await self._services.read(lambda store: store.list_records(filters, params.after, limit + 1))
        page = records[:limit]
        return r.ActionPage(
            actions=[action_view(record, self._services.limit_of) for record in page],
            next=page[-1].action.id if len(records) > limit else None,
        )

    async def _show(self, params: p.ById, caller: Caller, notify: Notify) -> r.Action:
        view = (await self._views([params.id]))[0]
        return with_circuit(view, self._services.present(view.system))

    async def _why(self, params: p.ById, caller: Caller, notify: Notify) -> r.Explanation:
        story = await self._services.read(lambda store: store.story(params.id))
        if story is None:
            raise NotFound(f"there is no action {params.id}")
        return explanation_view(story, self._services.present(story.action.system))

    async def _history(self, params: p.ById, caller: Caller, notify: Notify) -> r.History:
        rows = await self._services.read(lambda store: store.history(params.id))
        if not rows:
            # every action has a history from its submission on
            raise NotFound(f"there is no action {params.id}")
        return r.History(history=[history_view(row) for row in rows])

    async def _attempts(self, params: p.ById, caller: Caller, notify: Notify) -> r.Attempts:
        rows = await self._services.read(lambda store: store.attempts(params.id))
        if not rows:
            await self._must_exist(params.id)
        return r.Attempts(attempts=[attempt_view(row) for row in rows])

    async def _must_exist(self, action_id: str) -> None:
        if await self._services.read(lambda store: store.system_of(action_id)) is None:
            raise NotFound(f"there is no action {action_id}")

    async def _retry(self, params: p.ById, caller: Caller, notify: Notify) -> r.Action:
        record = await self._services.read(lambda store: store.record(params.id))
        if record is not None and record.action.state is State.PENDING:
            system = record.action.system
            if self._services.limit_of(system) is None:
                raise Refused("pending", f"the system {system} is not configured any more; its actions are held")
            if self._services.is_paused(system):
                raise Refused("pending", f"the system {system} is paused; connectorctl resume {system} lets it go on")
        return await self._apply(params.id, on.RetryRequested(), caller)


def _checked_traceparent(text: str | None) -> str | None:
    if text is not None:
        try:
            parse_traceparent(text)
        except ValueError as error:
            raise InvalidRequest(f"submit: traceparent {error}") from error
    return text
