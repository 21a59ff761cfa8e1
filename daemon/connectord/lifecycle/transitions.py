"""The life of an action, as one table that reads like lifecycle.md.

:data:`TABLE` has a row for everything that can happen; :data:`REFUSALS` names everything that cannot, and says
why. :func:`decide` finds the row. Every pair of state and event is in exactly one of the two, which a test walks;
docs/lifecycle.md is generated from them.

This is a pure function over plain values: the time, the policy and a random draw come in with the
:class:`Moment`, and whatever has to be written comes out as effects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, TypeAlias

import msgspec

from connectord.errors import Refused
from connectord.lifecycle import events as on
from connectord.lifecycle import steps as do
from connectord.lifecycle.action import Action, State
from connectord.lifecycle.effects import AttemptOutcome, Effect, EndAttempt, KeepLateResponse
from connectord.lifecycle.steps import Moment

Step: TypeAlias = Callable[[Action, Any, Moment], do.Result]
Condition: TypeAlias = Callable[[Action, Any, Moment], bool]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: in ``state``, on ``event``, if ``when`` holds, the action goes to ``to`` by ``rules``.

    ``why`` is what the history says. A row without ``history`` leaves none: nothing changed that a person would
    look for there.
    """

    state: State
    event: type[on.Event]
    to: State
    rules: str
    why: str
    then: Step
    when: Condition | None = None
    history: bool = True


class Transition(msgspec.Struct, frozen=True):
    """What an event came to: the action as it is now, the row that decided, and what has to be written along."""

    action: Action
    row: Row
    effects: tuple[Effect, ...]

    @property
    def late(self) -> bool:
        """Whether it was a response that came too late to decide anything (rule 15)."""
        return any(isinstance(effect, KeepLateResponse) for effect in self.effects)


P, A, W, T, I, C = State  # noqa: E741  - the states, by their first letters, so that the table fits the eye

_HEARTBEAT = "heartbeat: the system is still at work"
_LATE = "late response, recorded"
_ASKED_FIRST = "the system is asked about the last try first"
_NOT_PROBED = "not about an attempt that is asked for: nothing to decide"

