"""Is it well? What ``status`` says first, found from plain values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from connectord.control import results as r
from connectord.store.base import Glance
from connectord.times import rfc3339

LEAST_FREE_BYTES = 256 * 1024 * 1024
"""Less on the disk is serious: the store takes nothing once it is full."""

LONG_DUE_MS = 5 * 60_000
"""An action of a system that works should not be due for so long."""

_NOT_REACHED = ("failing", "fault")


def with_verdict(status: r.Status, systems: Sequence[r.System], glance: Glance, now: int) -> r.Status:
    """``status`` with the systems, the ages, the store's sizes, and whether that is well. ``now`` is milliseconds."""
    troubles = sorted(_troubles(status, systems, glance, now), key=lambda trouble: not trouble.serious)
    serious = any(trouble.serious for trouble in troubles)
    return msgspec.structs.replace(
        status,
        verdict="not_well" if serious else "degraded" if troubles else "well",
        troubles=troubles,
        by_system=list(systems),
        oldest=_ages(glance, now),
        store=r.StoreSize(
            database_bytes=glance.database_bytes, wal_bytes=glance.wal_bytes, free_bytes=glance.free_bytes
        ),
    )


def _ages(glance: Glance, now: int) -> r.Ages:
    due = [at for at in glance.due.values() if at <= now]
    submitted = {
        state: rfc3339(glance.oldest[state]) if state in glance.oldest else None
        for state in ("pending", "attempting", "waiting", "todo", "in_progress")
    }
    return r.Ages(**submitted, due_since=rfc3339(min(due)) if due else None)


def _troubles(status: r.Status, systems: Sequence[r.System], glance: Glance, now: int) -> Iterator[r.Trouble]:
    if status.stopping:
        yield _trouble("daemon", "it is stopping, and attempts nothing new", None)
    if glance.free_bytes < LEAST_FREE_BYTES:
        words = f"only {glance.free_bytes // 1024 // 1024} MiB are free on the disk of {status.state_directory}"
        yield _trouble("store", words, "connectorctl doctor", serious=True)
    if (held := status.log_held) is not None:
        by = ", ".join(held.by) or "a process that cannot be seen"
        words = f"a reader holds up the write-ahead log since {held.since}, so that it grows: open in {by}"
        yield _trouble("store", words, "connectorctl doctor")
    channel = status.notifications.channel
    if channel.state == "down":
        words = f"case owners cannot be reached by {channel.via}: {channel.last_error or 'no reason is known'}"
        yield _trouble("owners", words, "connectorctl notifications")
    running = [system for system in systems if system.state == "running"]
    # one that fails is its own trouble; where all of them fail it is ours, or the network's
    all_fail = bool(running) and all(system.health in _NOT_REACHED for system in running)
    for system in systems:
        yield from _of_system(system, glance.due, now, serious=all_fail)


def _of_system(system: r.System, due: Mapping[str, int], now: int, *, serious: bool) -> Iterator[r.Trouble]:
    name, backlog = system.name, system.pending + system.waiting
    match system.state:
        case "held":
            words = f"{_actions(backlog)} held: the system is not configured any more"
            yield _trouble(name, words, f"connectorctl list --system {name}")
            return
        case "paused":
            yield _trouble(
                name, f"paused by a person, with {_actions(backlog)} before it", f"connectorctl resume {name}"
            )
            return
    match system.health:
        case "failing":
            words = f"cannot be reached: {system.last_error or 'no reason is known'}"
            if system.circuit is not None and system.circuit.next_trial_at is not None:
                words += f"; its circuit is open, next trial at {system.circuit.next_trial_at}"
            yield _trouble(name, words, f"connectorctl list --system {name} --retrying", serious=serious)
        case "fault":
            words = f"its adapter is at fault: {system.last_error or 'no reason is known'}"
            yield _trouble(name, words, "connectorctl systems", serious=serious)
        case "not listening":
            yield _trouble(name, f"its adapter does not hear responses: {system.last_error}", "connectorctl systems")
        case _ if system.circuit is not None and system.circuit.state != "closed":
            words = (
                f"its circuit is {system.circuit.state.replace('_', '-')}: {system.last_error or 'no reason is known'}"
            )
            yield _trouble(name, words, f"connectorctl list --system {name} --retrying")
        case _ if now - due.get(name, now) > LONG_DUE_MS:
            minutes = (now - due[name]) // 60_000
            words = (
                f"{_actions(system.pending)} pending, one of them due for {minutes} min: more comes than it may take"
            )
            yield _trouble(name, words, "connectorctl systems")


def _trouble(about: str, words: str, command: str | None, *, serious: bool = False) -> r.Trouble:
    return r.Trouble(serious=serious, about=about, words=words, command=command)


def _actions(count: int) -> str:
    return f"{count} {'action' if count == 1 else 'actions'}"
