"""What case owners were told, and what they still have to be told (rules 5 and 9)."""

from __future__ import annotations

from collections.abc import Mapping

from connectord.control import params as p
from connectord.control import results as r
from connectord.control.methods.base import Call, Caller, MethodGroup, Notify
from connectord.control.notices import notification_view


class NotificationMethods(MethodGroup):
    """The methods about the outbox."""

    def calls(self) -> Mapping[str, Call]:
        return {"notifications": self._list, "notifications_retry": self._retry}

    async def _list(self, params: p.Notifications, caller: Caller, notify: Notify) -> r.NotificationPage:
        limit = params.limit
        records = await self._services.read(
            lambda store: store.notifications(
                undelivered=not params.all, owner=params.owner, before=params.after, limit=limit + 1
            )
        )
        return r.NotificationPage(
            notifications=[notification_view(record) for record in records[:limit]],
            next=records[limit - 1].seq if len(records) > limit else None,
            backlog=self._services.notification_backlog(),
        )

    async def _retry(self, params: p.Nothing, caller: Caller, notify: Notify) -> r.Hastened:
        return r.Hastened(count=await self._services.retry_notifications(caller))
