"""Metrics of the work: what waits, what is done with it, and how long the steps take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import Metric

from connectord.lanes.lane import Lane
from connectord.measures import Histogram, LaneMeasures
from connectord.metrics.families import Values, counter, counters, gauge, gauges, histogram, histograms
from connectord.metrics.sources import REMOVED, Sources, Stored

STATES = ("pending", "attempting", "waiting", "todo", "in_progress")

LANE_STATES = ("starting", "ok", "failing", "not listening", "fault", "paused")
"""What a lane can be in; a system without a lane is in none of them, and its actions are held."""

CIRCUIT_STATES = ("closed", "open", "half_open")

_SYSTEM = ("system",)


def work_families(sources: Sources, stored: Stored) -> Iterator[Metric]:
    """The families, each with a line for every configured system also where there is nothing to count."""
    yield from _backlog(sources, stored)
    yield from _people(sources, stored)
    yield from _steps(sources)
    yield from _lanes(sources)


def _backlog(sources: Sources, stored: Stored) -> Iterator[Metric]:
    now = sources.clock.now_ms()
    systems = sources.config().systems
    counts = dict.fromkeys(((system, state) for system in systems for state in STATES), 0)
    for (system, state), count in sources.ledger.counts.items():
        key = sources.label(system), state
        counts[key] = counts.get(key, 0) + count
    yield gauges(
        "connectord_actions",
        "Actions that are not closed, by system and state.",
        ("system", "state"),
        counts.items(),
    )
    ages = stored.ages
    yield gauges(
        "connectord_oldest_due_age_seconds",
        "Since when the oldest pending action is due; 0 where none is.",
        _SYSTEM,
        _ages(sources, ages.due, now),
    )
    yield gauges(
        "connectord_oldest_waiting_age_seconds",
        "Since when the system has had the action whose deadline comes first; 0 where none waits.",
        _SYSTEM,
        _ages(sources, ages.waiting, now),
    )


def _ages(sources: Sources, since: Mapping[str, int], now: int) -> Values:
    oldest = dict.fromkeys(sources.config().systems, 0.0)
    for system, at in since.items():
        label = sources.label(system)
        oldest[label] = max(oldest.get(label, 0.0), (now - at) / 1000)
    return (((system,), age) for system, age in oldest.items())


def _people(sources: Sources, stored: Stored) -> Iterator[Metric]:
    now = sources.clock.now_ms()
    queues = sources.config().queues
    counts = dict.fromkeys(((queue, state) for queue in queues for state in ("todo", "in_progress")), 0)
    oldest = dict.fromkeys(queues, 0.0)
    for each in stored.people:
        queue = each.queue if each.queue is not None and each.queue in queues else REMOVED
        counts[queue, each.state] = counts.get((queue, each.state), 0) + each.count
        if each.state == "todo" and each.oldest_at is not None:
            oldest[queue] = max(oldest.get(queue, 0.0), (now - each.oldest_at) / 1000)
    yield gauges(
        "connectord_queue_actions",
        "Actions that need a person, by queue; those of no configured queue are (removed).",
        ("queue", "state"),
        counts.items(),
    )
    yield gauges(
        "connectord_queue_oldest_age_seconds",
        "Since when the oldest action that nobody has taken needs a person; 0 where none does.",
        ("queue",),
        (((queue,), age) for queue, age in oldest.items()),
    )


def _steps(sources: Sources) -> Iterator[Metric]:
    measures, lanes = sources.ledger.measures, _lane_measures(sources)
    yield counters(
        "connectord_changes",
        "Committed changes of actions, by what happened and the state that it led to.",
        ("system", "event", "state"),
        (((sources.label(system), event, state), n) for (system, event, state), n in list(measures.changes.items())),
    )
    yield counters(
        "connectord_attempts",
        "Attempts that ended, by what they came to; a fault is one of the adapter.",
        ("system", "outcome"),
        _attempts(sources),
    )
    yield histogram("connectord_submit_seconds", "From a submission to its commit.", measures.submit_seconds)
    yield histogram("connectord_commit_seconds", "How long a commit took.", measures.commit_seconds)
    yield histogram("connectord_commit_batch_size", "How many operations a commit had.", measures.batch_sizes)
    yield histograms(
        "connectord_attempt_delay_seconds",
        "From when an action was due to the begin of its attempt.",
        _SYSTEM,
        ((labels, lane.late_seconds) for labels, lane in lanes),
    )
    yield histograms(
        "connectord_attempt_seconds",
        "How long an attempt took.",
        _SYSTEM,
        ((labels, lane.attempt_seconds) for labels, lane in lanes),
    )
    yield histograms(
        "connectord_response_wait_seconds",
        "From when the system had taken an action, or its last heartbeat that counted, to the response that decided "
        "it, by the timeout in force.",
        _SYSTEM,
        _labelled(sources, measures.response_seconds),
    )
    yield histograms(
        "connectord_action_seconds",
        "From the submission of an action until it was closed.",
        _SYSTEM,
        _labelled(sources, measures.life_seconds),
    )
    yield counters("connectord_polls", "Polls that began.", _SYSTEM, ((labels, lane.polls) for labels, lane in lanes))
    yield counters(
        "connectord_probes", "Probes that began.", _SYSTEM, ((labels, lane.probes) for labels, lane in lanes)
    )
    yield counter(
        "connectord_store_refused_batches",
        "Batches that the store refused, for it was full; nothing of them was taken.",
        measures.refused_batches,
    )


def _attempts(sources: Sources) -> Values:
    for system in sources.config().systems:
        for outcome in ("taken", "succeeded", "rejected", "not_connected", "fault", "interrupted"):
            yield (system, outcome), 0
    for system, measures in list(sources.lane_measures.items()):
        for outcome, count in list(measures.results.items()):
            yield (sources.label(system), outcome), count
    for (name, event, _), count in list(sources.ledger.measures.changes.items()):
        if event == "AttemptInterrupted":
            yield (sources.label(name), "interrupted"), count


def _lanes(sources: Sources) -> Iterator[Metric]:
    lanes = dict(sources.lanes)
    yield gauges(
        "connectord_lane_state",
        "1 for the state that the lane is in, 0 for the others.",
        ("system", "state"),
        (
            ((system, state.replace(" ", "_")), float(state == _state_of(lane)))
            for system, lane in lanes.items()
            for state in LANE_STATES
        ),
    )
    for name, text, values in (
        ("in_flight", "Attempts and probes under way.", ((n, lane.in_flight) for n, lane in lanes.items())),
        ("concurrency", "Calls that may be under way at once.", ((n, e.config.concurrency) for n, e in lanes.items())),
        ("free_places", "Places that nothing is under way in.", ((n, lane.free_places) for n, lane in lanes.items())),
        ("rate_used_up", "1 while the rate lets nothing begin.", ((n, lane.rate_used_up) for n, lane in lanes.items())),
        ("places_allowed", "Attempts that may be under way now.", ((n, e.places_allowed) for n, e in lanes.items())),
        ("given_up_calls", "Calls that were given up and go on.", ((n, lane.given_up) for n, lane in lanes.items())),
    ):
        yield gauges(f"connectord_lane_{name}", text, _SYSTEM, (((system,), float(value)) for system, value in values))
    yield gauges(
        "connectord_lane_circuit",
        "1 for the state that the circuit is in, 0 for the others.",
        ("system", "state"),
        (
            ((system, state), float(state == lane.circuit.state))
            for system, lane in lanes.items()
            for state in CIRCUIT_STATES
        ),
    )
    yield counters(
        "connectord_lane_circuit_openings",
        "How often the circuit opened, or opened again after trials that failed.",
        _SYSTEM,
        (((system,), lane.circuit_openings) for system, lane in lanes.items()),
    )
    yield counters(
        "connectord_lane_faults",
        "Faults of the adapter's own since its lane began.",
        _SYSTEM,
        (((system,), lane.health.faults) for system, lane in lanes.items()),
    )
    held = {system for system, _ in sources.ledger.counts if system not in sources.config().systems}
    yield gauge(
        "connectord_held_actions",
        "Pending actions of systems that are not configured any more: nothing is attempted.",
        sum(sources.ledger.counts[system, "pending"] for system in held),
    )


def _state_of(lane: Lane) -> str:
    return "paused" if lane.paused else lane.health.shown


def _lane_measures(sources: Sources) -> list[tuple[tuple[str], LaneMeasures]]:
    for system in sources.config().systems:
        sources.of_lane(system)
    return [((sources.label(system),), measures) for system, measures in list(sources.lane_measures.items())]


def _labelled(sources: Sources, values: Mapping[str, Histogram]) -> Iterable[tuple[tuple[str], Histogram]]:
    return [((sources.label(system),), value) for system, value in list(values.items())]