# fmt: off
TABLE: tuple[Row, ...] = (
    # Pending: to be attempted at due_at
    Row(P, on.AttemptStarted,     P, "14",    _ASKED_FIRST, do.stay, do.to_be_probed, history=False),
    Row(P, on.AttemptStarted,     C, "10c,9", "the retry limit is reached: no further tries", do.close_exhausted, do.limit_reached),
    Row(P, on.AttemptStarted,     A, "14",    "attempt begins", do.start_attempt),
    Row(P, on.LimitChanged,       P, "14",    _ASKED_FIRST, do.stay, do.to_be_probed, history=False),
    Row(P, on.LimitChanged,       C, "10c,9", "the retry limit was lowered to what was tried already", do.close_exhausted, do.limit_reached),
    Row(P, on.LimitChanged,       P, "10b",   "goes on until the new limit", do.stay, history=False),
    Row(P, on.RetryRequested,     P, "8,14",  "asked for by hand: the system is asked now about the last try", do.make_due_now, do.to_be_probed),
    Row(P, on.RetryRequested,     P, "8",     "retry now, asked for by hand", do.make_due_now),
    Row(P, on.SuccessReceived,    C, "15,2",  "an earlier try got through: successful response", do.close_successful),
    Row(P, on.FailureReceived,    T, "15,3",  "an earlier try got through: unsuccessful response", do.hand_over_rejected),
    Row(P, on.HeartbeatReceived,  P, "21",    _HEARTBEAT, do.show_progress, history=False),
    Row(P, on.Cancelled,          C, "5",     "closed unsuccessfully by hand", do.cancel),
    Row(P, on.ProbeFoundTaken,    P, "15",    _NOT_PROBED, do.stay, do.not_the_attempt_probed, history=False),
    Row(P, on.ProbeFoundTaken,    C, "14,19", "the last try got through: taken by the system; no response is expected", do.close_taken, do.no_response_expected),
    Row(P, on.ProbeFoundTaken,    W, "14,1",  "the last try got through: taken by the system; its response is awaited", do.await_response),
    Row(P, on.ProbeFoundNothing,  P, "15",    _NOT_PROBED, do.stay, do.not_the_attempt_probed, history=False),
    Row(P, on.ProbeFoundNothing,  C, "14,9",  "the last try did not get through, and it was the last one", do.close_exhausted, do.limit_reached),
    Row(P, on.ProbeFoundNothing,  P, "14",    "the last try did not get through; tried again", do.retry_after_probe),
    Row(P, on.ProbeUnclear,       P, "15",    _NOT_PROBED, do.stay, do.not_the_attempt_probed, history=False),
    Row(P, on.ProbeUnclear,       T, "14,3",  "whether the last try got through is unclear: a person must look", do.hand_over_unclear),
    Row(P, on.ProbeFailed,        P, "15",    _NOT_PROBED, do.stay, do.not_the_attempt_probed, history=False),
    Row(P, on.ProbeFailed,        T, "14,4",  "the system could not be asked about the last try within the time set", do.hand_over_unasked, do.probed_for_too_long),
    Row(P, on.ProbeFailed,        P, "14,13", "the system could not be asked; asked again later", do.probe_later, history=False),

    # Connecting: an attempt is under way
    Row(A, on.TakenBySystem,      A, "15",    "about another attempt: recorded with it", do.stay, do.not_the_attempt_under_way, history=False),
    Row(A, on.TakenBySystem,      C, "19",    "taken by the system; no response is expected", do.close_taken, do.no_response_expected),
    Row(A, on.TakenBySystem,      W, "1",     "taken by the system; its response is awaited", do.await_response),
    Row(A, on.ConnectionFailed,   A, "15",    "about another attempt: recorded with it", do.stay, do.not_the_attempt_under_way, history=False),
    Row(A, on.ConnectionFailed,   P, "12,14", "connection failed, yet it may have got through; the system is asked first", do.probe_then_retry_later, do.outcome_unknown),
    Row(A, on.ConnectionFailed,   C, "9",     "the last try failed", do.fail_and_close_exhausted, do.limit_reached),
    Row(A, on.ConnectionFailed,   P, "7",     "connection failed; tried again later", do.retry_later),
    Row(A, on.AttemptInterrupted, A, "15",    "about another attempt: recorded with it", do.stay, do.not_the_attempt_under_way, history=False),
    Row(A, on.AttemptInterrupted, P, "14",    "attempt interrupted; the system is asked what became of it", do.probe_then_retry, do.can_be_probed),
    Row(A, on.AttemptInterrupted, C, "14,9",  "the last try was interrupted", do.fail_and_close_exhausted, do.limit_reached),
    Row(A, on.AttemptInterrupted, P, "14",    "attempt interrupted; due again at once", do.retry_at_once),
    Row(A, on.SuccessReceived,    C, "2",     "successful response", do.close_successful),
    Row(A, on.FailureReceived,    T, "3",     "unsuccessful response", do.hand_over_rejected),
    Row(A, on.HeartbeatReceived,  A, "21",    _HEARTBEAT, do.show_progress, history=False),
    Row(A, on.LimitChanged,       A, "11",    "decides when the attempt ends", do.stay, history=False),

    # Waiting: the system took the action
    Row(W, on.SuccessReceived,    C, "2",     "successful response", do.close_successful),
    Row(W, on.FailureReceived,    T, "3",     "unsuccessful response", do.hand_over_rejected),
    Row(W, on.HeartbeatReceived,  W, "21",    _HEARTBEAT + "; the time for the response starts again", do.show_progress_and_extend, do.heartbeat_extends, history=False),
    Row(W, on.HeartbeatReceived,  W, "21",    _HEARTBEAT, do.show_progress, history=False),
    Row(W, on.DeadlinePassed,     W, "4",     "the deadline is still ahead", do.stay, do.deadline_ahead, history=False),
    Row(W, on.DeadlinePassed,     C, "20",    "no response returned", do.close_timed_out, do.closes_on_timeout),
    Row(W, on.DeadlinePassed,     T, "4",     "no response within the time set", do.hand_over_timed_out),
    Row(W, on.LimitChanged,       W, "11",    "changes only what is shown", do.stay, history=False),
    Row(W, on.Cancelled,          C, "5",     "closed unsuccessfully by hand", do.cancel),

    # To Do: a person must look
    Row(T, on.Took,               I, "5",     "taken by a person", do.take),
    Row(T, on.Assigned,           T, "5",     "handed on", do.hand_on),
    Row(T, on.Completed,          C, "5",     "closed by hand", do.complete),
    Row(T, on.LimitChanged,       T, "11",    "changes only what is shown", do.stay, history=False),

    # In Progress: a person has taken it
    Row(I, on.Released,           T, "5",     "handed back", do.release),
    Row(I, on.Assigned,           T, "5",     "handed on", do.hand_on),
    Row(I, on.Completed,          C, "5",     "closed by hand", do.complete),
    Row(I, on.LimitChanged,       I, "11",    "changes only what is shown", do.stay, history=False),

    # Closed: done
    Row(C, on.LimitChanged,       C, "10a",   "changes only what is shown: never tried again", do.stay, history=False),

    # Decided already: what the attempt under way brings, and what comes late, is recorded and changes nothing
    *(Row(state, event, state, "15", "the action is decided: recorded with the attempt", do.stay, history=False)
      for state in (T, I, C) for event in (on.TakenBySystem, on.ConnectionFailed, on.AttemptInterrupted)),
    *(row for state in (T, I, C) for event in (on.SuccessReceived, on.FailureReceived) for row in (
        Row(state, event, state, "15", "the same response again", do.stay, do.same_response_again, history=False),
        Row(state, event, state, "15", _LATE, do.keep_late, history=False))),
    *(Row(state, on.HeartbeatReceived, state, "15,21", _LATE, do.keep_late, history=False) for state in (T, I, C)),
)

