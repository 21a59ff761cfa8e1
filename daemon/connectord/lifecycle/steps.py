"""What the rows of the table check and do: conditions and steps, each a pure function of action, event and moment.

A condition's docstring is its wording in docs/lifecycle.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from connectord.lifecycle import events as on
from connectord.lifecycle.action import (
    ATTEMPTING,
    CLOSED,
    DONE_SUCCESSFULLY,
    IN_PROGRESS,
    NOT_DONE_SUCCESSFULLY,
    PENDING,
    TODO,
    WAITING,
    Action,
    Reason,
    Resolution,
    replace,
)
from connectord.lifecycle.allocation import NOTHING_ASKED, Background, allocate
from connectord.lifecycle.effects import Effect, KeepLateResponse, MergeData, Notice, NotifyOwner, OpenAttempt
from connectord.lifecycle.policy import DEFAULT_ASSIGNEE, Policy
from connectord.lifecycle.retry import longest_poll_delay_ms, next_poll_at, respect_retry_after, retry_delay_ms


class Moment(msgspec.Struct, frozen=True):
    """The circumstances of an event: when it happens, under which policy, with which random draw (0 to 1).

    ``background`` has what :func:`connectord.lifecycle.allocation.needs_of` asks for.
    """

    now: int
    policy: Policy
    draw: float = 0.0
    background: Background = NOTHING_ASKED


Result: TypeAlias = tuple[Action, tuple[Effect, ...]]


# -- conditions ----------------------------------------------------------------------------------------------------


def limit_reached(action: Action, event: Any, moment: Moment) -> bool:
    """the retry limit is reached"""
    return 0 < moment.policy.retry.limit <= action.attempts


def not_the_attempt_under_way(action: Action, event: Any, moment: Moment) -> bool:
    """it is not about the attempt under way"""
    return bool(event.attempt != action.attempts)


def to_be_probed(action: Action, event: Any, moment: Moment) -> bool:
    """the system is to be asked about the last try first"""
    return action.probe and moment.policy.probe


def not_the_attempt_probed(action: Action, event: Any, moment: Moment) -> bool:
    """it is not about an attempt that is to be asked for"""
    return not action.probe or bool(event.about != action.attempts)


def can_be_probed(action: Action, event: on.AttemptInterrupted, moment: Moment) -> bool:
    """the adapter can ask the system what became of it"""
    return moment.policy.probe


def outcome_unknown(action: Action, event: on.ConnectionFailed, moment: Moment) -> bool:
    """the system may have got it all the same, and the adapter can ask"""
    return event.outcome_unknown and moment.policy.probe


def probed_for_too_long(action: Action, event: on.ProbeFailed, moment: Moment) -> bool:
    """the system's timeout has passed since the try that it is asked about"""
    return action.scheduled_at is not None and moment.now >= action.scheduled_at + moment.policy.timeout_ms


def no_response_expected(action: Action, event: Any, moment: Moment) -> bool:
    """response_expected = false"""
    return not moment.policy.response_expected


def deadline_ahead(action: Action, event: Any, moment: Moment) -> bool:
    """the deadline is still ahead"""
    return action.deadline is not None and moment.now < action.deadline


def closes_on_timeout(action: Action, event: Any, moment: Moment) -> bool:
    """on_timeout = "close" """
    return moment.policy.on_timeout == "close"


def heartbeat_extends(action: Action, event: Any, moment: Moment) -> bool:
    """heartbeat_extends = true"""
    return moment.policy.heartbeat_extends


def same_response_again(action: Action, event: Any, moment: Moment) -> bool:
    """it is the response that decided the action"""
    return bool(action.response_digest == event.digest)


# -- steps ---------------------------------------------------------------------------------------------------------


def stay(action: Action, event: Any, moment: Moment) -> Result:
    return action, ()


def start_attempt(action: Action, event: on.AttemptStarted, moment: Moment) -> Result:
    number = action.attempts + 1
    started = replace(action, state=ATTEMPTING, attempts=number, due_at=None, probe=False)
    return started, (OpenAttempt(number, action.manual),)


def await_response(action: Action, event: on.TakenBySystem | on.ProbeFoundTaken, moment: Moment) -> Result:
    deadline = moment.now + moment.policy.timeout_ms
    poll = moment.policy.poll
    waiting = replace(
        action,
        state=WAITING,
        deadline=deadline,
        reference=event.reference,
        next_poll_at=None if poll is None else next_poll_at(poll, 0, moment.draw, moment.now, deadline),
        ask_step=0,
        probe=False,
        due_at=None,
        scheduled_at=None,
        manual=False,
        error_at=None,
        error_message=None,
    )
    return waiting, ()


def _close(action: Action, resolution: Resolution, now: int) -> Action:
    return replace(
        action,
        state=CLOSED,
        resolution=resolution,
        closed_at=now,
        due_at=None,
        scheduled_at=None,
        manual=False,
        deadline=None,
        probe=False,
        next_poll_at=None,
    )


