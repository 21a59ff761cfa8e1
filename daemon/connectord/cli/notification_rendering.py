"""What connectorctl prints about notifications to case owners."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectord.cli.rendering import clean, table

_STATES = {"no_owner": "no owner"}
_NOTICES = {"attempts_exhausted": "the last try failed", "closed_by_hand": "closed unsuccessfully by hand"}


def notification_table(notifications: Sequence[Mapping[str, Any]]) -> str:
    """The table of ``notifications``."""
    rows = (
        (
            item.get("action"),
            item.get("case"),
            item.get("owner"),
            _NOTICES.get(str(item.get("notice")), item.get("notice")),
            item.get("at"),
            _STATES.get(str(item.get("state")), item.get("state")),
            item.get("tries"),
            item.get("next_try_at"),
            item.get("last_error"),
        )
        for item in notifications
    )
    return table(("ACTION", "CASE", "OWNER", "NOTICE", "SINCE", "STATE", "TRIES", "NEXT TRY", "LAST ERROR"), rows)


def notification_page(page: Mapping[str, Any]) -> str:
    """The notifications, under what is to be said about all of them."""
    notifications = page.get("notifications") or []
    head = backlog_text(page.get("backlog") or {})
    return f"{head}\n\n{notification_table(notifications)}" if notifications else head


def backlog_text(backlog: Mapping[str, Any]) -> str:
    """``3 not delivered, the oldest since ...``, and what is the matter with the channel."""
    count = backlog.get("undelivered")
    text = f"{clean(count)} not delivered, the oldest since {clean(backlog.get('since'))}" if count else "all delivered"
    channel = backlog.get("channel") or {}
    if channel.get("state") != "down":
        return f"{text} (by {clean(channel.get('via'))})"
    return (
        f"{text}\n{clean(channel.get('via'))} cannot be reached since {clean(channel.get('since'))}: "
        f"{clean(channel.get('last_error'))}; tried again at {clean(channel.get('next_try_at'))}"
    )