_NOT_ATTEMPTED = "no attempt is under way"
_NO_DEADLINE = "it is not waiting for a response"
_UNDER_WAY = "an attempt is under way; what it brings decides"
_AT_WORK = "the system has the action; its response is awaited"
_TODO = "it is a manual action now (To Do)"
_A_PERSON = "a person"
_TAKEN = f"{_A_PERSON} has taken it (In Progress)"
_DONE = "it is closed"
_BY_ITSELF = "the daemon is still at work on it; only a To Do action can be"

REFUSALS: dict[tuple[State, type[on.Event]], str] = {
    (P, on.TakenBySystem):      _NOT_ATTEMPTED,
    (P, on.ConnectionFailed):   _NOT_ATTEMPTED,
    (P, on.AttemptInterrupted): _NOT_ATTEMPTED,
    (P, on.DeadlinePassed):     _NO_DEADLINE,
    (P, on.Took):               f"{_BY_ITSELF} taken",
    (P, on.Released):           f"{_BY_ITSELF} released",
    (P, on.Assigned):           f"{_BY_ITSELF} assigned",
    (P, on.Completed):          f"{_BY_ITSELF} completed; cancel closes it unsuccessfully",

    (A, on.AttemptStarted):     _UNDER_WAY,
    (A, on.DeadlinePassed):     _NO_DEADLINE,
    (A, on.RetryRequested):     "an attempt is under way",
    (A, on.Took):               f"{_BY_ITSELF} taken",
    (A, on.Released):           f"{_BY_ITSELF} released",
    (A, on.Assigned):           f"{_BY_ITSELF} assigned",
    (A, on.Completed):          f"{_BY_ITSELF} completed",
    (A, on.Cancelled):          "an attempt is under way; cancel it when the attempt has ended",

    (W, on.AttemptStarted):     _AT_WORK,
    (W, on.TakenBySystem):      _NOT_ATTEMPTED,
    (W, on.ConnectionFailed):   _NOT_ATTEMPTED,
    (W, on.AttemptInterrupted): _NOT_ATTEMPTED,
    (W, on.RetryRequested):     _AT_WORK,
    (W, on.Took):               f"{_BY_ITSELF} taken",
    (W, on.Released):           f"{_BY_ITSELF} released",
    (W, on.Assigned):           f"{_BY_ITSELF} assigned",
    (W, on.Completed):          f"{_BY_ITSELF} completed; cancel closes it unsuccessfully",

    (T, on.AttemptStarted):     _TODO,
    (T, on.DeadlinePassed):     _NO_DEADLINE,
    (T, on.RetryRequested):     f"{_TODO}; complete it, and rerun it if it is to be tried anew",
    (T, on.Released):           "nobody has taken it",
    (T, on.Cancelled):          f"{_TODO}; complete --unsuccessful closes it",

    (I, on.AttemptStarted):     _TAKEN,
    (I, on.DeadlinePassed):     _NO_DEADLINE,
    (I, on.RetryRequested):     f"{_TAKEN}; complete it, and rerun it if it is to be tried anew",
    (I, on.Took):               f"{_TAKEN}; it has to be released first",
    (I, on.Cancelled):          f"{_TAKEN}; complete --unsuccessful closes it",

    **{(state, event): "no attempt is being asked about"
       for state in (A, W, T, I, C)
       for event in (on.ProbeFoundTaken, on.ProbeFoundNothing, on.ProbeUnclear, on.ProbeFailed)},

    (C, on.AttemptStarted):     _DONE,
    (C, on.DeadlinePassed):     _DONE,
    (C, on.RetryRequested):     f"{_DONE}; rerun makes a new action from it",
    (C, on.Took):               _DONE,
    (C, on.Released):           _DONE,
    (C, on.Assigned):           _DONE,
    (C, on.Completed):          _DONE,
    (C, on.Cancelled):          _DONE,
}
# fmt: on

