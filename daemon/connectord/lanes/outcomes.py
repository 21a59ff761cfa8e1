"""From what an adapter's methods return to events of the lifecycle."""

from __future__ import annotations

from connectord.adapters import MAX_REFERENCE_LENGTH, NotThere, Taken, Unclear
from connectord.lanes.calls import Trouble
from connectord.ledger.responses import checked_text, response_event
from connectord.lifecycle import events as on


def attempt_event(outcome: object, attempt: int) -> on.Event:
    """What an attempt came to. Raises :class:`TypeError` or :class:`ValueError` for rubbish."""
    if isinstance(outcome, Taken):
        return on.TakenBySystem(attempt, _reference(outcome, "trigger()"))
    return _response(outcome, "trigger()", "Taken, Succeeded or Rejected", attempt)


def attempt_failed(trouble: Trouble, attempt: int) -> on.ConnectionFailed:
    """An attempt that brought no answer."""
    return on.ConnectionFailed(attempt, trouble.message, trouble.retry_after_ms, trouble.outcome_unknown)


def poll_event(answer: object) -> on.Event | None:
    """What a poll brought; None: nothing yet. Raises as :func:`attempt_event`."""
    return None if answer is None else response_event(answer, "poll()")


def probe_event(answer: object, attempt: int) -> on.Event:
    """What a probe about ``attempt`` brought. Raises as :func:`attempt_event`."""
    match answer:
        case Taken():
            return on.ProbeFoundTaken(attempt, _reference(answer, "probe()"))
        case NotThere():
            return on.ProbeFoundNothing(attempt)
        case Unclear():
            return on.ProbeUnclear(attempt, checked_text(answer.reason, "probe()", "reason"))
    # a response decides whatever it is about (rule 15), and the attempt that brought it has ended already
    return _response(answer, "probe()", "Taken, Succeeded, Rejected, NotThere or Unclear", None)


def probe_failed(trouble: Trouble, attempt: int) -> on.ProbeFailed:
    """A probe that brought no answer."""
    return on.ProbeFailed(attempt, trouble.message, trouble.retry_after_ms)


def _response(outcome: object, source: str, allowed: str, attempt: int | None) -> on.Event:
    event = response_event(outcome, source, attempt)
    if isinstance(event, on.HeartbeatReceived):
        raise TypeError(f"{source} returned Progress; it must be {allowed}")
    return event


def _reference(taken: Taken, source: str) -> str | None:
    if taken.reference is None:
        return None
    reference = checked_text(taken.reference, source, "reference")
    if len(reference) > MAX_REFERENCE_LENGTH:
        raise ValueError(f"{source} returned a reference of more than {MAX_REFERENCE_LENGTH} characters")
    return reference
