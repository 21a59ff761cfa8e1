"""The lanes of a running daemon, one for each configured system, and by which policies their actions are decided."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog
import trio

from connectord.config import Config, ConfigDiff, SystemConfig
from connectord.lanes.lane import Lane
from connectord.ledger.policies import PolicyBook
from connectord.lifecycle.policy import Policy

log = structlog.get_logger()


class Fleet:
    """Starts lanes, reconfigures them, and ends those of systems that are gone.

    ``make_lane`` makes one that is paused or not; ``paused`` are the systems that a person has stopped, and who it was.
    """

    def __init__(self, config: Config, paused: dict[str, str], make_lane: Callable[[SystemConfig, bool], Lane]) -> None:
        self.lanes: dict[str, Lane] = {}
        """The lane of every configured system, once :meth:`start` was called."""
        self.paused = paused
        self._make_lane = make_lane
        self._departed: dict[str, Policy] = {}
        self._held: set[str] = set()
        self._nursery: trio.Nursery | None = None
        self._stopping = False
        self.book = self._make_book(config, 0)
        """The policies that are in force."""

    def set_version(self, config: Config, version: int) -> None:
        """The configuration has this number from now on."""
        self.book = self._make_book(config, version)

    def start(self, config: Config, nursery: trio.Nursery) -> None:
        """Start the lanes, in tasks of ``nursery``."""
        self._nursery = nursery
        for system in config.systems.values():
            self._start(system)

    def apply(self, old: Config, new: Config, changes: ConfigDiff, version: int) -> None:
        """Go on by a new configuration: with no wait, so that everybody sees the old one or the new one."""
        for name in changes.removed:
            # what is still under way there ends by the policy that it began under
            self._departed[name] = old.systems[name].policy
            self._end(name)
        for name in changes.added:
            self._departed.pop(name, None)
        self.set_version(new, version)
        for name, system in new.systems.items():
            lane = self.lanes.get(name)
            if lane is not None and lane.config.adapter != system.adapter:
                self._end(name)
                lane = None
            if lane is None:
                self._start(system)
            elif system != lane.config:
                lane.reconfigure(system)

    def pause(self, system: str, paused: bool, who: str) -> None:
        """Stop a system's lane, or let it go on. Whoever calls this has written it down."""
        if paused:
            self.paused[system] = who
        else:
            self.paused.pop(system, None)
        log.info("system paused" if paused else "system resumed", system=system, who=who)
        lane = self.lanes.get(system)
        if lane is not None:
            lane.set_paused(paused)

    def stop(self) -> None:
        """Claim no more; the lanes end once the attempts under way have ended."""
        self._stopping = True
        for lane in self.lanes.values():
            lane.stop()

    @property
    def in_flight(self) -> int:
        """How many attempts and probes are under way, of all systems."""
        return sum(lane.in_flight for lane in self.lanes.values())

    def tell_held(self, live: Iterable[str]) -> None:
        """Log which systems have become ones that are not configured and have actions, and which are back.

        ``live`` are those that have actions which are not closed.
        """
        held = set(live) - set(self.lanes)
        for system in sorted(held - self._held):
            log.warning("system held: it is not configured and has actions", system=system)
        for system in sorted(self._held - held):
            log.info("system not held any more", system=system)
        self._held = held

    def _start(self, system: SystemConfig) -> None:
        lane = self.lanes[system.name] = self._make_lane(system, system.name in self.paused)
        if self._nursery is not None and not self._stopping:
            self._nursery.start_soon(lane.run, name=f"lane {system.name}")

    def _end(self, name: str) -> None:
        self.lanes.pop(name).stop()

    def _make_book(self, config: Config, version: int) -> PolicyBook:
        policies = {**self._departed, **{name: system.policy for name, system in config.systems.items()}}
        return PolicyBook(version, policies, config.unconfigured)
