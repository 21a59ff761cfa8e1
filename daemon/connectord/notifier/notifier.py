"""Delivers the outbox: notifications to case owners, at least once (rules 5, 9 and 18)."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import cast

import structlog
import trio

from connectord.adapters import Network
from connectord.clock import Alarm, Clock
from connectord.config import NotifyKind, NotifySettings
from connectord.extensions import Notifier as PluginNotifier
from connectord.ledger.ledger import Ledger
from connectord.ledger.operations import DueNotifications, SettleNotifications
from connectord.measures import NotifierMeasures
from connectord.notifier.channels import (
    Channel,
    ChannelUnreachable,
    DeliveryFailed,
    DeliveryRefused,
    LogChannel,
    NoAnswer,
    Undeliverable,
    open_webhook,
)
from connectord.notifier.command import CommandChannel
from connectord.notifier.mail import open_mail
from connectord.notifier.plugged import open_plugged
from connectord.store.base import DeliveryReport, OutboxItem

ROUND_LIMIT = 50
"""How many notifications are delivered before it is recorded: so many may come twice when the daemon is killed."""
ROUND_SECONDS = 5.0
"""After this time a round begins no further delivery, so that a slow channel does not delay the record of it."""

FIRST_DELAY_MS = 5_000
LONGEST_DELAY_MS = 3_600_000
LONGEST_REFUSED_DELAY_MS = 86_400_000

CHANNEL_FIRST_PAUSE_MS = 1_000
CHANNEL_LONGEST_PAUSE_MS = 60_000

LAST_REPORT_SECONDS = 2.0

NOBODY = "nobody to notify: neither the action nor its case has an owner"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ChannelState:
    """How the way to the owners is. ``failures`` in a row; 0 means that it is up, as far as is known.

    While it is down, ``since`` and ``retry_at`` (milliseconds) say since when, and when it is tried again.
    """

    kind: NotifyKind
    failures: int = 0
    error: str | None = None
    since: int | None = None
    retry_at: int | None = None


class Notifier:
    """One task that takes what is due from the outbox and delivers it as ``[notify]`` says.

    A notification that fails is tried again after a time of its own, which grows up to an hour, or up to a day where
    the other side refuses it. Where the channel as a whole cannot be reached, the channel is what pauses, up to a
    minute; the notifications keep their places, and go in their order when it is back.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        network: Network,
        settings: Callable[[], NotifySettings],
        *,
        mask: Callable[[str], str] = str,
        plugged: Callable[[], Mapping[str, type[PluginNotifier]]] = dict,
    ) -> None:
        self.channel = ChannelState(settings().kind)
        """How the way to the owners is."""
        self.measures = NotifierMeasures()
        self._ledger = ledger
        self._clock = clock
        self._network = network
        self._settings = settings
        self._mask = mask
        self._plugged = plugged
        self._pause = Alarm(clock)
        self._reports: list[DeliveryReport] = []
        self._waiting = trio.CancelScope()
        self._hasten = False
        self._stopping = False
        self._trouble = False

    async def run(self) -> None:
        """Deliver until :meth:`stop`, or until cancelled; what was delivered by then is recorded."""
        alarm = self._ledger.outbox_alarm
        alarm.set(0)
        try:
            while await self._is_due():
                due = await self._settle(ROUND_LIMIT)
                go_on = True
                while due.items and go_on and not self._stopping:
                    go_on = await self._deliver_all(due.items)
                    due = await self._settle(ROUND_LIMIT)
                alarm.set(due.next_at)
        finally:
            # what is delivered and not recorded would be delivered again
            if self._reports:
                with trio.move_on_after(LAST_REPORT_SECONDS, shield=True):
                    await self._settle(0)

    def stop(self) -> None:
        """Begin nothing new; :meth:`run` returns when the deliveries under way have ended."""
        self._stopping = True
        self._waiting.cancel()

    def retry(self) -> None:
        """Try the channel now, however long it was to pause."""
        self._pause.set(0)
        self._ledger.outbox_alarm.set(0)

    def reconfigure(self) -> None:
        """``[notify]`` is another one now: all that is not delivered yet is due again, whatever held it up."""
        self.channel = ChannelState(self._settings().kind)
        self._hasten = True
        self.retry()

    async def _is_due(self) -> bool:
        """Wait until something may be due and the channel's pause is over; False where there is to be an end."""
        with trio.CancelScope() as self._waiting:
            if not self._stopping:
                await self._ledger.outbox_alarm.wait()
                self._pause.set(self.channel.retry_at)
                if self.channel.retry_at is not None:
                    await self._pause.wait()
                if self._hasten:
                    self._hasten = False
                    await self._ledger.hasten_notifications()
        return not self._stopping

    async def _settle(self, limit: int) -> DueNotifications:
        reports = tuple(self._reports)
        due = cast("DueNotifications", await self._ledger.insist(SettleNotifications(reports, limit)))
        del self._reports[: len(reports)]
        return due

    async def _deliver_all(self, items: Sequence[OutboxItem]) -> bool:
        """One round; whether the channel can take another."""
        queue = deque(items)
        until = trio.current_time() + ROUND_SECONDS
        self._trouble = False
        async with self._open_channel() as channel, trio.open_nursery() as nursery:
            for _ in range(min(channel.at_once, len(items))):
                nursery.start_soon(self._deliver_from, queue, channel, until)
        return not self._trouble

    @asynccontextmanager
    async def _open_channel(self) -> AsyncIterator[Channel]:
        settings = self._settings()
        match settings.kind:
            case "command":
                yield CommandChannel(settings.command)
            case "webhook":
                async with open_webhook(settings.url or "", self._network) as webhook:
                    yield webhook
            case "smtp" if settings.smtp is not None:
                async with open_mail(settings.smtp) as mail:
                    yield mail
            case name if name in self._plugged():
                async with open_plugged(self._plugged()[name], settings.settings, self._network) as plugged:
                    yield plugged
            case _:
                yield LogChannel()

    async def _deliver_from(self, queue: deque[OutboxItem], channel: Channel, until: float) -> None:
        logger = log.bind()  # once: a lazy one binds for every line
        while queue and not self._trouble and not self._stopping and trio.current_time() < until:
            item = queue.popleft()
            if item.row.owner is None:
                logger.warning(NOBODY, action=item.row.action_id, text=item.row.text)
                self._reports.append(DeliveryReport(item.seq, None, done=True, error=NOBODY))
                continue
            try:
                await channel.deliver(item)
            except DeliveryFailed as error:
                self._failed(item, error)
            except Exception as error:  # one must not keep the others from their owners
                log.exception("fault in a delivery", action=item.row.action_id)
                self._failed(item, DeliveryRefused(f"a fault in the delivery: {type(error).__name__}: {error}"))
            else:
                self.measures.delivered += 1
                self._reports.append(DeliveryReport(item.seq, item.row.owner, done=True))
                self._is_up()

    def _failed(self, item: OutboxItem, error: DeliveryFailed) -> None:
        self.measures.failed += 1
        words = self._mask(str(error))
        row = item.row
        log.warning("notification failed", action=row.action_id, owner=row.owner, error=words, tries=item.tries + 1)
        next_try_at = self._next_try_at(item, error)
        self._reports.append(DeliveryReport(item.seq, row.owner, done=False, error=words, next_try_at=next_try_at))
        if isinstance(error, ChannelUnreachable | NoAnswer):
            self._is_down(words)
        elif not isinstance(error, Undeliverable):
            self._is_up()

    def _next_try_at(self, item: OutboxItem, error: DeliveryFailed) -> int | None:
        match error:
            case Undeliverable():
                return None
            case ChannelUnreachable():
                # the channel pauses; the notification keeps its place
                return item.next_try_at
            case _:
                longest = LONGEST_REFUSED_DELAY_MS if isinstance(error, DeliveryRefused) else LONGEST_DELAY_MS
                return self._clock.now_ms() + min(FIRST_DELAY_MS << min(item.tries, 20), longest)

    def _is_down(self, words: str) -> None:
        if self._trouble:
            return
        self._trouble = True
        now = self._clock.now_ms()
        state = self.channel
        if state.failures == 0:
            log.warning("owners cannot be reached", via=state.kind, error=words, waiting=self._ledger.undelivered)
        pause = min(CHANNEL_FIRST_PAUSE_MS << min(state.failures, 20), CHANNEL_LONGEST_PAUSE_MS)
        self.channel = replace(
            state, failures=state.failures + 1, error=words, since=state.since or now, retry_at=now + pause
        )

    def _is_up(self) -> None:
        if self.channel.failures:
            log.info("owners can be reached again", via=self.channel.kind, waiting=self._ledger.undelivered)
            self.channel = ChannelState(self.channel.kind)
