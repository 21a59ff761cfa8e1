"""What case owners are told, and by which way."""

from __future__ import annotations

from typing import Literal

from connectord.control.results.base import Result, Time


class Notification(Result, frozen=True, kw_only=True):
    """What a case owner is told (rules 5 and 9), and what became of it.

    ``waiting``: it is tried again at ``next_try_at``, though not before the channel itself is. ``undeliverable``: it
    cannot be delivered as it is, ``last_error`` says why; it waits for ``notifications_retry``. ``no_owner``: there is
    nobody to tell.
    """

    seq: int
    action: str
    case: str | None
    owner: str | None
    notice: str
    at: Time
    text: str
    state: Literal["waiting", "undeliverable", "delivered", "no_owner"]
    tries: int
    next_try_at: Time | None
    delivered_at: Time | None
    last_error: str | None


class Channel(Result, frozen=True, kw_only=True):
    """How case owners are reached, and whether they can be. While it is down, it is tried at ``next_try_at``."""

    via: str
    """log, command, webhook or smtp, or the name of a notifier that a plugin brought"""
    state: Literal["up", "down"]
    last_error: str | None
    since: Time | None
    next_try_at: Time | None


class NotificationBacklog(Result, frozen=True, kw_only=True):
    """How many notifications are not delivered yet, since when the oldest of them waits, and how the channel is."""

    undelivered: int
    since: Time | None
    channel: Channel


class NotificationPage(Result, frozen=True, kw_only=True):
    """A page of notifications, the newest first; ``next`` is the next call's ``after``, null on the last page."""

    notifications: list[Notification]
    next: int | None
    backlog: NotificationBacklog


class Hastened(Result, frozen=True, kw_only=True):
    """How many notifications were made due now."""

    count: int
