"""The trio client's methods, one for each of the control socket.

Made from the control socket's own types by ``python -m connectord.client.generate``: do not edit.
"""

# ruff: noqa: A002 - the control socket's own names

from __future__ import annotations

import builtins
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from connectord.client.wire import given
from connectord.control import params as p
from connectord.control import results as r

T = TypeVar("T", bound=r.Result)


class TrioMethods(ABC):
    """Every method of the control socket, typed. What a call may raise stands at :mod:`connectord.errors`."""

    @abstractmethod
    async def _request(self, method: str, params: p.Params, result: type[T]) -> T: ...
    @abstractmethod
    def _stream(
        self, method: str, params: p.Params, event: type[T]
    ) -> AbstractAsyncContextManager[AsyncIterator[T]]: ...
    @abstractmethod
    def _pages(self, method: str, params: p.Params, page: type[T]) -> AsyncIterator[T]: ...

    async def submit(
        self,
        system: str,
        *,
        case: str | None = None,
        owner: str | None = None,
        key: str | None = None,
        data: dict[str, Any] | None = None,
        due_at: str | None = None,
        traceparent: str | None = None,
    ) -> r.Action:
        """Submit a new action; it is on disk when this returns. ``due_at`` is RFC 3339; without it the action is due
        now. With a ``key`` the call may be repeated: the same key gives the first action back (rule 17).
        ``traceparent`` names the trace that it is to belong to (W3C Trace Context).

        Needs the role operator.
        """
        return await self._request(
            "submit",
            p.Submit(system=system, case=case, owner=owner, key=key, data=data, due_at=due_at, traceparent=traceparent),
            r.Action,
        )

    async def submit_many(self, actions: builtins.list[p.Submit]) -> r.Actions:
        """Submit new actions: all of them or none, in one transaction.

        Needs the role operator.
        """
        return await self._request("submit_many", p.SubmitMany(actions=actions), r.Actions)

    async def list(
        self,
        *,
        state: r.StateName | None = None,
        system: str | None = None,
        case: str | None = None,
        reason: r.ReasonName | None = None,
        resolution: r.ResolutionName | None = None,
        since: str | None = None,
        queue: str | None = None,
        user: str | None = None,
        retrying: bool = False,
        after: str | None = None,
        limit: int = 50,
    ) -> r.ActionPage:
        """A page of actions, the newest first; ``after`` is the ``next`` of the page before.

        Needs the role viewer.
        """
        return await self._request(
            "list",
            p.List(
                state=state,
                system=system,
                case=case,
                reason=reason,
                resolution=resolution,
                since=since,
                queue=queue,
                user=user,
                retrying=retrying,
                after=after,
                limit=limit,
            ),
            r.ActionPage,
        )

    async def show(self, id: str) -> r.Action:
        """An action as it is now: its info card.

        Needs the role viewer.
        """
        return await self._request("show", p.ById(id=id), r.Action)

    async def why(self, id: str) -> r.Explanation:
        """Why an action is where it is: what it waits for, which rule decided, what comes next, what can be done.

        Needs the role viewer.
        """
        return await self._request("why", p.ById(id=id), r.Explanation)

    async def history(self, id: str) -> r.History:
        """Every change of an action's state, with who and why (rule 18).

        Needs the role viewer.
        """
        return await self._request("history", p.ById(id=id), r.History)

    async def attempts(self, id: str) -> r.Attempts:
        """Every try to hand an action over to its system.

        Needs the role viewer.
        """
        return await self._request("attempts", p.ById(id=id), r.Attempts)

    async def case(self, id: str, *, after: str | None = None, limit: int = 1000) -> r.Case:
        """A case: its owner, its merged data, its actions.

        Needs the role viewer.
        """
        return await self._request("case", p.Case(id=id, after=after, limit=limit), r.Case)

    async def case_merges(self, id: str, *, after: int = 0, limit: int = 100) -> r.MergePage:
        """Everything that was ever merged into a case's data, in order: what set it, when, and by what.

        Needs the role viewer.
        """
        return await self._request("case_merges", p.CaseMerges(id=id, after=after, limit=limit), r.MergePage)

    async def retry(self, id: str) -> r.Action:
        """Try a pending action again now; it counts as one of its tries (rule 8).

        Needs the role operator.
        """
        return await self._request("retry", p.ById(id=id), r.Action)

    async def take(self, id: str, user: str) -> r.Action:
        """Take a To Do action as ``user`` (rule 5).

        Needs the role operator.
        """
        return await self._request("take", p.Take(id=id, user=user), r.Action)

    async def release(self, id: str) -> r.Action:
        """Give an action that somebody has taken back to where it came from.

        Needs the role operator.
        """
        return await self._request("release", p.ById(id=id), r.Action)

    async def assign(self, id: str, *, queue: str | None = None, user: str | None = None) -> r.Action:
        """Hand a To Do action on: to a queue or to a user, one of the two.

        Needs the role operator.
        """
        return await self._request("assign", p.Assign(id=id, queue=queue, user=user), r.Action)

    async def complete(
        self,
        id: str,
        *,
        resolution: r.ResolutionName = "done_successfully",
        data: dict[str, Any] | None = None,
        note: str | None = None,
    ) -> r.Action:
        """Close a To Do action by hand, successfully or not (rule 5).

        Needs the role operator.
        """
        return await self._request("complete", p.Complete(id=id, resolution=resolution, data=data, note=note), r.Action)

    async def cancel(self, id: str, note: str) -> r.Action:
        """Close a pending or waiting action by hand, as not done successfully.

        Needs the role operator.
        """
        return await self._request("cancel", p.Cancel(id=id, note=note), r.Action)

    async def queues(self) -> r.Queues:
        """How much To Do work waits in every queue and for everybody, and since when.

        Needs the role viewer.
        """
        return await self._request("queues", p.Nothing(), r.Queues)

    async def rerun(
        self,
        *,
        ids: builtins.list[str] | None = None,
        system: str | None = None,
        case: str | None = None,
        reason: r.ReasonName | None = None,
        since: str | None = None,
        until: str | None = None,
        resolution: r.ResolutionName | None = None,
        dry_run: bool = False,
        expect: int | None = None,
    ) -> r.Rerun:
        """Make new actions from closed ones: those with these ``ids``, or those that the filters find (rule 16). With
        ``dry_run`` they are only counted.

        Needs the role operator.
        """
        return await self._request(
            "rerun",
            p.Rerun(
                ids=ids,
                filters=given(
                    p.RerunFilters(
                        system=system, case=case, reason=reason, since=since, until=until, resolution=resolution
                    )
                ),
                dry_run=dry_run,
                expect=expect,
            ),
            r.Rerun,
        )

    async def notifications(
        self,
        *,
        all: bool = False,
        owner: str | None = None,
        after: int | None = None,
        limit: int = 50,
    ) -> r.NotificationPage:
        """What case owners were not told yet, the newest first; with ``all`` also what they were told.

        Needs the role viewer.
        """
        return await self._request(
            "notifications", p.Notifications(all=all, owner=owner, after=after, limit=limit), r.NotificationPage
        )

    async def notifications_retry(self) -> r.Hastened:
        """Make everything that is not delivered yet due now, to the owners of today.

        Needs the role operator.
        """
        return await self._request("notifications_retry", p.Nothing(), r.Hastened)

    async def systems(self) -> r.Systems:
        """Every external system: how it is, and how much lies before it.

        Needs the role viewer.
        """
        return await self._request("systems", p.Nothing(), r.Systems)

    async def pause(self, system: str) -> r.System:
        """Stop sending to a system; what is under way ends.

        Needs the role admin.
        """
        return await self._request("pause", p.System(system=system), r.System)

    async def resume(self, system: str) -> r.System:
        """Go on sending to a paused system, or to one whose circuit is open.

        Needs the role admin.
        """
        return await self._request("resume", p.System(system=system), r.System)

    async def reload(self, *, plan: bool = False, to: int | None = None) -> r.Reload:
        """Apply connectord.toml, all of it or nothing. With ``plan`` it only says what that would do; ``to`` takes the
        text of an older version instead of the file.

        Needs the role admin.
        """
        return await self._request("reload", p.Reload(plan=plan, to=to), r.Reload)

    async def reload_effects(
        self,
        *,
        plan: bool = False,
        to: int | None = None,
        after: str | None = None,
        limit: int = 1000,
    ) -> r.EffectPage:
        """A page of the actions that the last reload concerned or, with ``plan``, that the next one would. ``after`` is
        the ``next`` of the page before. ``limit`` is how many live actions a page looks through.

        Needs the role admin.
        """
        return await self._request(
            "reload_effects", p.ReloadEffects(plan=plan, to=to, after=after, limit=limit), r.EffectPage
        )

    async def config_history(self, *, before: int | None = None, limit: int = 50) -> r.ConfigVersions:
        """The configurations that were in force, the newest first; with ``before`` those older than that version.

        Needs the role viewer.
        """
        return await self._request("config_history", p.ConfigHistory(before=before, limit=limit), r.ConfigVersions)

    async def config_show(self, *, version: int | None = None) -> r.ConfigText:
        """The text of one version; of the running one without ``version``.

        Needs the role admin.
        """
        return await self._request("config_show", p.ConfigShow(version=version), r.ConfigText)

    async def config_diff(self, a: int, b: int) -> r.ConfigDifference:
        """What has changed from version ``a`` to version ``b``.

        Needs the role admin.
        """
        return await self._request("config_diff", p.ConfigDiff(a=a, b=b), r.ConfigDifference)

    async def retention(self, *, plan: bool = False) -> r.Retention:
        """How long closed actions are kept, what that has removed, and what is due to go; with ``plan`` by what
        connectord.toml says now, as a reload would apply it.

        Needs the role viewer.
        """
        return await self._request("retention", p.Retention(plan=plan), r.Retention)

    async def status(self) -> r.Status:
        """The daemon as a whole.

        Needs the role viewer.
        """
        return await self._request("status", p.Nothing(), r.Status)

    async def doctor(self, *, timeout_seconds: float = 10.0) -> r.Diagnosis:
        """Examine the daemon and all that it needs: what is wrong, and what to do. Each check takes at most
        ``timeout_seconds``.

        Needs the role admin.
        """
        return await self._request("doctor", p.Doctor(timeout_seconds=timeout_seconds), r.Diagnosis)

    def watch(
        self,
        *,
        id: str | None = None,
        system: str | None = None,
        case: str | None = None,
        state: r.StateName | None = None,
        after: int | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[r.Event]]:
        """Follow every change that the filters let through: from now on, or everything after the number ``after``.

        Needs the role viewer.

        ``async with client.watch() as events: async for event in events: ...``: once inside, no change is missed. It is
        a connection of its own, and ends with DaemonUnreachable when the daemon stops. A reader that is too slow is cut
        off with TryAgain, whose ``resume_after`` is where to go on.
        """
        return self._stream(
            "watch",
            p.Watch(filters=given(p.WatchFilters(id=id, system=system, case=case, state=state)), after=after),
            r.Event,
        )

    async def shutdown(self, *, now: bool = False) -> r.Stopping:
        """Drain and stop the daemon; ``now`` does not wait for the attempts under way.

        Needs the role admin.
        """
        return await self._request("shutdown", p.Shutdown(now=now), r.Stopping)

    async def iter_actions(
        self,
        *,
        state: r.StateName | None = None,
        system: str | None = None,
        case: str | None = None,
        reason: r.ReasonName | None = None,
        resolution: r.ResolutionName | None = None,
        since: str | None = None,
        queue: str | None = None,
        user: str | None = None,
        retrying: bool = False,
        limit: int = 50,
    ) -> AsyncIterator[r.Action]:
        """Every one of the actions that ``list`` finds, page by page; ``limit`` is the size of a page."""
        async for page in self._pages(
            "list",
            p.List(
                state=state,
                system=system,
                case=case,
                reason=reason,
                resolution=resolution,
                since=since,
                queue=queue,
                user=user,
                retrying=retrying,
                limit=limit,
            ),
            r.ActionPage,
        ):
            for item in page.actions:
                yield item

    async def iter_case(self, id: str, *, limit: int = 1000) -> AsyncIterator[r.Action]:
        """Every one of the actions that ``case`` finds, page by page; ``limit`` is the size of a page."""
        async for page in self._pages("case", p.Case(id=id, limit=limit), r.Case):
            for item in page.actions:
                yield item

    async def iter_case_merges(self, id: str, *, limit: int = 100) -> AsyncIterator[r.Merge]:
        """Every one of the merges that ``case_merges`` finds, page by page; ``limit`` is the size of a page."""
        async for page in self._pages("case_merges", p.CaseMerges(id=id, limit=limit), r.MergePage):
            for item in page.merges:
                yield item

    async def iter_notifications(
        self,
        *,
        all: bool = False,
        owner: str | None = None,
        limit: int = 50,
    ) -> AsyncIterator[r.Notification]:
        """Every one of the notifications that ``notifications`` finds, page by page; ``limit`` is the size of a page.
        """
        async for page in self._pages(
            "notifications", p.Notifications(all=all, owner=owner, limit=limit), r.NotificationPage
        ):
            for item in page.notifications:
                yield item

    async def iter_reload_effects(
        self,
        *,
        plan: bool = False,
        to: int | None = None,
        limit: int = 1000,
    ) -> AsyncIterator[r.Effect]:
        """Every one of the effects that ``reload_effects`` finds, page by page; ``limit`` is the size of a page."""
        async for page in self._pages("reload_effects", p.ReloadEffects(plan=plan, to=to, limit=limit), r.EffectPage):
            for item in page.effects:
                yield item
