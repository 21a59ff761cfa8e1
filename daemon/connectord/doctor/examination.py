"""All checks, side by side, each within its time."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Protocol, TypeAlias

import trio

from connectord.adapters import Adapter, AdapterContext, Network
from connectord.config import Config, SystemConfig
from connectord.control import results as r
from connectord.doctor import (
    certificates,
    configuration,
    database,
    disk,
    files,
    leftovers,
    machine,
    plugins,
    reachability,
)
from connectord.doctor.findings import diagnosis, error, fine, warning
from connectord.doctor.settings import files_of, may_be_a_file, targets_of
from connectord.errors import Problem
from connectord.guards.faults import words_of
from connectord.plugins import PluginSet
from connectord.store.base import Glance

MOST_AT_ONCE = 16
"""How many systems are looked at at the same time."""

THREADS = 4

Found: TypeAlias = Iterable[r.Finding]
AsyncCheck: TypeAlias = Callable[[], Awaitable[Found]]


class AskableLane(Protocol):
    """A lane that can ask its system whether it is there."""

    @property
    def checks_health(self) -> bool: ...
    async def check_now(self, limit_seconds: float) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Running:
    """What only a running daemon knows.

    ``changed_keys`` of the file differ from the ``version`` in force, and ``problems`` would refuse the file. ``lanes``
    are those of its systems.
    """

    started: machine.Moment
    version: int
    changed_keys: Sequence[str]
    problems: Sequence[Problem]
    lanes: Mapping[str, AskableLane]
    systems: Sequence[r.System]
    owners: r.NotificationBacklog
    glance: Glance


@dataclass(frozen=True, slots=True)
class Subject:
    """What is examined: a configuration, the plugins, and the daemon where one runs. ``now`` is milliseconds."""

    config: Config
    plugins: PluginSet
    network: Network
    now: int
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    running: Running | None = None


async def examine(subject: Subject, limit_seconds: float) -> r.Diagnosis:
    """Run every check for at most ``limit_seconds``, all of them at the same time. Changes nothing."""
    checks = _checks(subject, limit_seconds)
    found: list[list[r.Finding]] = [[] for _ in checks]
    places = trio.CapacityLimiter(MOST_AT_ONCE)

    async def run(number: int, name: str, about: str | None, check: AsyncCheck) -> None:
        async with places:
            with trio.move_on_after(limit_seconds) as limit:
                found[number] += await _safely(name, about, check)
        if limit.cancelled_caught:
            words = f"not finished within {limit_seconds:g} s"
            found[number].append(
                warning(name, words, "give it longer with --timeout; what it waits for is too slow", about)
            )

    async with trio.open_nursery() as nursery:
        for number, (name, about, check) in enumerate(checks):
            nursery.start_soon(run, number, name, about, check)
    return diagnosis(finding for each in found for finding in each)


async def _safely(name: str, about: str | None, check: AsyncCheck) -> list[r.Finding]:
    try:
        return list(await check())
    except OSError as mistake:
        words = f"cannot be looked at: {mistake}"
        return [error(name, words, "run it as root or as the daemon's user, and let that user in", about)]
    except Exception as mistake:  # noqa: BLE001 - an examination that dies of what it looks at helps nobody
        words = f"the check itself failed: {words_of(mistake)}"
        return [error(name, words, "this is a fault of connectord or of a plugin: please report it", about)]


def _checks(subject: Subject, limit_seconds: float) -> list[tuple[str, str | None, AsyncCheck]]:
    config, running = subject.config, subject.running
    directory = config.daemon.state_directory
    now = datetime.fromtimestamp(subject.now / 1000, UTC)
    threads = trio.CapacityLimiter(THREADS)

    def in_thread(check: Callable[[], Found]) -> AsyncCheck:
        # each ends by itself: a list, so that a generator is not left for the loop
        return lambda: trio.to_thread.run_sync(lambda: list(check()), limiter=threads)

    def at_once(findings: Found) -> AsyncCheck:
        async def give() -> Found:
            return findings

        return give

    checks: list[tuple[str, str | None, AsyncCheck]] = [
        ("configuration", None, in_thread(lambda: configuration.check_configuration(config))),
        ("permissions", None, in_thread(lambda: files.check_files(config, subject.environ, os.geteuid()))),
        ("disk", None, in_thread(lambda: disk.check_disk(directory))),
        (
            "clock",
            None,
            in_thread(lambda: machine.check_clock(None if running is None else running.started, machine.Moment.now())),
        ),
        # half of the time for itself: what is cut off from outside would still go on in its thread
        ("database", None, in_thread(lambda: database.check_database(directory, limit_seconds / 2))),
        ("plugins", None, at_once(plugins.check_plugins(subject.plugins, running=running is not None))),
        ("limits", None, in_thread(lambda: machine.check_limits(config))),
    ]
    for system in config.systems.values():
        lane = None if running is None else running.lanes.get(system.name)
        # the adapter has its own time, so that it is told why it was not enough
        patience = limit_seconds * 0.9
        checks.append(("reachability", system.name, partial(_reach, subject, system, lane, patience, now)))
        checks.append(("certificates", system.name, in_thread(partial(_certificates, system, now))))
    if running is not None:
        about_the_file = configuration.compare_with_file(
            config.source, running.version, running.changed_keys, running.problems
        )
        checks.insert(0, ("configuration", None, at_once(about_the_file)))
        checks.append(
            ("leftovers", None, at_once(leftovers.check_backlog(running.systems, running.glance, subject.now)))
        )
        checks.append(("leftovers", "owners", at_once(leftovers.check_owners(running.owners, subject.now))))
    return checks


def _certificates(system: SystemConfig, now: datetime) -> list[r.Finding]:
    judged = [
        certificates.judge_file(key, path, now, system.name)
        for key, path in files_of(system.settings)
        if may_be_a_file(path)
    ]
    return [finding for finding in judged if finding is not None]


async def _reach(
    subject: Subject, system: SystemConfig, lane: AskableLane | None, patience: float, now: datetime
) -> list[r.Finding]:
    """By the adapter's own healthcheck where it has one; and by every address that its settings name."""
    found: list[r.Finding] = []
    asked = await _ask(subject, system, lane, patience)
    if asked is not None:
        found.append(asked)
    for target in targets_of(system.settings):
        found += await reachability.try_target(target, system.name, now)
    if not found:
        words = "not looked at: its adapter cannot be asked, and its settings name no address"
        found.append(fine(reachability.CHECK, words, system.name))
    return found


