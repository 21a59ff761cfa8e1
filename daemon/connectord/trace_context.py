"""W3C Trace Context: which trace an action belongs to, and what is passed on of it.

An action's trace is the one that its submitter named or, where none did, one made from the action's id, so that it is
the same after a restart. Span ids are made from the action's id and what the span is of: the same span, sent twice,
is one span.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_ALPHABET = {character: value for value, character in enumerate("0123456789ABCDEFGHJKMNPQRSTVWXYZ")}
_SAMPLED = 1
_RANDOM_BITS = 56
"""How many of a trace id's last bits decide whether it is sampled, as OpenTelemetry has it."""


@dataclass(frozen=True, slots=True)
class TraceParent:
    """What a ``traceparent`` says: the trace, the span of whoever passed it on, and whether that is recorded."""

    trace_id: str
    span_id: str
    sampled: bool


def parse_traceparent(text: str) -> TraceParent:
    """Read the header of W3C Trace Context. Raises :class:`ValueError`, with how it must be."""
    found = _TRACEPARENT.fullmatch(text)
    if found is None:
        raise ValueError("must be 00-TRACE-SPAN-FLAGS in lower-case hex: 2, 32, 16 and 2 digits (W3C Trace Context)")
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more):
        raise ValueError("is of a version that does not exist: begin it with 00, and end it with the flags")
    if not int(trace_id, 16) or not int(span_id, 16):
        raise ValueError("names no trace, or no span: neither may be all zeros")
    return TraceParent(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def trace_of(action_id: str, traceparent: str | None) -> tuple[str, str | None]:
    """The id of the action's trace, and the span that it hangs on (None: it begins the trace)."""
    if traceparent is not None:
        parent = parse_traceparent(traceparent)
        return parent.trace_id, parent.span_id
    return _trace_id(action_id), None


def span_id(action_id: str, what: str) -> str:
    """The id of one span of an action."""
    return blake2b(f"{action_id}/{what}".encode(), digest_size=8).hexdigest()


def attempt_span_id(action_id: str, number: int) -> str:
    """The id of the span of one attempt, which the external system's own spans hang on."""
    return span_id(action_id, f"attempt {number}")


def is_sampled(action_id: str, traceparent: str | None, share: float) -> bool:
    """Whether an action is traced: as its submitter decided, else ``share`` of all, always the same ones."""
    if traceparent is not None:
        return parse_traceparent(traceparent).sampled
    drawn = int(_trace_id(action_id), 16) & ((1 << _RANDOM_BITS) - 1)
    return drawn < share * (1 << _RANDOM_BITS)


def attempt_traceparent(action_id: str, traceparent: str | None, number: int, share: float) -> str:
    """What an external system is told in attempt ``number``."""
    trace_id, _ = trace_of(action_id, traceparent)
    flags = _SAMPLED if is_sampled(action_id, traceparent, share) else 0
    return f"00-{trace_id}-{attempt_span_id(action_id, number)}-{flags:02x}"


def _trace_id(action_id: str) -> str:
    if _ULID.fullmatch(action_id) is None:
        return blake2b(action_id.encode(), digest_size=16).hexdigest()
    value = 0
    for character in action_id:
        value = value << 5 | _ALPHABET[character]
    return f"{value:032x}"
