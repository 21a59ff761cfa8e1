"""The daemon itself: what starts in which order, how it reloads, how it stops.

Everything from outside (clock, randomness, network, store, executors, adapters) is handed in with
:class:`Surroundings`, so that a test can run the whole daemon under simulated time.
"""

from __future__ import annotations

import os
import pwd
import random
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

import structlog
import trio

from connectord import __version__, systemd
from connectord.adapters import Adapter, Network
from connectord.callback_handler import CallbackTaker
from connectord.callbacks import Limits, TokenKey, serve_callbacks
from connectord.callers import Caller, Role
from connectord.clock import Clock, SystemClock
from connectord.config import CallbackSettings, Config, ConfigDiff, SystemConfig, load_config
from connectord.configurations import Configurations
from connectord.control import results as r
from connectord.control.methods import Methods
from connectord.control.peers import Peer, role_of
from connectord.control.server import serve_control
from connectord.doctor.machine import Moment
from connectord.doors import Doors, Entrances, open_doors
from connectord.errors import ConfigurationRefused, RequestError, StoreFailed, StoreFull
from connectord.fleet import Fleet
from connectord.hosting import PluginHost
from connectord.lanes.lane import Lane
from connectord.ledger.ledger import Ledger
from connectord.ledger.operations import SetPaused
from connectord.lifecycle.circumstances import Present
from connectord.liveness import feed_watchdog
from connectord.metrics import Sources, measured, serve_metrics
from connectord.network import SystemNetwork
from connectord.notifier import Notifier
from connectord.observability import Redactor
from connectord.overview import (
    backlog_view,
    counts_by_state,
    lane_state,
    log_held_view,
    retention_view,
    systems_view,
)
from connectord.plugins import PluginSet
from connectord.store.base import ChangeFilters, Executor, FileState, HistoryPage, ReadStore, WriteStore
from connectord.store.executors import ThreadExecutor, WriterThread
from connectord.store.sqlite_log import LogWriter
from connectord.store.sqlite_reader import SqliteReader
from connectord.store.sqlite_writer import SqliteWriter
from connectord.store.state_directory import DATABASE_NAME, TOKEN_KEY_NAME
from connectord.systemd import Inherited
from connectord.times import rfc3339
from connectord.tracing import TraceKeeper
from connectord.upkeep import LogWatch, Retention, bound_of

STOP_GRACE_SECONDS = 5.0
"""How long the process may take to end once the drain is over; then it is ended, and what holds it up is named."""

LAST_ANSWERS_SECONDS = 3.0
"""How long callbacks that are under way may take once the drain is over; the grace above covers it."""

T = TypeVar("T")
log = structlog.get_logger()


