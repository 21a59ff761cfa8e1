"""``connectord run``: from a configuration file to a daemon that serves, in one process."""

from __future__ import annotations

import faulthandler
import gc
import resource
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType

import structlog
import trio

from connectord import __version__
from connectord.callers import SIGNAL
from connectord.clock import watch_clock
from connectord.config import Config, find_config, load_config
from connectord.errors import ConfigurationRefused, ConnectordError, RequestError, StoreFull
from connectord.guards.culprits import Packages
from connectord.observability import Redactor, configure_logging
from connectord.plugins import load_plugins
from connectord.repetition import Collapser
from connectord.store.state_directory import hold_state_directory
from connectord.supervisor import Daemon, Surroundings
from connectord.systemd import Inherited

log = structlog.get_logger()

GC_THRESHOLDS = (50_000, 20, 20)
"""When Python's cycle collector looks for garbage (:func:`gc.set_threshold`).

With a thousand requests in flight tens of thousands of young objects are alive at any time, and the default of 700 new
ones looks at them again and again: about 50 us of processor time a request. Nearly everything here is freed by its
count of references; what forms cycles (exceptions with their tracebacks) waits a little longer.
"""

MOST_DESCRIPTORS = 65_536
"""How far the soft limit on file descriptors is raised: some old programs that plugins may run walk through them."""


def run_daemon(
    config_file: Path | None, *, environ: Mapping[str, str], cwd: Path, inherited: Inherited | None = None
) -> Packages:
    """Run until stopped; the packages of the plugins, of which some may still have threads.

    Raises the :class:`ConnectordError` that kept it from starting or going on.
    """
    # where a watchdog ends the process, its log shows what every thread was at
    faulthandler.enable()
    redactor, collapser = Redactor(), Collapser()
    # already for what plugins do while they are imported
    configure_logging(log_format="json", log_level="info", redactor=redactor)
    plugins = load_plugins()
    path = find_config(config_file, environ, cwd)
    config = load_config(path, adapters=plugins.adapters, notifiers=plugins.notifiers, environ=environ)
    redactor.set(config.secrets)

    def set_logs(log_format: str, log_level: str) -> None:
        configure_logging(
            log_format=log_format, log_level=log_level, redactor=redactor, collapser=collapser, environ=environ
        )

    set_logs(config.daemon.log_format, config.daemon.log_level)
    log.info("starting", version=__version__, config=str(path), state_directory=str(config.daemon.state_directory))
    for problem in plugins.problems:
        log.error("plugin not loaded", problem=problem)
    log.info("plugins loaded", plugins=[f"{name} {version}".strip() for (name, _), version in plugins.loaded.items()])
    tune_collector()
    _raise_descriptor_limit()
    with hold_state_directory(config.daemon.state_directory) as lock:
        surroundings = Surroundings(
            adapters=plugins.adapters,
            plugins=plugins,
            look_for_plugins=lambda known: load_plugins(known=known),
            owns_process=True,
            descriptors=(lock,),
            inherited=inherited or Inherited(),
            environ=environ,
            redactor=redactor,
            set_logs=set_logs,
        )
        try:
            trio.run(_run, config, surroundings, collapser)
        except BaseExceptionGroup as group:
            # trio's nurseries wrap what ended them; the caller wants the one error of ours
            known = group.subgroup(ConnectordError)
            if known is None:
                raise
            raise _first(known) from group
    return lambda: plugins.packages


def _raise_descriptor_limit() -> None:
    """As many file descriptors as this process may have: 1024, a usual soft limit, is less than busy systems need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def tune_collector() -> None:
    """Set the cycle collector of this process up as the daemon's is (:data:`GC_THRESHOLDS`)."""
    gc.set_threshold(*GC_THRESHOLDS)
    # modules, classes and the configuration stay to the end: a full collection need not look at them, not even now
    gc.freeze()
    gc.enable()


async def _run(config: Config, surroundings: Surroundings, collapser: Collapser) -> None:
    daemon = Daemon(config, surroundings)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_signals, daemon)
        nursery.start_soon(collapser.run)
        nursery.start_soon(watch_clock, surroundings.clock, daemon.clock_jumped)
        await daemon.run()
        nursery.cancel_scope.cancel()


async def watch_signals(daemon: Daemon) -> None:
    """SIGHUP reloads; SIGTERM and SIGINT stop, a second one at once. Runs until cancelled."""
    with trio.open_signal_receiver(signal.SIGHUP, signal.SIGTERM, signal.SIGINT) as signals:
        _hear_while_blocked(daemon, signal.SIGTERM, signal.SIGINT)
        async for number in signals:
            if number != signal.SIGHUP:
                daemon.request_stop(now=False)
                continue
            # what is refused is in the log, and changes nothing
            with suppress(ConfigurationRefused, RequestError, StoreFull):
                await daemon.reload(SIGNAL, plan=False)


def _hear_while_blocked(daemon: Daemon, *numbers: signal.Signals) -> None:
    """Note a stop when the signal comes, not only when the loop does: a plugin may block it for ever."""
    heard = 0

    def hear(number: int, frame: FrameType | None) -> None:
        nonlocal heard
        heard += 1
        daemon.end_in_time(now=heard > 1)
        handler = handlers[number]
        if callable(handler):
            handler(number, frame)

    handlers = {int(number): signal.signal(number, hear) for number in numbers}


def _first(group: BaseExceptionGroup[ConnectordError]) -> ConnectordError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if not isinstance(error, ConnectordError):
        raise group
    return error
