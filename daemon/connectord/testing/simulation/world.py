"""The world of one seed: the disk, the machine that runs now, the systems around it, and what is done to it when."""

from __future__ import annotations

import random
from collections.abc import Callable

import trio

from connectord.testing.simulated_clock import SimulatedClock
from connectord.testing.simulation.acts import Acts
from connectord.testing.simulation.disk import Disk
from connectord.testing.simulation.external import ExternalSystem
from connectord.testing.simulation.machine import Machine
from connectord.testing.simulation.observer import Observer
from connectord.testing.simulation.plan import Plan, Step, draw_plan
from connectord.testing.simulation.shapes import COMPLETE, CONFIG_FILE, POOL, SYSTEMS, ConfigurationFile, Shape, shape
from connectord.testing.simulation.streams import SimulatedStream
from connectord.testing.simulation.trace import Trace

BOUND_SECONDS = 900.0
"""Once the faults have stopped, everything has an end within this simulated time."""

HURRY_SECONDS = 120.0
ENDS_WITHIN_SECONDS = 6.0
"""How long a daemon may take to end after an I/O error."""

_SHAPES = {each.text: each for each in map(shape, range(POOL))}


class World:
    """Everything in one simulated run."""

    def __init__(self, seed: int, trace: Trace, nursery: trio.Nursery) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - to be repeatable, not secret
        self.plan: Plan = draw_plan(seed, self.rng)
        self.trace = trace
        self.nursery = nursery
        self.clock = SimulatedClock()
        self.observer = Observer(trace, _SHAPES.__getitem__, nursery.cancel_scope.cancel)
        self.disk = Disk(self.rng, self.cut, self._committed)
        self.configuration = ConfigurationFile(self.disk.files)
        self.systems = {name: ExternalSystem(self, name) for name in SYSTEMS}
        self.machine: Machine | None = None
        self.quiet = False
        """The faults have stopped: every system does what it should."""
        self.over = False
        self.up = trio.Event()
        self.shape = shape(self.plan.first_shape)
        self._acts = Acts(self)
        self.lives = 0
        self._marks = 0
        self._acting = 0
        self._latest_offset_ms = 0
        self.write_configuration(self.shape)

    async def run(self) -> None:
        """The whole story, to its end."""
        self.trace.note("plan", self.plan.aim, "configuration", self.shape.number)
        self.nursery.start_soon(self._keep_running)
        for step in self.plan.steps:
            await trio.sleep_until(step.at)
            self.nursery.start_soon(self._take, step)
        await trio.sleep_until(self.plan.horizon)
        await self._settle()
        self.over = True
        self.nursery.cancel_scope.cancel()

    # -- what others ask

    def next_mark(self) -> str:
        """A word that no other response has."""
        self._marks += 1
        return f"mark{self._marks}"

    def adapter_of(self, system: str) -> str | None:
        """What serves a system, as far as the file says."""
        found = self.shape.systems.get(system)
        return None if found is None else found.adapter

    def connect_control(self, tap: Callable[[bytes], None]) -> SimulatedStream:
        """A connection to the control socket. Raises ConnectionRefusedError where no daemon is ready."""
        return self._running().control.connect(tap)

    def connect_callbacks(self, tap: Callable[[bytes], None]) -> SimulatedStream:
        """A connection to the callback listener. Raises ConnectionRefusedError where no daemon is ready."""
        return self._running().callbacks.connect(tap)

    def _running(self) -> Machine:
        machine = self.machine
        if machine is None or machine.ended.is_set() or not machine.ready.is_set():
            raise ConnectionRefusedError("no daemon is there")
        return machine

    def write_configuration(self, new: Shape) -> None:
        """Put a configuration into the file; who runs does not know it yet."""
        self.shape = new
        self.disk.files[CONFIG_FILE.name] = new.text

    def jump(self, seconds: int) -> None:
        """Set the wall clock forward or back."""
        self.clock.offset_ms += seconds * 1000
        if seconds < 0:
            self.observer.rules.clock_went_back = True
        self._latest_offset_ms = max(self._latest_offset_ms, self.clock.offset_ms)
        self.trace.note("the clock jumps", seconds)

    # -- the machine

    async def _keep_running(self) -> None:
        """Start the daemon, and start it again whenever it has ended."""
        while True:
            self.lives += 1
            self.disk.faults.failed_at = None
            machine = self.machine = Machine(self, self.lives)
            self.trace.note("start", self.lives, "configuration", self.shape.number)
            self.nursery.start_soon(machine.run)
            self.nursery.start_soon(self._tell_when_up, machine)
            await machine.ended.wait()
            self.up = trio.Event()
            self.trace.note("ended", self.lives)
            await trio.sleep(self.rng.choice((0.0, 0.05, 1.0, 3.0)))
            if not self.quiet and self.rng.random() < 0.2:
                # a change made while the daemon was stopped acts at the next start (rule 11)
                self.write_configuration(shape(self.rng.randrange(POOL)))

    async def _tell_when_up(self, machine: Machine) -> None:
        await machine.ready.wait()
        if not machine.ended.is_set():
            self.trace.note("ready", machine.life)
            self.up.set()

    def cut(self) -> None:
        """The power goes."""
        if self.machine is not None:
            self.trace.note("the power goes")
            self.machine.cut()

    def _committed(self) -> None:
        failed_at = self.disk.faults.failed_at
        if failed_at is not None and trio.current_time() > failed_at + ENDS_WITHIN_SECONDS:
            self.observer.violated("74: the daemon never goes on after an I/O error", f"it was at {failed_at:.3f} s")
        self.observer.committed(self.disk.connection, self.disk.touched)

    # -- what is done to it

    async def _take(self, step: Step) -> None:
        self.trace.note("step", step.what, step.number)
        match step.what:
            case "cut":
                self.cut()
            case "cut in steps":
                await self._cut_in_steps(step.number % 400)
            case "cut in statements":
                self.disk.faults.cut_in = 1 + step.number % 60
            case "error":
                self.disk.faults.error_in = 1 + step.number % 60
                self.disk.faults.commit_then_error = step.number % 2 == 0
            case "read error":
                self.disk.faults.read_error = True
            case "full":
                self.disk.faults.full = True
                await trio.sleep(self.rng.choice((0.5, 3.0, 8.0)))
                self.disk.faults.full = False
                self.trace.note("there is room")
            case "jump":
                self.jump(step.number)
                await trio.sleep(self.rng.choice((1.0, 5.0, 60.0)))
                if not self.quiet:
                    self.jump(-step.number)
            case "watch":
                await self._acts.do(step)
            case _:
                self._acting += 1
                await self._acts.do(step)
                self._acting -= 1

    async def _cut_in_steps(self, steps: int) -> None:
        """The power goes at an await: before the task step of that number from now on."""
        instrument = _Countdown(steps, self.cut)
        trio.lowlevel.add_instrument(instrument)
        try:
            await trio.sleep(2)
        finally:
            trio.lowlevel.remove_instrument(instrument)

    # -- the end

    async def _settle(self) -> None:
        """The faults stop; then everything has an end within :data:`BOUND_SECONDS`."""
        self.quiet = True
        self.trace.note("quiet")
        self.disk.faults.cut_in = self.disk.faults.error_in = None
        self.disk.faults.full = self.disk.faults.read_error = False
        # a clock that was ahead is not set back: nobody waits for a year that never was
        self.clock.offset_ms = self._latest_offset_ms
        with trio.move_on_after(BOUND_SECONDS) as patience:
            await self.up.wait()
            another = self.plan.aim != "backlogs" or len(self.shape.systems) < len(SYSTEMS)
            await self._acts.put_in_order(shape(self.rng.randrange(COMPLETE)) if another else self.shape)
            while self._acting:
                await trio.sleep(0.5)
            while self.observer.unfinished:
                await self._acts.hurry()
                with trio.move_on_after(HURRY_SECONDS):
                    await self._wait_until(lambda: not self.observer.unfinished)
            await self._acts.finish_by_hand()
            await self._wait_until(lambda: not self.observer.undelivered)
            await self._acts.look_at_everything()
        self.observer.ended(not patience.cancelled_caught)

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self.observer.settled.wait()


class _Countdown(trio.abc.Instrument):
    """Turns the power off before one step of a task."""

    def __init__(self, steps: int, cut: Callable[[], None]) -> None:
        self._left = steps
        self._cut = cut

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._left -= 1
        if self._left == 0:
            self._cut()
