"""The daemon and its systems at a glance, from what is in memory: no look into the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Protocol, TypeVar

from connectord.config import Config, RetentionSettings, format_duration
from connectord.control import results as r
from connectord.lanes.lane import Lane
from connectord.lanes.recovery import Standing
from connectord.ledger.ledger import Ledger
from connectord.lifecycle.circumstances import LaneState
from connectord.notifier import ChannelState
from connectord.store.base import ReadStore
from connectord.times import rfc3339
from connectord.upkeep import LogWatch, Run, prunable

T = TypeVar("T")


class Read(Protocol):
    """Asks the store something, beside the writer."""

    async def __call__(self, question: Callable[[ReadStore], T], /) -> T: ...


def systems_view(config: Config, lanes: Mapping[str, Lane], ledger: Ledger, paused: Collection[str]) -> list[r.System]:
    """Every configured system, and every other one that still has actions (they are held)."""
    held = {system for (system, _), count in ledger.counts.items() if count > 0} - set(config.systems)
    return [
        _system(name, config, lanes.get(name), ledger, paused=name in paused)
        for name in [*config.systems, *sorted(held)]
    ]


def lane_state(lane: Lane) -> LaneState:
    """How a lane is at the moment, as the explanation of an action needs it."""
    rate = lane.config.rate
    return LaneState(
        health=lane.health.state,
        in_flight=lane.in_flight,
        concurrency=lane.config.concurrency,
        attempt_timeout_ms=lane.config.attempt_timeout_ms,
        last_error=lane.health.last_error,
        rate=None if rate is None else (rate.count, rate.per_ms),
        rate_used_up=lane.rate_used_up,
        circuit=lane.circuit.state,
        next_trial_at=lane.circuit.next_trial_at,
        places_allowed=lane.places_allowed,
    )


def circuit_view(standing: Standing) -> r.Circuit:
    """How a circuit stands, as the control socket says it."""
    at = standing.next_trial_at
    return r.Circuit(state=standing.state, next_trial_at=None if at is None else rfc3339(at))


def counts_by_state(ledger: Ledger) -> dict[str, int]:
    """How many actions there are in each live state."""
    totals: Counter[str] = Counter()
    for (_, state), count in ledger.counts.items():
        totals[state] += count
    return dict(totals)


def backlog_view(ledger: Ledger, channel: ChannelState) -> r.NotificationBacklog:
    """What case owners still have to be told, and whether they can be reached."""
    return r.NotificationBacklog(
        undelivered=ledger.undelivered,
        since=None if ledger.undelivered_since is None else rfc3339(ledger.undelivered_since),
        channel=r.Channel(
            via=channel.kind,
            state="down" if channel.failures else "up",
            last_error=channel.error,
            since=None if channel.since is None else rfc3339(channel.since),
            next_try_at=None if channel.retry_at is None else rfc3339(channel.retry_at),
        ),
    )


def log_held_view(watch: LogWatch) -> r.LogHeld | None:
    """Who holds up the write-ahead log, if anybody does."""
    held = watch.held
    return None if held is None else r.LogHeld(since=rfc3339(held.since), by=list(held.by))


async def retention_view(read: Read, settings: RetentionSettings, last: Run, now: int) -> r.Retention:
    """What retention keeps, did, and would do now."""
    kinds = prunable(settings, now)
    record = await read(lambda store: store.retention_record())
    found = await read(lambda store: [store.prunable(kind) for kind in kinds])
    due = dict.fromkeys(("done_successfully", "not_done_successfully"), 0)
    for kind, (count, _) in zip(kinds, found, strict=True):
        due[kind.resolution] += count
    oldest = min((closed_at for _, closed_at in found if closed_at is not None), default=None)
    return r.Retention(
        done_successfully=_age(settings.done_successfully_ms),
        not_done_successfully=_age(settings.not_done_successfully_ms),
        keys=format_duration(settings.keys_ms),
        due=due,
        oldest_due=None if oldest is None else rfc3339(oldest),
        last_run_at=None if last.at is None else rfc3339(last.at),
        last_run_removed=last.removed,
        removed=record.actions,
        removed_at=None if record.last_at is None else rfc3339(record.last_at),
        history_from=record.history_through + 1,
    )


def _age(age_ms: int | None) -> str:
    return "forever" if age_ms is None else format_duration(age_ms)


def _system(name: str, config: Config, lane: Lane | None, ledger: Ledger, *, paused: bool) -> r.System:
    counts = ledger.counts
    system = config.systems.get(name)
    health = "held: not configured" if lane is None else ("paused" if lane.paused else lane.health.shown)
    return r.System(
        name=name,
        adapter=None if lane is None else lane.config.adapter,
        state="held" if lane is None else "paused" if lane.paused else "running",
        health=health,
        last_error=None if lane is None else lane.health.last_error,
        pending=counts[name, "pending"],
        waiting=counts[name, "waiting"],
        todo=counts[name, "todo"],
        in_progress=counts[name, "in_progress"],
        in_flight=0 if lane is None else lane.in_flight,
        concurrency=None if lane is None else lane.config.concurrency,
        places_allowed=None if lane is None else lane.places_allowed,
        circuit=None if lane is None else circuit_view(lane.circuit),
        retry_limit=None if system is None else system.policy.retry.limit,
        paused=paused,
        faults=0 if lane is None else lane.health.faults,
    )
