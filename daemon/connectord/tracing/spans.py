"""From an action's history to spans: a pure function, so that the same history gives the same spans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from connectord.lifecycle.action import Action
from connectord.store.base import AttemptRow, HistoryRow
from connectord.trace_context import attempt_span_id, span_id, trace_of

Kind: TypeAlias = Literal["internal", "server", "client"]
Value: TypeAlias = str | int | bool

MOST_EVENTS = 128
"""How many events one span carries, as in OpenTelemetry's own libraries."""

_FAILED = ("not_connected", "interrupted")
_PEOPLE = ("todo", "in_progress")


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened within a span, at a time in milliseconds."""

    at: int
    name: str
    attributes: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Span:
    """One span. ``seq`` is the row of the history that ended it; ``error`` says why it is one that failed."""

    seq: int
    name: str
    kind: Kind
    trace_id: str
    span_id: str
    parent_id: str | None
    start: int
    end: int
    attributes: Mapping[str, Value]
    events: Sequence[SpanEvent] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class TracedAction:
    """An action with its history, and its attempts in their order."""

    action: Action
    history: Sequence[HistoryRow]
    attempts: Sequence[AttemptRow]


@dataclass(slots=True)
class _Trace:
    """Makes the spans of one action, all of them children of the action's own."""

    action_id: str
    trace_id: str
    root_id: str
    common: Mapping[str, Value] = field(default_factory=dict)

    def child(
        self,
        row: HistoryRow,
        name: str,
        kind: Kind,
        start: int,
        end: int,
        attributes: Mapping[str, Value | None],
        error: str | None = None,
        span: str | None = None,
    ) -> Span:
        return Span(
            row.seq,
            name,
            kind,
            self.trace_id,
            span or span_id(self.action_id, f"{name} {row.seq}"),
            self.root_id,
            start,
            max(end, start),
            {**self.common, **_known(attributes)},
            error=error,
        )


def spans_of(traced: TracedAction) -> list[Span]:
    """Every span that has ended, in the order in which they did."""
    action = traced.action
    trace_id, parent_id = trace_of(action.id, action.traceparent)
    common = {"connectord.action.id": action.id, "connectord.system": action.system}
    trace = _Trace(action.id, trace_id, span_id(action.id, "action"), common)
    spans = [
        *_instants(trace, traced.history),
        *_attempts(trace, traced),
        *_waits(trace, traced.history),
        *_work_of_people(trace, traced.history),
        *_root(trace, traced, parent_id),
    ]
    return sorted(spans, key=lambda span: span.seq)


def _instants(trace: _Trace, history: Sequence[HistoryRow]) -> Iterator[Span]:
    """What has no length in what was committed: the submission, what a system said by itself, the closing."""
    for row in history:
        about = {"connectord.who": row.who, "connectord.rules": row.rules, "connectord.why": row.why}
        source = row.who.partition(":")[0]
        if row.event == "Submitted":
            yield trace.child(row, "submit", "server", row.at, row.at, about)
        elif source == "callback":
            yield trace.child(row, "callback", "server", row.at, row.at, about)
        elif source in ("poll", "probe", "listen"):
            yield trace.child(row, f"{source} answered", "client", row.at, row.at, about)
        if _closes(row):
            yield trace.child(row, "close", "internal", row.at, row.at, about)


def _attempts(trace: _Trace, traced: TracedAction) -> Iterator[Span]:
    history = traced.history
    begun = [
        index for index, row in enumerate(history) if row.event == "AttemptStarted" and row.to_state == "attempting"
    ]
    for index, attempt in zip(begun, traced.attempts, strict=False):
        # a callback may decide the action while the request is still under way: then that row ends the attempt here
        row = next((row for row in history[index + 1 :] if row.to_state != "attempting"), None)
        if row is None:
            continue
        outcome = attempt.outcome or "superseded"
        attributes: dict[str, Value | None] = {
            "connectord.attempt": attempt.number,
            "connectord.outcome": outcome,
            "connectord.manual": attempt.manual,
            "connectord.message": attempt.message,
        }
        yield trace.child(
            row,
            f"attempt {attempt.number}",
            "client",
            attempt.started_at,
            attempt.ended_at or row.at,
            attributes,
            error=(attempt.message or outcome) if outcome in _FAILED else None,
            span=attempt_span_id(trace.action_id, attempt.number),
        )


def _waits(trace: _Trace, history: Sequence[HistoryRow]) -> Iterator[Span]:
    since: int | None = None
    for row in history:
        if row.to_state == "waiting" and row.from_state != "waiting":
            since = row.at
        elif since is not None and row.from_state == "waiting" and row.to_state != "waiting":
            timed_out = row.event == "DeadlinePassed"
            attributes = {"connectord.event": row.event, "connectord.who": row.who}
            yield trace.child(row, "wait", "internal", since, row.at, attributes, row.why if timed_out else None)
            since = None


def _work_of_people(trace: _Trace, history: Sequence[HistoryRow]) -> Iterator[Span]:
    since: int | None = None
    for row in history:
        if row.to_state in _PEOPLE and row.from_state not in _PEOPLE:
            since = row.at
        elif since is not None and row.from_state in _PEOPLE and row.to_state not in _PEOPLE:
            yield trace.child(row, "to do", "internal", since, row.at, {"connectord.who": row.who})
            since = None


def _root(trace: _Trace, traced: TracedAction, parent_id: str | None) -> Iterator[Span]:
    action = traced.action
    row = next((row for row in traced.history if _closes(row)), None)
    if row is None:
        return
    resolution = None if action.resolution is None else action.resolution.value
    attributes: dict[str, Value | None] = {
        "connectord.case": action.case_id,
        "connectord.resolution": resolution,
        "connectord.attempts": action.attempts,
        "connectord.config_version": row.config_version,
    }
    events = [
        SpanEvent(
            each.at, each.event, _known({"rules": each.rules, "why": each.why, "who": each.who, "to": each.to_state})
        )
        for each in traced.history
        if each.seq <= row.seq
    ]
    yield Span(
        row.seq,
        f"action {action.system}",
        "internal",
        trace.trace_id,
        trace.root_id,
        parent_id,
        action.submitted_at,
        max(row.at, action.submitted_at),
        {**trace.common, **_known(attributes)},
        events[:MOST_EVENTS],
        None if resolution == "done_successfully" else row.why,
    )


def _closes(row: HistoryRow) -> bool:
    return row.to_state == "closed" and row.from_state != "closed"


def _known(attributes: Mapping[str, Value | None]) -> dict[str, Value]:
    return {name: value for name, value in attributes.items() if value is not None}
