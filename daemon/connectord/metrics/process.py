"""Metrics of the daemon itself: its edges, its store, its configuration, its process."""

from __future__ import annotations

import platform
import sqlite3
from collections.abc import Iterator

from prometheus_client.core import Metric
from prometheus_client.process_collector import ProcessCollector

from connectord import __version__
from connectord.metrics.families import counter, counters, gauge, gauges, histogram, histograms, info
from connectord.metrics.sources import Sources, Stored

_PROCESS = ProcessCollector(registry=None)


def process_families(sources: Sources, stored: Stored) -> Iterator[Metric]:
    """The families, in the order in which a person would look."""
    yield info(
        "connectord_build",
        "The versions at work.",
        {"version": __version__, "python": platform.python_version(), "sqlite": sqlite3.sqlite_version},
    )
    daemon = sources.daemon
    yield gauges(
        "connectord_stage",
        "1 for where the daemon is in its life, 0 for the others.",
        ("stage",),
        (((stage,), float(stage == daemon.stage)) for stage in ("starting", "ready", "stopping")),
    )
    yield from _configuration(sources)
    yield from _edges(sources)
    yield from _owners(sources)
    yield from _loop(sources)
    yield from _store(sources, stored)
    yield from _tracing(sources)
    yield from _PROCESS.collect()


def _configuration(sources: Sources) -> Iterator[Metric]:
    daemon = sources.daemon
    yield gauge("connectord_config_version", "The version of the configuration in force.", sources.config_version())
    yield counters(
        "connectord_config_reloads",
        "Reloads, by whether they were applied or refused.",
        ("result",),
        ((("applied",), daemon.reloads_applied), (("refused",), daemon.reloads_refused)),
    )
    yield gauge(
        "connectord_config_last_reload_successful",
        "1 unless the last reload was refused.",
        float(daemon.last_reload_applied),
    )
    yield gauge(
        "connectord_config_last_reload_timestamp_seconds",
        "When the last reload was applied or refused; 0 where there was none.",
        (daemon.last_reload_at or 0) / 1000,
    )
    yield gauge(
        "connectord_recovered_attempts",
        "Attempts that this start found interrupted.",
        daemon.interrupted_attempts,
    )


def _edges(sources: Sources) -> Iterator[Metric]:
    callbacks, control = sources.callbacks, sources.control
    yield counters(
        "connectord_callback_requests",
        "Requests to the callback listener, by the status of the answer.",
        ("status",),
        (((str(status),), count) for status, count in list(callbacks.statuses.items())),
    )
    yield histogram(
        "connectord_callback_seconds",
        "From a callback's last byte to its answer, the commit included.",
        callbacks.seconds,
    )
    yield histograms(
        "connectord_control_request_seconds",
        "How long a request of the control socket took, by method.",
        ("method",),
        (((method,), value) for method, value in list(control.seconds.items())),
    )
    yield counters(
        "connectord_control_errors",
        "Requests of the control socket that were answered with an error, by method.",
        ("method",),
        (((method,), count) for method, count in list(control.errors.items())),
    )


def _owners(sources: Sources) -> Iterator[Metric]:
    ledger, since = sources.ledger, sources.ledger.undelivered_since
    yield gauge("connectord_notifications_undelivered", "Notifications that wait in the outbox.", ledger.undelivered)
    yield gauge(
        "connectord_notifications_oldest_age_seconds",
        "Since when the oldest of them waits; 0 where none does.",
        0.0 if since is None else max(sources.clock.now_ms() - since, 0) / 1000,
    )
    yield counters(
        "connectord_notification_deliveries",
        "Deliveries of notifications, by what they came to.",
        ("result",),
        ((("delivered",), sources.notifier.delivered), (("failed",), sources.notifier.failed)),
    )
    yield gauge(
        "connectord_notifier_channel_up", "1 unless owners cannot be reached.", float(not sources.channel().failures)
    )


def _loop(sources: Sources) -> Iterator[Metric]:
    watch = sources.watch
    yield counter("connectord_loop_blocks", "How often the event loop was blocked for too long.", watch.blocks)
    yield counter("connectord_loop_blocked_seconds", "For how long it was, in all.", watch.blocked_seconds)
    yield gauge(
        "connectord_loop_longest_block_seconds",
        "The longest time that the event loop did not come round.",
        0.0 if watch.longest is None else watch.longest.seconds,
    )
    yield counter("connectord_clock_jumps", "How often the wall clock was set.", sources.daemon.clock_jumps)


def _store(sources: Sources, stored: Stored) -> Iterator[Metric]:
    disk = stored.disk
    yield gauge(
        "connectord_store_full", "1 while the store takes nothing.", float(sources.ledger.full_since is not None)
    )
    yield gauges(
        "connectord_store_bytes",
        "Size of the store's files.",
        ("file",),
        ((("database",), disk.database), (("log",), disk.log)),
    )
    yield gauge("connectord_disk_free_bytes", "Free on the state directory's file system.", disk.free)
    yield gauge("connectord_disk_size_bytes", "Size of the state directory's file system.", disk.size)
    yield gauge("connectord_history_last_seq", "The number of the newest change.", sources.ledger.watchers.newest)


def _tracing(sources: Sources) -> Iterator[Metric]:
    tracing = sources.tracing()
    if tracing is None:
        return
    yield counter("connectord_tracing_spans", "Spans that the collector took.", tracing.exported)
    yield counter("connectord_tracing_dropped_spans", "Spans that it refused for good.", tracing.dropped)
    yield counter("connectord_tracing_failures", "Exports that failed and are tried again.", tracing.failures)
    yield gauge("connectord_tracing_behind", "Changes that no span was made of yet.", tracing.behind)