def close_taken(action: Action, event: on.TakenBySystem | on.ProbeFoundTaken, moment: Moment) -> Result:
    closed = _close(action, DONE_SUCCESSFULLY, moment.now)
    return replace(closed, reference=event.reference, error_at=None, error_message=None), ()


def close_successful(action: Action, event: on.SuccessReceived, moment: Moment) -> Result:
    closed = _close(action, DONE_SUCCESSFULLY, moment.now)
    return replace(closed, response_digest=event.digest, error_at=None, error_message=None), _merge(event.data)


def _hand_to_people(
    action: Action, reason: Reason, moment: Moment, response: Mapping[str, Any], **changes: Any
) -> Result:
    todo = replace(
        action,
        state=TODO,
        reason=reason,
        todo_at=moment.now,
        due_at=None,
        scheduled_at=None,
        manual=False,
        deadline=None,
        probe=False,
        next_poll_at=None,
        error_at=None,
        error_message=None,
        **changes,
    )
    allocation = allocate(todo, moment.policy.allocation, moment.background, response)
    return replace(todo, queue=allocation.queue, user=allocation.user), allocation.effects


def hand_over_rejected(action: Action, event: on.FailureReceived, moment: Moment) -> Result:
    todo, effects = _hand_to_people(
        action,
        Reason.UPDATED_BY_INTEGRATION,
        moment,
        event.data,
        rejected_reason=event.reason,
        response_digest=event.digest,
    )
    return todo, (*_merge(event.data), *effects)


def hand_over_timed_out(action: Action, event: on.DeadlinePassed, moment: Moment) -> Result:
    return _hand_to_people(action, Reason.TIMEOUT, moment, {})


def close_timed_out(action: Action, event: on.DeadlinePassed, moment: Moment) -> Result:
    return replace(_close(action, NOT_DONE_SUCCESSFULLY, moment.now), reason=Reason.TIMEOUT), ()


def _failed(action: Action, message: str, moment: Moment) -> Action:
    return replace(
        action,
        error_at=moment.now,
        error_message=message,
        limit_at_failure=moment.policy.retry.limit,
        manual=False,
    )


def hand_over_unclear(action: Action, event: on.ProbeUnclear, moment: Moment) -> Result:
    return _hand_to_people(action, Reason.UPDATED_BY_INTEGRATION, moment, {}, rejected_reason=event.reason)


def hand_over_unasked(action: Action, event: on.ProbeFailed, moment: Moment) -> Result:
    reason = f"whether the system got the action could not be found out: {event.message}"
    return _hand_to_people(action, Reason.TIMEOUT, moment, {}, rejected_reason=reason)


def retry_later(action: Action, event: on.ConnectionFailed, moment: Moment) -> Result:
    failed = _failed(action, event.message, moment)
    if action.manual and action.scheduled_at is not None:
        # rule 13: a manual retry does not change the schedule of the tries after it
        due_at = max(action.scheduled_at, moment.now)
        step = action.backoff_step
    else:
        due_at = moment.now + retry_delay_ms(moment.policy.retry, action.backoff_step, moment.draw)
        step = action.backoff_step + 1
    due_at = respect_retry_after(due_at, moment.now, event.retry_after_ms)
    return replace(failed, state=PENDING, due_at=due_at, scheduled_at=due_at, backoff_step=step), ()


def retry_at_once(action: Action, event: on.AttemptInterrupted, moment: Moment) -> Result:
    failed = _failed(action, event.message, moment)
    return replace(failed, state=PENDING, due_at=moment.now, scheduled_at=moment.now), ()


def probe_then_retry_later(action: Action, event: on.ConnectionFailed, moment: Moment) -> Result:
    # due for the question at once, and for another try as if there were none
    failed, effects = retry_later(action, event, moment)
    due_at = respect_retry_after(moment.now, moment.now, event.retry_after_ms)
    return replace(failed, probe=True, ask_step=0, due_at=due_at), effects


def probe_then_retry(action: Action, event: on.AttemptInterrupted, moment: Moment) -> Result:
    failed, effects = retry_at_once(action, event, moment)
    return replace(failed, probe=True, ask_step=0), effects


def retry_after_probe(action: Action, event: on.ProbeFoundNothing, moment: Moment) -> Result:
    scheduled_at = max(action.scheduled_at or 0, moment.now)
    due_at = moment.now if action.manual else scheduled_at
    return replace(action, probe=False, due_at=due_at, scheduled_at=scheduled_at), ()


def probe_later(action: Action, event: on.ProbeFailed, moment: Moment) -> Result:
    due_at = moment.now + retry_delay_ms(moment.policy.retry, action.ask_step, moment.draw)
    due_at = respect_retry_after(due_at, moment.now, event.retry_after_ms)
    later = replace(
        action, due_at=due_at, ask_step=action.ask_step + 1, error_at=moment.now, error_message=event.message
    )
    return later, ()


