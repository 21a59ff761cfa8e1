"""Plugins in a running daemon: which ones are in force, what they observe, and what they do to the event loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import structlog
import trio

from connectord.control import results as r
from connectord.guards.culprits import Culprit, package_of
from connectord.guards.forks import FORKS
from connectord.guards.loop_watch import Block, LoopWatch
from connectord.lanes.lane import Lane
from connectord.ledger.watchers import ReadPage, Watchers
from connectord.observing import observe
from connectord.plugins import Observer, PluginSet
from connectord.times import rfc3339

LOAD_SECONDS = 60.0
"""How long the imports of new plugins may take at a reload."""

log = structlog.get_logger()


class PluginHost:
    """Keeps the plugins of one daemon. ``look`` finds what is installed by now, and blocks while it does."""

    def __init__(
        self,
        plugins: PluginSet,
        lanes: Mapping[str, Lane],
        watchers: Watchers,
        read: ReadPage,
        look: Callable[[PluginSet], PluginSet] | None,
        *,
        owns_process: bool = False,
    ) -> None:
        self.plugins = plugins
        """What is in force."""
        self.watch = LoopWatch(self.packages, self._blocked)
        self._lanes = lanes
        self._watchers = watchers
        self._read = read
        self._look_for = look
        self._owns_process = owns_process
        self._nursery: trio.Nursery | None = None
        self._looking = trio.Lock()

    def packages(self) -> Mapping[str, str]:
        """The packages of the plugins' code, and who each belongs to."""
        return self.plugins.packages

    @contextmanager
    def guarding(self, descriptors: list[int]) -> Iterator[None]:
        """Watch the loop, and see that no child that a plugin forks keeps ``descriptors``, until the block ends.

        Only where the process is the daemon's own: the watch ends a process that does not end.
        """
        if not self._owns_process:
            yield
            return
        with self.watch.watching():
            FORKS.arm(self.packages, self._forked, descriptors)
            try:
                yield
            finally:
                FORKS.disarm()

    def start(self, nursery: trio.Nursery) -> None:
        """Tell the observers of changes from now on, in tasks of ``nursery``."""
        self._nursery = nursery
        for observer in self.plugins.observers:
            self._start_observer(observer)

    async def look(self) -> PluginSet:
        """What is in force and what has been installed since. Nothing is in force yet.

        An import that takes longer than :data:`LOAD_SECONDS` is left behind, with its thread, and named.
        """
        known = replace(self.plugins, problems=(), fresh=(), outdated=())
        look = self._look_for
        if look is None:
            return known
        async with self._looking:
            with trio.move_on_after(LOAD_SECONDS):
                return await trio.to_thread.run_sync(lambda: look(known), abandon_on_cancel=True)
        return replace(known, problems=(f"importing new plugins took longer than {LOAD_SECONDS:g} s",))

    def adopt(self, plugins: PluginSet) -> None:
        """These are in force from now on."""
        known = len(self.plugins.observers)
        self.plugins = plugins
        for problem in plugins.problems:
            log.error("plugin not loaded", problem=problem)
        if plugins.fresh:
            log.info("plugins loaded", plugins=plugins.fresh)
        for observer in plugins.observers[known:]:
            self._start_observer(observer)

    def longest_block(self) -> r.LoopBlock | None:
        """The longest time that the loop did not come round."""
        block = self.watch.longest
        if block is None:
            return None
        culprit = block.culprit
        return r.LoopBlock(
            seconds=round(block.seconds, 3),
            at=rfc3339(int(block.at * 1000)),
            by=None if culprit is None else culprit.name,
            place=None if culprit is None else culprit.at,
            system=None if culprit is None else culprit.system,
        )

    def _start_observer(self, observer: Observer) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(observe, observer, self._watchers, self._read, name=f"observer {observer.source}")

    def _blocked(self, block: Block) -> None:
        if block.culprit is not None:
            self._blame(block.culprit, f"blocked the event loop for {block.seconds:.3g} s")

    def _forked(self, culprit: Culprit) -> None:
        self._blame(culprit, "forked the daemon")

    def _blame(self, culprit: Culprit, what: str) -> None:
        """Show a fault with the system whose adapter it was; with all of them where nobody can tell which."""
        for name, lane in self._lanes.items():
            if culprit.system == name or (
                culprit.system is None and culprit.package == package_of(lane.adapter_module)
            ):
                lane.health.blame(f"adapter fault: {what} (adapter {lane.config.adapter}, {culprit.at})")
