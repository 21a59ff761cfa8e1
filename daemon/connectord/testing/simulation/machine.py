"""One life of the daemon: from a start on the disk as it is to a stop, an exit, or the moment when the power goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from connectord.callbacks import TokenKey
from connectord.errors import StateDirectoryUnusable, StoreFailed
from connectord.extensions import Change, Observed
from connectord.plugins import Observer, PluginSet
from connectord.store.sqlite_reader import SqliteReader
from connectord.store.sqlite_writer import SqliteWriter
from connectord.supervisor import Daemon, Surroundings
from connectord.testing.simulation.disk import PowerCut
from connectord.testing.simulation.plugins import ADAPTERS, NOTIFIERS, SimulatedNetwork
from connectord.testing.simulation.shapes import CONFIG_FILE
from connectord.testing.simulation.streams import SimulatedListener, simulated_entrances

if TYPE_CHECKING:
    from connectord.testing.simulation.world import World

T = TypeVar("T")
KEY_FILE = "callback.key"
SIZES = (2**20, 2**20, 2**30)
"""What is said of a disk that is no file: the database, its log, and what is free."""


class SimulatedExecutor:
    """Runs the store's calls in the calling task, after a while as a disk has it, and before another one."""

    def __init__(self, world: World) -> None:
        self._rng = world.rng
        self._slowness = world.plan.slowness

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """As a thread would: once begun, it is not cancelled."""
        await trio.lowlevel.checkpoint()
        if self._rng.random() < self._slowness:
            await self._take_time()
        done = function(*args)
        if self._rng.random() < self._slowness:
            await self._take_time()
        return done

    async def _take_time(self) -> None:
        seconds = self._rng.choice((0.0, 0.002, 0.02))
        if not seconds:
            await trio.lowlevel.cancel_shielded_checkpoint()
            return
        with trio.CancelScope(shield=True):
            await trio.sleep(seconds)


class _Started:
    """A :class:`trio.TaskStatus` that tells the machine that the daemon is ready."""

    def __init__(self, event: trio.Event) -> None:
        self._event = event

    def started(self, value: object = None) -> None:
        self._event.set()


class Machine:
    """Where one daemon runs. :meth:`cut` turns it off, whatever it is doing."""

    def __init__(self, world: World, life: int) -> None:
        self.life = life
        self.is_off = False
        self.ready = trio.Event()
        self.ended = trio.Event()
        self.daemon: Daemon | None = None
        self.callbacks = SimulatedListener()
        self.control = SimulatedListener()
        self._world = world
        self._scope = trio.CancelScope()

    def cut(self) -> None:
        """Off, at once: nothing gets out any more, and the disk is as it was committed."""
        if self.is_off or self.ended.is_set():
            return
        self.is_off = True
        self.callbacks.cut()
        self.control.cut()
        self._world.disk.lose_power()
        self._world.observer.power_lost(self._world.disk.connection)
        self._scope.cancel()
        self.ended.set()

    async def run(self) -> None:
        """Start the daemon, and see how it ends."""
        world = self._world
        with self._scope:
            try:
                await self._run()
            except BaseException as error:
                if self.is_off:
                    if isinstance(error, trio.Cancelled):
                        raise
                    return  # what a dead machine does concerns nobody
                leaves = list(_leaves(error))
                if any(isinstance(leaf, PowerCut) for leaf in leaves):
                    return
                if any(isinstance(leaf, trio.Cancelled) for leaf in leaves) and world.over:
                    raise
                self._ended_by(leaves)
            finally:
                if not self.is_off:
                    self.callbacks.cut()
                    self.control.cut()
                    self.is_off = True
                    if world.disk.connection.in_transaction:
                        world.disk.connection.execute("ROLLBACK")
                self.ended.set()

    async def _run(self) -> None:
        world, disk = self._world, self._world.disk
        surroundings = Surroundings(
            adapters=ADAPTERS,
            plugins=PluginSet(notifiers=NOTIFIERS, observers=(self._observer(),)),
            environ={},
            clock=world.clock,
            rng=world.rng,
            network=SimulatedNetwork(world, self),
            writing=SimulatedExecutor(world),
            reading=SimulatedExecutor(world),
            maintaining=SimulatedExecutor(world),
            counting=SimulatedExecutor(world),
            open_writer=partial(SqliteWriter, open_database=disk.open_writer(lambda: self.is_off)),
            open_reader=partial(
                SqliteReader, open_database=disk.open_reader(lambda: self.is_off), sizes=lambda path: SIZES
            ),
            open_log=disk.open_log(lambda: self.is_off),
            open_key=self._open_key,
            load_config=world.configuration.load,
            entrances=simulated_entrances(self.callbacks, self.control),
        )
        config = world.configuration.load(CONFIG_FILE, adapters=ADAPTERS, environ={}, notifiers=NOTIFIERS)
        self.daemon = Daemon(config, surroundings)
        await self.daemon.run(task_status=_Started(self.ready))

    def _ended_by(self, leaves: Sequence[BaseException]) -> None:
        world = self._world
        faults = world.disk.faults
        # a full disk is no reason to end, but one cannot start on it
        errors = (StoreFailed, StateDirectoryUnusable) if faults.failed_at is not None else (StateDirectoryUnusable,)
        if (faults.failed_at is not None or faults.full) and any(isinstance(leaf, errors) for leaf in leaves):
            world.trace.note("the daemon ends with", 74)
            return
        words = "; ".join(f"{type(leaf).__name__}: {leaf}" for leaf in leaves if not isinstance(leaf, trio.Cancelled))
        world.observer.violated("the daemon goes on", f"it ended by {words}", leaves[0] if leaves else None)

    def _open_key(self, path: Path, random_bytes: Callable[[int], bytes]) -> TokenKey:
        files = self._world.disk.files
        if KEY_FILE not in files:
            files[KEY_FILE] = random_bytes(32)
        return TokenKey(files[KEY_FILE])

    def _observer(self) -> Observer:
        observer = self._world.observer

        def observe(what: Observed) -> None:
            if not self.is_off and isinstance(what, Change):
                observer.plugin_told(self.life, what)

        return Observer(observe, "simulation", __name__)


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in _leaves(each)]
    return [error]
