"""What an action waits for, until when, and what happens next by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from connectord.lifecycle.action import Action, Reason, State
from connectord.lifecycle.allocation import foresee
from connectord.lifecycle.circumstances import LaneState, Present, Story
from connectord.lifecycle.policy import Assignee, Group
from connectord.lifecycle.retry import retry_delay_ms
from connectord.lifecycle.wording import (
    assignee_text,
    format_duration,
    format_moment,
    owner_text,
    quoted,
    tried_text,
    who_text,
)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What it waits for, until when (None: nothing sets an end to it), and what then happens by itself."""

    waits_for: str
    until: int | None
    next: tuple[str, ...]


def outlook(story: Story, present: Present) -> Outlook:
    """What comes next by itself, in any state."""
    return _OUTLOOKS[story.action.state](story, present)


# -- pending: to be attempted --------------------------------------------------------------------------------------


def _pending(story: Story, present: Present) -> Outlook:
    action = story.action
    if action.probe and present.configured and present.policy.probe:
        return _to_be_asked(story, present)
    if present.configured and 0 < present.policy.retry.limit <= action.attempts:
        tried = tried_text(action, action.shown_limit(present.limit_today))
        closes = f"It was tried {tried} times: it is closed unsuccessfully as soon as it comes up (rules 10c and 9)."
        return Outlook("It waits for nothing: it was tried as often as the retry limit allows.", None, (closes,))
    waits_for, begins, until = _turn(action, present)
    following = [begins]
    if present.configured:
        following.append(_if_not_connected(story, present, action.attempts + 1))
    else:
        following.append("The configuration that brings it back says how often it is tried then (rules 10 and 11).")
    if action.attempts > 0:
        following.append("Should an earlier try have got through after all, its response decides (rule 15).")
    return Outlook(waits_for, until, tuple(following))


def _to_be_asked(story: Story, present: Present) -> Outlook:
    """Rule 14: the last try may have got through, and the system is asked before there is another."""
    action, system = story.action, story.action.system
    due_at = present.now if action.due_at is None else action.due_at
    until = due_at if due_at > present.now and present.paused_by is None and not present.stopping else None
    if present.paused_by is not None:
        asked = f"It is asked once {system} is resumed, which {who_text(present.paused_by)} has paused."
    elif until is not None:
        asked = f"It is asked at {format_moment(until, present.now)}."
    elif present.lane is not None and (away := circuit_text(system, present.lane, present.now)) is not None:
        asked = f"It is asked after that: it waits for {away}."
    else:
        asked = "It is asked at any moment."
    timeout = format_duration(present.policy.timeout_ms)
    following = (
        asked,
        f"If {system} has it, that counts as if the try had brought it (rule 14).",
        "If not, it is tried again, or closed where that was the last try (rules 14 and 9).",
        f"If only a person can tell, or it cannot be asked for {timeout}, it becomes To Do (rules 14, 3 and 4).",
    )
    number = _try_text(action, action.attempts, present).lower()
    return Outlook(f"It waits for {system} to say whether it got {number}, which was cut off.", until, following)


def _turn(action: Action, present: Present) -> tuple[str, str, int | None]:
    """What keeps it from being tried now, when its try begins, and until when it waits, if that is known."""
    system, number = action.system, _try_text(action, action.attempts + 1, present)
    due_at = present.now if action.due_at is None else action.due_at
    due_later = due_at > present.now
    # what keeps the lane from starting anything comes before the action's own time
    begins = f"{number} then begins at {format_moment(due_at, present.now)}." if due_later else f"{number} then begins."
    if not present.configured:
        held = f"It is held: its system {system} is not configured any more, so nothing is sent there."
        return held, f"It goes on by itself once {system} is back in connectord.toml. {begins}", None
    if present.stopping:
        return "It waits for the next start: the daemon is stopping and begins no more tries.", begins, None
    if present.paused_by is not None:
        paused = f"It waits for {system} to be resumed, which {who_text(present.paused_by)} has paused."
        return paused, f"It goes on by itself once {system} is resumed. {begins}", None
    if due_later:
        return _own_time(action), f"{number} begins by itself at {format_moment(due_at, present.now)}.", due_at
    asked = ", asked for by hand" if action.manual else ""
    due = f"It is due since {format_moment(due_at, present.now)}{asked}"
    hindrance = None if present.lane is None else _hindrance(action, present.lane, present.now)
    if hindrance is None:
        return f"{due}, and waits for nothing.", f"{number} begins at any moment.", None
    until = None if action.manual or present.lane is None else present.lane.next_trial_at
    begins = f"{number} begins by itself after that."
    return f"{due}, and waits for {hindrance}.", begins, until


