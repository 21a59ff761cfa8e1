"""``via = "NAME"``: a way to owners that a plugin brought. Whatever it does costs no more than the delivery."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
import trio

from connectord.adapters import Network
from connectord.errors import NotConnected, NotDelivered
from connectord.extensions import Notification, Notifier
from connectord.guards.culprits import package_of, task_culprit
from connectord.guards.faults import leaf_of, message_of, raised_at, reraise_cancelled, words_of
from connectord.notifier.channels import (
    Channel,
    ChannelUnreachable,
    DeliveryFailed,
    DeliveryRefused,
    NoAnswer,
    notification_id,
)
from connectord.store.base import OutboxItem
from connectord.times import rfc3339

DELIVER_SECONDS = 30.0
OPEN_SECONDS = 30.0
CLOSE_SECONDS = 10.0
STUCK_SECONDS = 5.0
"""How long a call may take to end after it was cancelled, before it is said who holds up the owners."""

log = structlog.get_logger()


class PluggedChannel:
    """One instance of a plugin's notifier, open."""

    def __init__(self, notifier: Notifier) -> None:
        self.at_once = notifier.at_once
        self._notifier = notifier

    async def deliver(self, item: OutboxItem) -> None:
        row = item.row
        notification = Notification(
            id=notification_id(item),
            action=row.action_id,
            case=row.case_id,
            owner=row.owner or "",
            notice=row.notice,
            at=rfc3339(row.at),
            text=row.text,
        )
        await _call(type(self._notifier), lambda: self._notifier.deliver(notification), "deliver", DELIVER_SECONDS)


class _ClosedChannel:
    """It could not be opened: every delivery fails for the same reason."""

    at_once = 1

    def __init__(self, error: DeliveryFailed) -> None:
        self._error = error

    async def deliver(self, item: OutboxItem) -> None:
        await trio.lowlevel.checkpoint()
        raise self._error


@asynccontextmanager
async def open_plugged(notifier: type[Notifier], settings: Any, network: Network) -> AsyncIterator[Channel]:
    """A plugin's way to owners, open until the end of the block."""
    made: list[Notifier] = []

    async def open_one() -> None:
        one = notifier(settings, network)
        await one.open()
        made.append(one)

    try:
        await _call(notifier, open_one, "open", OPEN_SECONDS)
    except DeliveryRefused as error:
        # it concerns no notification in particular
        yield _ClosedChannel(ChannelUnreachable(str(error)))
        return
    except DeliveryFailed as error:
        yield _ClosedChannel(error)
        return
    (one,) = made
    try:
        yield PluggedChannel(one)
    finally:
        with trio.CancelScope(shield=True):
            try:
                await _call(notifier, one.close, "close", CLOSE_SECONDS)
            except DeliveryFailed as error:
                log.warning("notifier failed to close", notifier=notifier.name, error=str(error))


async def _call(
    notifier: type[Notifier], call: Callable[[], Awaitable[object]], method: str, limit_seconds: float
) -> None:
    """Call one method of a notifier. Raises :class:`DeliveryFailed`, one of its kinds, or :class:`trio.Cancelled`."""
    package = package_of(notifier.__module__)
    task = trio.lowlevel.current_task()

    async def name_if_stuck() -> None:
        await trio.sleep(limit_seconds + STUCK_SECONDS)
        culprit = task_culprit(task, {package: notifier.name})
        log.error(
            "notifier fault",
            notifier=notifier.name,
            method=method,
            at=None if culprit is None else culprit.at,
            error="it ignores cancellation, and holds up what owners have to be told",
        )

    failure: DeliveryFailed | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(name_if_stuck)
        failure = await _called(notifier, call, method, limit_seconds, package)
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _called(
    notifier: type[Notifier], call: Callable[[], Awaitable[object]], method: str, limit_seconds: float, package: str
) -> DeliveryFailed | None:
    try:
        with trio.move_on_after(limit_seconds):
            await call()
            return None
        return NoAnswer(f"{notifier.name}: no answer within {limit_seconds:g} s")
    except BaseException as error:  # a plugin's fault costs this call and no more
        reraise_cancelled(error)
        leaf = leaf_of(error)
        if isinstance(leaf, NotConnected):
            return ChannelUnreachable(message_of(leaf) or "not connected")
        if isinstance(leaf, NotDelivered):
            return DeliveryFailed(message_of(leaf) or "not delivered")
        at = raised_at(error, package)
        log.error("notifier fault", notifier=notifier.name, method=method, at=at, exc_info=error)
        return DeliveryRefused(f"notifier fault: {words_of(error)} (notifier {notifier.name}, {at})")