def _one_thread() -> Executor:
    return ThreadExecutor()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything that the daemon does not make itself.

    ``adapters`` are the ones that systems may use, and ``plugins`` what plugins brought beside them. With
    ``look_for_plugins`` a reload takes in what was installed since, adapters included; without it nothing comes in.
    ``owns_process`` says that nothing else runs in this process: then its event loop is watched, and the process is
    ended if a plugin holds up the stop. ``descriptors`` are files that no child that a plugin forks may keep open.
    ``inherited`` is what the service manager passed.
    ``set_logs`` puts another format and level of the log in force.
    """

    adapters: Mapping[str, type[Adapter]]
    plugins: PluginSet = field(default_factory=PluginSet)
    look_for_plugins: Callable[[PluginSet], PluginSet] | None = None
    owns_process: bool = False
    descriptors: tuple[int, ...] = ()
    inherited: Inherited = field(default_factory=Inherited)
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    clock: Clock = field(default_factory=SystemClock)
    rng: random.Random = field(default_factory=secrets.SystemRandom)
    network: Network = field(default_factory=SystemNetwork)
    writing: Executor = field(default_factory=WriterThread)
    reading: Executor = field(default_factory=_one_thread)
    counting: Executor = field(default_factory=_one_thread)
    maintaining: Executor = field(default_factory=_one_thread)
    redactor: Redactor = field(default_factory=Redactor)
    set_logs: Callable[[str, str], None] = lambda log_format, log_level: None
    open_writer: Callable[[Path], WriteStore] = SqliteWriter
    open_reader: Callable[[Path], ReadStore] = SqliteReader
    open_log: Callable[[Path], LogWriter] = LogWriter
    open_key: Callable[[Path, Callable[[int], bytes]], TokenKey] = TokenKey.load_or_create
    load_config: Callable[..., Config] = load_config
    entrances: Entrances = field(default_factory=Entrances)


class Daemon:
    """One running connectord on one state directory, which the caller holds."""

    def __init__(self, config: Config, surroundings: Surroundings) -> None:
        self._given = surroundings
        directory = config.daemon.state_directory
        self._writer = surroundings.open_writer(directory / DATABASE_NAME)
        self._reader, self._counter = (surroundings.open_reader(directory / DATABASE_NAME) for _ in range(2))
        self._fleet = Fleet(config, self._reader.paused_systems(), self._make_lane)
        self.lanes = self._fleet.lanes
        self._log_writer = surroundings.open_log(directory / DATABASE_NAME)
        self._writer.leave_log_to_another(bound_of(0))
        self._key = surroundings.open_key(directory / TOKEN_KEY_NAME, surroundings.rng.randbytes)
        self.ledger = Ledger(
            self._writer,
            executor=surroundings.writing,
            clock=surroundings.clock,
            rng=surroundings.rng,
            policies=lambda: self._fleet.book,
            mask=surroundings.redactor.mask,
        )
        self.plugin_host = PluginHost(
            replace(surroundings.plugins, adapters=surroundings.adapters),
            self.lanes,
            self.ledger.watchers,
            self._read_changes,
            surroundings.look_for_plugins,
            owns_process=surroundings.owns_process,
        )
        self.configurations = Configurations(
            config,
            ledger=self.ledger,
            read=self.read_at_length,
            executor=surroundings.reading,
            plugins=self.plugin_host,
            environ=surroundings.environ,
            load=surroundings.load_config,
        )
        self._taker = CallbackTaker(self.ledger, self._system_of, self._reader_of)
        self._notifier = Notifier(
            self.ledger,
            surroundings.clock,
            surroundings.network,
            lambda: self.config.notify,
            mask=surroundings.redactor.mask,
            plugged=lambda: self.plugin_host.plugins.notifiers,
        )
        self._retention = Retention(
            self.ledger, surroundings.clock, lambda: self.config.retention, self._read_file_state
        )
        self._log_watch = LogWatch(
            self.ledger,
            surroundings.clock,
            directory / DATABASE_NAME,
            surroundings.maintaining,
            self._read_file_state,
            self._log_writer,
        )
        self._methods = Methods(self, lambda: self.plugin_host.plugins.commands)
        self.traces = TraceKeeper(
            config.tracing,
            watchers=self.ledger.watchers,
            read_page=self._read_changes,
            read=self.read,
            executor=surroundings.reading,
            network=surroundings.network,
            directory=directory,
            mask=surroundings.redactor.mask,
        )
        self.measured = Sources(
            config=lambda: self.config,
            config_version=lambda: self.configurations.version,
            lanes=self.lanes,
            ledger=self.ledger,
            channel=lambda: self._notifier.channel,
            watch=self.plugin_host.watch,
            clock=surroundings.clock,
            read=self.read,
            notifier=self._notifier.measures,
            tracing=lambda: self.traces.tracer,
        )
        self._public_url = config.callbacks.public_url
        self._callback_limits = _callback_limits(config.callbacks)
        self._started_at = surroundings.clock.now_ms()
        self._started = Moment.now()
        self._stop = trio.Event()
        self._stop_now = False
        self._reloading = trio.Lock()
        self._read_failure: StoreFailed | None = None
        self._read_failed = trio.Event()
        self._lanes_nursery: trio.Nursery | None = None

    # -- life

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until a stop is requested and what is under way has drained.

        Raises :class:`connectord.errors.AddressUnusable` where a socket cannot be bound, and
        :class:`connectord.errors.StoreFailed` (in a group) where the store fails: then the process must end.
        """
        try:
            await self._serve(task_status)
        finally:
            self._reader.close()
            self._counter.close()
            self._log_writer.close()
            self._writer.close()

    async def _serve(self, task_status: trio.TaskStatus[None]) -> None:
        doors = await open_doors(self.config, self._given.inherited, self._given.entrances)
        self._public_url = doors.public_url
        self.plugin_host.watch.set_limit(self.config.daemon.loop_warning_ms)
        with self.plugin_host.guarding([*self._given.descriptors, *doors.descriptors]):
            await self._run_services(doors, task_status)
        log.info("stopped")

    async def _run_services(self, doors: Doors, task_status: trio.TaskStatus[None]) -> None:
        drain, callbacks_ended = trio.Event(), trio.Event()
        entrances = self._given.entrances
        async with trio.open_nursery() as services:
            await services.start(self.ledger.run)
            services.start_soon(self._log_watch.run)
            if doors.metrics:
                await services.start(serve_metrics, doors.metrics, self.measured)
            await self.configurations.start()
            self._fleet.set_version(self.config, self.configurations.version)
            interrupted = self.measured.daemon.interrupted_attempts = await self.ledger.recover()
            for name in self.config.systems:
                await self.ledger.enforce_limit(name, "start")
            services.start_soon(self.ledger.watch_deadlines)
            services.start_soon(self.ledger.watch_clock)
            services.start_soon(self._retention.run)
            if isinstance(self._given.network, SystemNetwork):
                services.start_soon(self._given.network.run)
            services.start_soon(self._end_on_failed_read)
            self.plugin_host.start(services)
            self.traces.start(services)

            async def take_callbacks(*, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
                await serve_callbacks(
                    doors.callbacks,
                    key=self._key,
                    handler=self._taker,
                    limits=lambda: self._callback_limits,
                    address_of=entrances.address_of,
                    drain=drain,
                    measures=self.measured.callbacks,
                    task_status=task_status,
                )
                callbacks_ended.set()

            async def take_control(*, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
                await serve_control(
                    doors.control,
                    measured(self._methods.dispatch, self._methods.table, self.measured.control),
                    self._authorize,
                    drain=drain,
                    peer_of=entrances.peer_of,
                    is_hung_up=entrances.is_hung_up,
                    task_status=task_status,
                )

            await services.start(take_callbacks)
            await services.start(take_control)
            async with trio.open_nursery() as lanes:
                self._lanes_nursery = lanes
                lanes.start_soon(self._notifier.run)
                self._fleet.start(self.config, lanes)
                self._fleet.tell_held(self._live_systems())
                if interrupted:
                    log.warning("attempts were interrupted by the end of the last run", count=interrupted)
                log.info("ready", version=__version__, callbacks=self._public_url, interrupted_attempts=interrupted)
                self.measured.daemon.stage = "ready"
                systemd.notify_status(self._serving(), "READY=1")
                if self._given.inherited.watchdog_seconds is not None:
                    services.start_soon(
                        feed_watchdog, self._given.inherited.watchdog_seconds, self.ledger, self.lanes.values
                    )
                task_status.started()
                if not self._stop.is_set():  # a checkpoint, and the lanes may be cut short already
                    await self._stop.wait()
                self.measured.daemon.stage = "stopping"
                in_flight = self._fleet.in_flight
                systemd.notify_stopping(f"stopping: {in_flight} attempts under way", self._seconds_to_end())
                log.info("stopping", in_flight=in_flight)
                self._fleet.stop()
                self._notifier.stop()
                lanes.cancel_scope.deadline = trio.current_time() + self.config.daemon.drain_ms / 1000
                self.end_in_time(now=self._stop_now)
                if self._stop_now:
                    lanes.cancel_scope.cancel()
            if lanes.cancel_scope.cancelled_caught:
                log.warning("drain cut short: what was under way is settled at the next start")
            drain.set()
            # a moment for answers that are on their way out, this one's reply to `shutdown` among them
            await trio.sleep(0.2)
            if not self._stop_now:
                with trio.move_on_after(LAST_ANSWERS_SECONDS):
                    await callbacks_ended.wait()
            services.cancel_scope.cancel()

    def request_stop(self, *, now: bool) -> None:
        """Drain and stop; ``now``, or a second request, does not wait for what is under way."""
        if now or self._stop.is_set():
            self._stop_now = True
            if self._stop.is_set() and self._lanes_nursery is not None:
                # the lanes drain by now; where this is the first request, they hear of it before they are cut short
                self._lanes_nursery.cancel_scope.cancel()
            self.end_in_time(now=True)
        self._stop.set()

    def stop_for(self, caller: Caller, *, now: bool) -> None:
        """:meth:`request_stop` on behalf of an admin."""
        caller.require(Role.ADMIN, "shutdown")
        self.request_stop(now=now)

    def end_in_time(self, *, now: bool) -> None:
        """Whatever a plugin does: see that the process ends after the drain and a grace."""
        self.plugin_host.watch.end_within(STOP_GRACE_SECONDS if now else self._seconds_to_end())

    def _seconds_to_end(self) -> float:
        return self.config.daemon.drain_ms / 1000 + STOP_GRACE_SECONDS

    def _serving(self) -> str:
        count = len(self.lanes)
        return f"serving {count} {'system' if count == 1 else 'systems'}, configuration {self.configurations.version}"

    # -- reload (rules 10 and 11)

    @property
    def config(self) -> Config:
        """The configuration that is in force."""
        return self.configurations.running

    async def reload(self, caller: Caller, *, plan: bool, to: int | None = None) -> r.Reload:
        """Apply connectord.toml anew, or the text of version ``to``: all or nothing. ``plan`` only says what would be.

        Raises :class:`connectord.errors.ConfigurationRefused`, ``NotFound`` or, for anybody but an admin,
        ``NotAllowed``; then nothing was changed.
        """
        caller.require(Role.ADMIN, "reload")
        if plan:
            # looking changes nothing, so it waits for nobody
            candidate = await self.configurations.load(to)
            known = candidate.config.digest == self.config.digest
            version = self.configurations.version + (0 if known else 1)
            return r.Reload(applied=False, version=version, plan=await self.configurations.plan(candidate))
        async with self._reloading:
            systemd.notify_reloading()
            applied, status = False, f"reload failed; {self._serving()}"
            try:
                reloaded = await self._reload(to, caller.name)
                applied, status = True, self._serving()
            except (ConfigurationRefused, RequestError, StoreFull) as error:
                problems = error.problems if isinstance(error, ConfigurationRefused) else [error]
                status = f"reload refused, {problems[0]}; {self._serving()}"
                texts = [str(item) for item in problems]
                log.error("reload refused: nothing was changed", who=caller.name, problems=texts)
                raise
            finally:
                self.measured.daemon.reloaded(self.now_ms(), applied=applied)
                systemd.notify_status(status, "READY=1")
            return reloaded

    async def _reload(self, to: int | None, who: str) -> r.Reload:
        candidate = await self.configurations.load(to)
        changes = candidate.changes
        # on disk before anything is decided by it: the history names the version
        version = await self.configurations.record(candidate, who)
        self.plugin_host.adopt(candidate.plugins)
        self._apply(candidate.config, changes, version)
        closed = 0
        for name in self.config.systems:
            closed += await self.ledger.enforce_limit(name, who)
        log.info(
            "reloaded",
            who=who,
            version=version,
            back_to=to,
            added=changes.added,
            removed=changes.removed,
            closed=closed,
        )
        counts = await self.configurations.count_effects(closed)
        return r.Reload(applied=True, version=version, plan=self.configurations.outcome(candidate, counts))

    async def reload_effects(
        self, caller: Caller, *, plan: bool, to: int | None, after: str | None, limit: int
    ) -> r.EffectPage:
        """Which actions the last reload concerned or, with ``plan``, which ones the next would; for admins."""
        caller.require(Role.ADMIN, "reload_effects")
        return await self.configurations.effects(plan=plan, to=to, after=after, limit=limit)

    async def retention(self, *, plan: bool) -> r.Retention:
        """How long what is kept, what was removed, and what is due to go; with ``plan`` by what the file says now."""
        settings = (await self.configurations.load(None)).config.retention if plan else self.config.retention
        return await retention_view(self.read_at_length, settings, self._retention.last, self._given.clock.now_ms())

    async def config_history(self, *, before: int | None, limit: int) -> r.ConfigVersions:
        """The configurations that were in force, the newest first."""
        return await self.configurations.history(before=before, limit=limit)

    async def config_show(self, caller: Caller, version: int | None) -> r.ConfigText:
        """One configuration's text; for admins."""
        caller.require(Role.ADMIN, "config_show")
        return await self.configurations.show(version)

    async def config_diff(self, caller: Caller, a: int, b: int) -> r.ConfigDifference:
        """What has changed from version ``a`` to ``b``; for admins."""
        caller.require(Role.ADMIN, "config_diff")
        return await self.configurations.difference(a, b)

    def _apply(self, new: Config, changes: ConfigDiff, version: int) -> None:
        # no await in here: everybody sees the old configuration or the new one, never a part
        given = self._given
        given.redactor.set((*self.config.secrets, *new.secrets))
        old = self.config
        running = replace(
            new,
            daemon=replace(
                new.daemon,
                state_directory=old.daemon.state_directory,
                control_socket=old.daemon.control_socket,
            ),
            callbacks=replace(new.callbacks, host=old.callbacks.host, port=old.callbacks.port),
            metrics=old.metrics,
        )
        self.configurations.put_in_force(running, version)
        self.plugin_host.watch.set_limit(running.daemon.loop_warning_ms)
        given.set_logs(running.daemon.log_format, running.daemon.log_level)
        if new.notify != old.notify:
            self._notifier.reconfigure()
        self.traces.reconfigure(new.tracing)
        self._callback_limits = _callback_limits(new.callbacks)
        if new.retention != old.retention:
            self._retention.reconfigure()
        if new.callbacks.public_url_given:
            self._public_url = new.callbacks.public_url
        self._fleet.apply(old, self.config, changes, version)
        self._fleet.tell_held(self._live_systems())

    def _make_lane(self, system: SystemConfig, paused: bool) -> Lane:
        return Lane(
            system,
            adapter_class=self.plugin_host.plugins.adapters[system.adapter],
            ledger=self.ledger,
            clock=self._given.clock,
            network=self._given.network,
            callback_url=partial(self._callback_url, system.name),
            paused=paused,
            measures=self.measured.of_lane(system.name),
            traceparent=self.traces.traceparent,
        )

    def clock_jumped(self, by_seconds: float) -> None:
        """Note that the wall clock was set. Whatever waits for a time looks again by itself."""
        self.measured.daemon.clock_jumps += 1
        log.warning("clock jumped", by_seconds=round(by_seconds, 3))

    def _live_systems(self) -> set[str]:
        return {system for (system, _), count in self.ledger.counts.items() if count > 0}

    # -- what others ask

    async def read(self, question: Callable[[ReadStore], T]) -> T:
        """Ask the store something, beside the writer."""
        return await self._given.reading.run(question, self._reader)

    async def read_at_length(self, question: Callable[[ReadStore], T]) -> T:
        """As :meth:`read`, for what looks at very many rows: no short question waits behind it."""
        return await self._given.counting.run(question, self._counter)

    def limit_of(self, system: str) -> int | None:
        """Today's retry limit of a system; None where it is not configured."""
        config = self.config.systems.get(system)
        return None if config is None else config.policy.retry.limit

    def now_ms(self) -> int:
        """The time, in milliseconds since the epoch."""
        return self._given.clock.now_ms()

    def queues(self) -> Mapping[str, str | None]:
        """Every queue that the configuration knows, and what it is for."""
        return self.config.queues

    def is_paused(self, system: str) -> bool:
        """Whether a person has stopped the system's lane."""
        return system in self._fleet.paused

    async def pause(self, system: str, paused: bool, caller: Caller) -> None:
        """Stop a system's lane, or let it go on, on behalf of an admin; kept over restarts."""
        caller.require(Role.ADMIN, "pause" if paused else "resume")
        await self.ledger.perform_at_once(SetPaused(system, paused, caller.name))
        self._fleet.pause(system, paused, caller.name)

    def present(self, system: str) -> Present:
        """How things are at the moment for the actions of a system, configured or not."""
        lane = self.lanes.get(system)
        return Present(
            now=self._given.clock.now_ms(),
            config_version=self.configurations.version,
            policy=self._fleet.book.of(system),
            configured=system in self.config.systems,
            paused_by=self._fleet.paused.get(system),
            stopping=self._stop.is_set(),
            lane=None if lane is None else lane_state(lane),
        )

    def systems_view(self) -> list[r.System]:
        """Every configured system, and every other one that still has actions (they are held)."""
        return systems_view(self.config, self.lanes, self.ledger, self._fleet.paused)

    async def examine(self, caller: Caller, limit_seconds: float) -> r.Diagnosis:
        """What is the matter with the daemon and with all that it needs, for an admin; each check within the time."""
        caller.require(Role.ADMIN, "doctor")
        # here, for it is seldom asked for, and would take a twentieth of every start
        from connectord.doctor.examination import Running, Subject, examine

        systems = self.systems_view()
        glance = await self.read(lambda store: store.glance([system.name for system in systems]))
        disk, given = await self.configurations.compare_with_file(), self._given
        running = Running(
            started=self._started,
            version=self.configurations.version,
            changed_keys=disk.keys,
            problems=disk.problems,
            lanes=self.lanes,
            systems=systems,
            owners=self.notification_backlog(),
            glance=glance,
        )
        subject = Subject(self.config, disk.plugins, given.network, self.now_ms(), given.environ, running)
        return await examine(subject, limit_seconds)

    def notification_backlog(self) -> r.NotificationBacklog:
        """What case owners still have to be told; costs no look into the store."""
        return backlog_view(self.ledger, self._notifier.channel)

    async def retry_notifications(self, caller: Caller) -> int:
        """Make every undelivered notification due now, and try the channel at once; how many there are.

        On behalf of an operator.
        """
        caller.require(Role.OPERATOR, "notifications_retry")
        count = await self.ledger.hasten_notifications()
        self._notifier.retry()
        log.info("notifications made due", who=caller.name, count=count)
        return count

    def status_view(self) -> r.Status:
        """The daemon as a whole; costs no look into the store."""
        now = self._given.clock.now_ms()
        source = self.config.source
        return r.Status(
            version=__version__,
            pid=os.getpid(),
            started_at=rfc3339(self._started_at),
            uptime_seconds=(now - self._started_at) / 1000,
            state_directory=str(self.config.daemon.state_directory),
            callbacks=self._public_url,
            config_version=self.configurations.version,
            config_file=None if source is None else str(source),
            systems=len(self.config.systems),
            counts=counts_by_state(self.ledger),
            in_flight=self._fleet.in_flight,
            commits=self.ledger.commits,
            last_seq=self.ledger.watchers.newest,
            notifications=self.notification_backlog(),
            stopping=self._stop.is_set(),
            log_held=log_held_view(self._log_watch),
            longest_block=self.plugin_host.longest_block(),
            plugins=[f"{name} {version}".strip() for (name, _), version in self.plugin_host.plugins.loaded.items()],
        )

    def _callback_url(self, system: str, action_id: str) -> str:
        # whoever gets an address may soon call it: then its system is known without a look into the store
        self._taker.remember(action_id, system)
        return f"{self._public_url}/callback/{self._key.issue(action_id)}"

    async def _read_changes(self, after: int, upto: int, limit: int) -> HistoryPage:
        return await self.read(lambda store: store.history_page(ChangeFilters(), after, upto, limit))

    async def _read_file_state(self) -> FileState:
        return await self.read(lambda store: store.file_state())

    async def _system_of(self, action_id: str) -> str | None:
        try:
            return await self.read(lambda store: store.system_of(action_id))
        except StoreFailed as error:
            # the listener answers its peer whatever happens, and would go on
            self._read_failure = error
            self._read_failed.set()
            raise

    async def _end_on_failed_read(self) -> None:
        await self._read_failed.wait()
        if self._read_failure is not None:
            raise self._read_failure

    def _reader_of(self, system: str) -> Adapter | None:
        lane = self.lanes.get(system)
        return None if lane is None else lane.reader()

    def _authorize(self, peer: Peer) -> Caller | None:
        role = role_of(peer, self.config.control.roles, os.getuid())
        return None if role is None else Caller(_user_name(peer.uid, int(trio.current_time() // 60)), role)


def _callback_limits(settings: CallbackSettings) -> Limits:
    return Limits(
        max_connections=settings.max_connections,
        max_connections_per_address=settings.max_connections_per_address,
        guesses_per_minute=settings.guesses_per_minute,
        trusted_proxies=settings.trusted_proxies,
    )


@lru_cache(256)
def _user_name(uid: int, minute: int) -> str:
    # a look into the user database costs more than a whole submission; a minute is soon enough for a new name
    try:
        return f"user:{pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"uid:{uid}"