def postpone_poll(action: Action, moment: Moment, retry_after_ms: int | None) -> Action:
    """The action after a poll that did not decide it; as it is where it is not polled any more.

    No event and no row of the table: nothing happened to it but that the system was asked. ``retry_after_ms`` is the
    system's own wish.
    """
    poll = moment.policy.poll
    if action.next_poll_at is None or action.deadline is None or poll is None:
        return action
    step = action.ask_step + 1
    at = next_poll_at(poll, step, moment.draw, moment.now, action.deadline)
    return replace(action, next_poll_at=respect_retry_after(at, moment.now, retry_after_ms), ask_step=step)


def begin_polling(action: Action, moment: Moment) -> Action:
    """An action that was taken when its system was not polled, and is now; as it is where there is nothing to poll."""
    poll = moment.policy.poll
    if action.next_poll_at is not None or action.deadline is None or poll is None:
        return action
    return replace(action, next_poll_at=next_poll_at(poll, 0, moment.draw, moment.now, action.deadline), ask_step=0)


def shorten_wait(action: Action, moment: Moment) -> Action:
    """The action after the wall clock went back: it waits no longer from now on than it would have had to at first.

    No event and no row of the table, as nothing happened to it. What was computed from a time that is ahead now would
    be waited for until the clock has caught up, however far it went back. A time that somebody named is a date, and
    stays. The action as it is where there is nothing to shorten; it never waits longer for it, nor for it twice.
    """
    now, due = moment.now, action.due_at
    if due is not None and due > now:
        failed = action.error_at
        if failed is not None and now < failed <= due:
            scheduled = action.scheduled_at
            if scheduled is not None:
                scheduled = min(scheduled, now + max(0, scheduled - failed))
            return replace(action, due_at=now + due - failed, scheduled_at=scheduled)
        if (failed is None and action.attempts) or due == action.submitted_at:
            return replace(action, due_at=now)
    elif action.deadline is not None:
        deadline, poll, policy = (
            min(action.deadline, now + moment.policy.timeout_ms),
            action.next_poll_at,
            moment.policy,
        )
        if poll is not None and policy.poll is not None and poll > now + longest_poll_delay_ms(policy.poll):
            return replace(action, deadline=deadline, next_poll_at=now)
        if deadline != action.deadline:
            return replace(action, deadline=deadline)
    return action


def close_exhausted(action: Action, event: Any, moment: Moment) -> Result:
    closed = _close(action, NOT_DONE_SUCCESSFULLY, moment.now)
    return closed, (NotifyOwner(Notice.ATTEMPTS_EXHAUSTED),)


def fail_and_close_exhausted(
    action: Action, event: on.ConnectionFailed | on.AttemptInterrupted, moment: Moment
) -> Result:
    return close_exhausted(_failed(action, event.message, moment), event, moment)


def make_due_now(action: Action, event: on.RetryRequested, moment: Moment) -> Result:
    # one that is due already keeps its place in the lane
    due_at = moment.now if action.due_at is None else min(action.due_at, moment.now)
    return replace(action, due_at=due_at, manual=True), ()


def show_progress(action: Action, event: on.HeartbeatReceived, moment: Moment) -> Result:
    shown = replace(action, progress_at=moment.now, progress_text=event.text, progress_percent=event.percent)
    return shown, ()


def show_progress_and_extend(action: Action, event: on.HeartbeatReceived, moment: Moment) -> Result:
    shown, _ = show_progress(action, event, moment)
    return replace(shown, deadline=moment.now + moment.policy.timeout_ms), ()


def keep_late(action: Action, event: Any, moment: Moment) -> Result:
    match event:
        case on.SuccessReceived():
            late = KeepLateResponse(event.digest, "success", None, event.data)
        case on.FailureReceived():
            late = KeepLateResponse(event.digest, "failure", event.reason, event.data)
        case _:
            late = KeepLateResponse(event.digest, "progress", event.text, {})
    return action, (late,)


def take(action: Action, event: on.Took, moment: Moment) -> Result:
    return replace(action, state=IN_PROGRESS, user=event.user), ()


def release(action: Action, event: on.Released, moment: Moment) -> Result:
    return replace(action, state=TODO, user=None, queue=action.queue or DEFAULT_ASSIGNEE.queue), ()


def hand_on(action: Action, event: on.Assigned, moment: Moment) -> Result:
    return replace(action, state=TODO, user=event.user, queue=event.queue or action.queue), ()


def complete(action: Action, event: on.Completed, moment: Moment) -> Result:
    if event.successful:
        return _close(action, DONE_SUCCESSFULLY, moment.now), _merge(event.data)
    closed = _close(action, NOT_DONE_SUCCESSFULLY, moment.now)
    return closed, (*_merge(event.data), NotifyOwner(Notice.CLOSED_BY_HAND))


def cancel(action: Action, event: on.Cancelled, moment: Moment) -> Result:
    closed = _close(action, NOT_DONE_SUCCESSFULLY, moment.now)
    return closed, (NotifyOwner(Notice.CLOSED_BY_HAND),)


def _merge(data: Any) -> tuple[Effect, ...]:
    return (MergeData(data),) if data else ()