async def _ask(subject: Subject, system: SystemConfig, lane: AskableLane | None, patience: float) -> r.Finding | None:
    adapter_class = subject.plugins.adapters.get(system.adapter)
    if adapter_class is None or not adapter_class.offers("healthcheck", system.settings):
        return None
    if subject.running is None:
        why = await _ask_afresh(subject.network, system, adapter_class, patience)
    elif lane is None or not lane.checks_health:
        return None
    else:
        why = await lane.check_now(patience)
    if why is None:
        return fine(reachability.CHECK, f"the adapter {system.adapter} reaches it", system.name)
    advice = f"check [systems.{system.name}.{system.adapter}], the network, and whether the system is up"
    return error(reachability.CHECK, f"the adapter {system.adapter} does not reach it: {why}", advice, system.name)


async def _ask_afresh(
    network: Network, system: SystemConfig, adapter_class: type[Adapter], patience: float
) -> str | None:
    """As a lane would, with an instance of its own; why it failed, in words."""
    try:
        with trio.move_on_after(patience) as limit:
            adapter = adapter_class(system.settings, AdapterContext(system.name, 1, network))
            await adapter.open()
            try:
                await adapter.healthcheck()
            finally:
                with trio.move_on_after(5, shield=True):
                    await adapter.close()
    except Exception as mistake:  # noqa: BLE001 - somebody's adapter may raise anything
        return words_of(mistake)
    return f"no answer within {patience:g} s" if limit.cancelled_caught else None
