"""Telling plugins of every committed change, from the watchers' ring: nothing that commits waits for them."""

from __future__ import annotations

import structlog
import trio

from connectord.errors import NotInHistory, WatcherTooSlow
from connectord.extensions import Change, Missed, Observed
from connectord.guards.culprits import package_of
from connectord.guards.faults import raised_at, words_of
from connectord.ledger.watchers import ReadPage, Watchers
from connectord.plugins import Observer
from connectord.store.base import ChangeFilters, HistoryRow
from connectord.times import rfc3339

QUIET_SECONDS = 10.0
"""Faults of one observer are logged at most so often; how many there were is said then."""

log = structlog.get_logger()


async def observe(observer: Observer, watchers: Watchers, read: ReadPage) -> None:
    """Tell one plugin of every change from now on, in their order. Runs until cancelled.

    A plugin that falls behind the ring goes on with the newest change, and is told what it missed.
    """
    telling = _Telling(observer)
    after: int | None = None
    while True:
        with watchers.subscribe(after, ChangeFilters(), read) as watcher:
            try:
                while True:
                    for row in await watcher.next_rows():
                        after = row.seq
                        telling.tell(change_of(row))
                    # a hook is synchronous: others come to run between the rows of a few dozen
                    await trio.lowlevel.checkpoint()
            except (WatcherTooSlow, NotInHistory) as error:
                missed = Missed(after=error.resume_after if after is None else after, upto=watchers.newest)
        after = missed.upto
        log.warning("observer too slow", plugin=observer.source, missed_after=missed.after, missed_upto=missed.upto)
        telling.tell(missed)


def change_of(row: HistoryRow) -> Change:
    """A row of the history, as plugins see it."""
    return Change(
        seq=row.seq,
        action=row.action_id,
        at=rfc3339(row.at),
        from_=row.from_state,
        to=row.to_state,
        event=row.event,
        rules=tuple(row.rules.split(",")) if row.rules else (),
        why=row.why,
        who=row.who,
        note=row.note,
        config_version=row.config_version,
        system=row.system,
        case=row.case_id,
    )


class _Telling:
    """Calls one plugin's hook; what it raises is logged, and stops nothing."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._faults = 0
        self._quiet_until = 0.0

    def tell(self, what: Observed) -> None:
        try:
            self._observer.observe(what)
        except BaseException as error:  # noqa: BLE001 - a plugin's fault costs this call and no more
            self._faults += 1
            now = trio.current_time()
            if now >= self._quiet_until:
                self._quiet_until = now + QUIET_SECONDS
                log.error(
                    "observer fault",
                    plugin=self._observer.source,
                    error=words_of(error),
                    at=raised_at(error, package_of(self._observer.module)),
                    faults=self._faults,
                )