def _own_time(action: Action) -> str:
    if action.attempts == 0:
        return "It waits for the time that it was submitted for."
    return "It waits for the time of its next automatic try."


def _hindrance(action: Action, lane: LaneState, now: int) -> str | None:
    system = action.system
    if lane.health == "starting":
        return f"the adapter of {system} to be opened"
    if lane.health == "fault":
        fault = "" if lane.last_error is None else f": {quoted(lane.last_error)}"
        return f"the adapter of {system} to be opened afresh after a fault of its own{fault}"
    if not action.manual and (away := circuit_text(system, lane, now)) is not None:
        return away
    if lane.in_flight >= lane.concurrency:
        return f"a free place: {lane.in_flight} of {lane.concurrency} attempts in {system} are under way"
    if lane.rate_used_up and lane.rate is not None:
        count, per_ms = lane.rate
        return f"its turn: the rate of {system}, {count} tries in {format_duration(per_ms)}, is used up just now"
    return None


def circuit_text(system: str, lane: LaneState, now: int) -> str | None:
    """What keeps tries from going out after many could not connect; None where nothing of that kind does."""
    if lane.circuit == "open":
        at = now if lane.next_trial_at is None else lane.next_trial_at
        when = f"at {format_moment(at, now)}" if at > now else "at any moment"
        error = "" if lane.last_error is None else f" (last: {quoted(lane.last_error)})"
        return f"{system} to be back: its circuit is open, for many tries failed{error}; the next trial is {when}"
    if lane.circuit == "half_open":
        return f"the trials of {system}: its circuit is half-open, and a few tries show whether it is back"
    if lane.places_allowed is not None and lane.in_flight >= lane.places_allowed < lane.concurrency:
        return (
            f"a free place: after an outage of {system} {lane.places_allowed} of {lane.concurrency} tries may be under "
            "way now, and more while they go well"
        )
    return None


# -- attempting ----------------------------------------------------------------------------------------------------


def _attempting(story: Story, present: Present) -> Outlook:
    action = story.action
    started_at = story.newest.at if story.attempt_started_at is None else story.attempt_started_at
    asked = ", asked for by hand," if action.manual else ""
    since = format_moment(started_at, present.now)
    number = _try_text(action, action.attempts, present)
    waits_for = f"It waits for the end of a try: {number.lower()}{asked} is under way since {since}."
    until = None
    following = []
    if present.lane is not None:
        limit_ms = present.lane.attempt_timeout_ms
        until = started_at + limit_ms
        following.append(f"The try may take {format_duration(limit_ms)}; without an answer by then it has failed.")
    following += [_if_taken(present), _RESPONSE_DECIDES, _if_not_connected(story, present, action.attempts)]
    if present.stopping:
        following.append(
            "The daemon is stopping: a try that it breaks off counts, and is due again at the next start (rule 14)."
        )
    return Outlook(waits_for, until, tuple(following))


_RESPONSE_DECIDES = (
    "A successful response closes it as Done Successfully (rule 2), an unsuccessful one makes it To Do (rule 3)."
)


def _if_taken(present: Present) -> str:
    if not present.policy.response_expected:
        return "If the system takes it, it is closed as Done Successfully (rule 19)."
    timeout = format_duration(present.policy.timeout_ms)
    return f"If the system takes it and does not answer yet, its response is awaited for {timeout} (rule 1)."


