"""Where the numbers come from: handed in by the daemon, read at a scrape and changed by none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from connectord.clock import Clock
from connectord.config import Config
from connectord.guards.loop_watch import LoopWatch
from connectord.lanes.lane import Lane
from connectord.ledger.ledger import Ledger
from connectord.measures import CallbackMeasures, ControlMeasures, DaemonMeasures, LaneMeasures, NotifierMeasures
from connectord.notifier import ChannelState
from connectord.store.base import BacklogAges, PeopleCount, ReadStore
from connectord.store.state_directory import DiskUse, disk_use

REMOVED = "(removed)"
"""The label of all systems, and of all queues, that the configuration does not have: labels come from it alone."""

LONGEST_COMMIT_SECONDS = 30.0
"""A commit that takes longer hangs, as far as anybody can tell from outside."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What only the store and the disk can tell."""

    ages: BacklogAges
    people: Sequence[PeopleCount]
    disk: DiskUse


class Tracing(Protocol):
    """What is told of traces."""

    @property
    def exported(self) -> int: ...
    @property
    def dropped(self) -> int: ...
    @property
    def failures(self) -> int: ...
    @property
    def behind(self) -> int: ...


class Read(Protocol):
    """Asks the store, beside the writer."""

    def __call__(self, question: Callable[[ReadStore], Stored], /) -> Awaitable[Stored]: ...


@dataclass(frozen=True, slots=True)
class Sources:
    """The daemon, as far as it is measured."""

    config: Callable[[], Config]
    config_version: Callable[[], int]
    lanes: Mapping[str, Lane]
    ledger: Ledger
    channel: Callable[[], ChannelState]
    watch: LoopWatch
    clock: Clock
    read: Read
    notifier: NotifierMeasures
    tracing: Callable[[], Tracing | None] = lambda: None
    daemon: DaemonMeasures = field(default_factory=DaemonMeasures)
    callbacks: CallbackMeasures = field(default_factory=CallbackMeasures)
    control: ControlMeasures = field(default_factory=ControlMeasures)
    lane_measures: dict[str, LaneMeasures] = field(default_factory=dict)

    def of_lane(self, system: str) -> LaneMeasures:
        """The numbers of a system's lanes, one after the other."""
        return self.lane_measures.setdefault(system, LaneMeasures())

    def label(self, system: str | None) -> str:
        """How a system is labelled."""
        return system if system is not None and system in self.config().systems else REMOVED

    async def stored(self) -> Stored:
        """Look into the store, and at the disk. Raises :class:`connectord.errors.StoreError`."""
        pending = {system for (system, state), count in self.ledger.counts.items() if state == "pending" and count > 0}
        directory = self.config().daemon.state_directory

        def ask(store: ReadStore) -> Stored:
            return Stored(store.backlog_ages(pending), store.people_counts(), disk_use(directory))

        return await self.read(ask)


def troubles(sources: Sources, now: float) -> list[str]:
    """Why the daemon is not alive, in words; ``now`` is trio's time. Empty where it is."""
    began_at = sources.ledger.commit_began_at
    if began_at is not None and now - began_at > LONGEST_COMMIT_SECONDS:
        return [f"a commit has been under way for {now - began_at:.0f} s"]
    return []


def hindrances(sources: Sources, now: float) -> list[str]:
    """Why the daemon takes no work at the moment, in words. Empty where it does."""
    found = troubles(sources, now)
    if sources.daemon.stage != "ready":
        found.append(sources.daemon.stage)
    if sources.ledger.full_since is not None:
        found.append("the store is full")
    return found