_ROWS: dict[tuple[State, type[on.Event]], tuple[Row, ...]] = {}
for _row in TABLE:
    _ROWS[_row.state, _row.event] = (*_ROWS.get((_row.state, _row.event), ()), _row)


def decide(action: Action, event: on.Event, moment: Moment) -> Transition:
    """What ``event`` makes of ``action``.

    Raises :class:`connectord.errors.Refused` with the reason where the event cannot be had in this state.
    """
    kind = type(event)
    for row in _ROWS.get((action.state, kind), ()):
        if row.when is None or row.when(action, event, moment):
            after, effects = row.then(action, event, moment)
            return Transition(after, row, (*_end_of_attempt(event), *effects) if kind in _ENDS else effects)
    raise Refused(action.state, refusal(action.state, kind, action.user))


def refusal(state: State, event: type[on.Event], user: str | None = None) -> str:
    """Why ``event`` is refused in ``state``; ``user`` is who has taken the action, named where that is the reason."""
    text = REFUSALS[state, event]
    if user is not None and text.startswith(_TAKEN):
        return f"{user}{text.removeprefix(_A_PERSON)}"
    return text


_ENDS: dict[type[on.Event], tuple[AttemptOutcome, Callable[[Any], str | None]]] = {
    on.TakenBySystem: (AttemptOutcome.TAKEN, attrgetter("reference")),
    on.ConnectionFailed: (AttemptOutcome.NOT_CONNECTED, attrgetter("message")),
    on.AttemptInterrupted: (AttemptOutcome.INTERRUPTED, attrgetter("message")),
    on.SuccessReceived: (AttemptOutcome.SUCCEEDED, lambda _: None),
    on.FailureReceived: (AttemptOutcome.REJECTED, attrgetter("reason")),
}
"""What the attempt that an event is about came to, and what is kept in words; a response may be about none."""


def _end_of_attempt(event: Any) -> tuple[Effect, ...]:
    # An attempt's own end is always written down, also where it no longer decides anything (rule 15).
    if event.attempt is None:
        return ()
    outcome, words = _ENDS[type(event)]
    return (EndAttempt(event.attempt, outcome, words(event)),)