def _if_not_connected(story: Story, present: Present, number: int) -> str:
    """What becomes of it if try ``number`` fails."""
    action, retry = story.action, present.policy.retry
    if number >= retry.limit:
        told = "no owner is named to be notified" if story.owner is None else f"{owner_text(story.owner)} is notified"
        return f"If that cannot connect it was the last one: closed unsuccessfully, and {told} (rule 9)."
    if not present.configured:
        return f"If that cannot connect it is held until {action.system} is back in connectord.toml (rule 7)."
    if present.paused_by is not None:
        when = f"once {action.system} is resumed"
    elif action.manual and action.scheduled_at is not None:
        # rule 13: the schedule stays
        later = action.scheduled_at > present.now
        when = f"at {format_moment(action.scheduled_at, present.now)}" if later else "at once"
    else:
        when = f"{format_duration(retry_delay_ms(retry, action.backoff_step, 0.0))} later at the earliest"
    return f"If that cannot connect it is tried again {when}, {retry.limit} times in all at most (rule 7)."


def _try_text(action: Action, number: int, present: Present) -> str:
    limit = action.shown_limit(present.limit_today)
    return f"Try {number}" if limit is None else f"Try {number} of {limit}"


# -- waiting -------------------------------------------------------------------------------------------------------


def _waiting(story: Story, present: Present) -> Outlook:
    action = story.action
    taken_at = format_moment(story.newest.at, present.now)
    following = [_RESPONSE_DECIDES, _at_deadline(action, present)]
    if action.next_poll_at is not None and present.configured:
        following.insert(0, f"{action.system} is asked for it at {format_moment(action.next_poll_at, present.now)}.")
    if present.policy.heartbeat_extends:
        timeout = format_duration(present.policy.timeout_ms)
        following.append(f"A heartbeat of the system starts the {timeout} for its response again (rule 21).")
    if not present.configured:
        following.append(
            f"{action.system} is not configured any more: until it is back, a response is read in connectord's own "
            "format only."
        )
    return Outlook(
        f"It waits for the response of {action.system}, which took it at {taken_at}.", action.deadline, tuple(following)
    )


def _at_deadline(action: Action, present: Present) -> str:
    over = action.deadline is not None and action.deadline <= present.now
    unless = "The time for it is over: at any moment" if over else "If none comes by then"
    if present.policy.on_timeout == "close":
        return f"{unless} it is closed unsuccessfully, 'no response returned'; the owner is not notified (rule 20)."
    target = foresee(action, Reason.TIMEOUT, present.policy.allocation)
    match target:
        case Assignee():
            place = f"for {assignee_text(target)}"
        case Group():
            place = f"for whoever's turn it is in the group {target.name}"
        case _:
            place = "for whom the allocation rules name then"
    return f"{unless} it becomes To Do {place} (rule 4); the owner is not notified (rule 6)."


# -- people --------------------------------------------------------------------------------------------------------


def _todo(story: Story, present: Present) -> Outlook:
    action = story.action
    place = "a person" if action.assignee is None else assignee_text(action.assignee)
    whom = "a person to take it" if action.user is None else "a person"
    return Outlook(f"It waits for {whom}: it is To Do for {place}.", None, _ONLY_PEOPLE)


def _in_progress(story: Story, present: Present) -> Outlook:
    who = "a person" if story.action.assignee is None else assignee_text(story.action.assignee)
    since = format_moment(story.newest.at, present.now)
    return Outlook(f"It waits for {who}, who has it in progress since {since}.", None, _ONLY_PEOPLE)


_ONLY_PEOPLE = (
    "Nothing happens by itself: it stays until a person completes it or hands it on (rule 5).",
    "A response that comes now is recorded and changes nothing (rule 15).",
)


# -- closed --------------------------------------------------------------------------------------------------------


def _closed(story: Story, present: Present) -> Outlook:
    return Outlook(
        "It waits for nothing: it is closed.",
        None,
        ("Nothing happens by itself: it stays closed and is never tried again; rerun makes a new action (rule 16).",),
    )


_OUTLOOKS: dict[State, Callable[[Story, Present], Outlook]] = {
    State.PENDING: _pending,
    State.ATTEMPTING: _attempting,
    State.WAITING: _waiting,
    State.TODO: _todo,
    State.IN_PROGRESS: _in_progress,
    State.CLOSED: _closed,
}
