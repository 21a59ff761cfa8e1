"""What else there is to know of an action: its last failure, what people and the system said, who was told."""

from __future__ import annotations

from collections.abc import Iterator

from connectord.lifecycle.action import Reason, Resolution, State
from connectord.lifecycle.circumstances import Notification, Present, Story
from connectord.lifecycle.wording import (
    format_moment,
    one_line,
    owner_text,
    quoted,
    rules_text,
    tried_text,
)

# rule 14: it was handed over because nobody knows whether the last try got through
_UNCLEAR = {
    "ProbeUnclear": "whether {} got its last try is unclear",
    "ProbeFailed": "{} could not be asked in the time set whether it got its last try",
}


def facts(story: Story, present: Present) -> Iterator[str]:
    """Sentences, the most telling first; none where there is nothing to add."""
    yield from _last_failure(story, present)
    yield from _handed_over(story, present)
    yield from _last_heartbeat(story, present)
    yield from _owner_told(story, present)
    yield from _changed_limit(story, present)
    yield from _late(story, present)
    yield from _reruns(story)


def _last_failure(story: Story, present: Present) -> Iterator[str]:
    action = story.action
    if action.error_at is None:
        return
    message = "" if action.error_message is None else f": {one_line(action.error_message)}"
    failed_at = format_moment(action.error_at, present.now)
    tried = tried_text(action, action.shown_limit(present.limit_today))
    yield f"The last connection failed at {failed_at}{message}. Tried {tried} times (rule 7)."


def _handed_over(story: Story, present: Present) -> Iterator[str]:
    action, decision = story.action, story.handed_over
    if decision is None or action.todo_at is None:
        return
    at, by = format_moment(action.todo_at, present.now), rules_text(decision.rules)
    since = f"It needed a person from {at} on" if action.state is State.CLOSED else f"It needs a person since {at}"
    if decision.config_version is not None:
        by += f", version {decision.config_version} of the configuration"
    if decision.event in _UNCLEAR:
        reason = "" if action.rejected_reason is None else f": {quoted(action.rejected_reason)}"
        yield f"{since}: {_UNCLEAR[decision.event].format(action.system)} ({by}){reason}."
    elif action.reason is Reason.TIMEOUT:
        yield f"{since}: {action.system} did not respond in the time set ({by})."
    else:
        reason = "" if action.rejected_reason is None else f": {quoted(action.rejected_reason)}"
        yield f"{since}: {action.system} answered that it could not be done ({by}){reason}."


def _last_heartbeat(story: Story, present: Present) -> Iterator[str]:
    action = story.action
    if action.progress_at is None:
        return
    said = [] if action.progress_text is None else [quoted(action.progress_text)]
    if action.progress_percent is not None:
        said.append(f"{action.progress_percent:g} %")
    words = f": {', '.join(said)}" if said else ""
    yield f"The last heartbeat came at {format_moment(action.progress_at, present.now)}{words} (rule 21)."


def _owner_told(story: Story, present: Present) -> Iterator[str]:
    action = story.action
    if story.notification is not None:
        yield _delivery(story.notification, present)
    elif action.state in (State.TODO, State.IN_PROGRESS):
        yield "The case owner was not notified: not of rules 3 and 4 (rule 6)."
    elif "20" in story.newest.rules.split(","):
        yield "The case owner was not notified: not of rule 20."
    elif action.resolution is Resolution.DONE_SUCCESSFULLY:
        yield "The case owner was not notified: only of actions closed unsuccessfully (rules 5 and 9)."


def _delivery(notification: Notification, present: Present) -> str:
    if notification.owner is None:
        return "Nobody was notified: neither the case nor the action names an owner."
    if notification.delivered_at is not None:
        delivered_at = format_moment(notification.delivered_at, present.now)
        return f"It was told to {owner_text(notification.owner)} at {delivered_at}."
    tries, told = notification.tries, f"It is being told to {owner_text(notification.owner)}"
    if tries == 0:
        return f"{told}."
    error = "" if notification.last_error is None else f" ({quoted(notification.last_error)})"
    if notification.next_try_at is None:
        untold = f"It could not be told to {owner_text(notification.owner)}{error}"
        return f"{untold}; it is not tried again by itself: connectorctl notifications --retry does."
    failed = f"{tries} {'try' if tries == 1 else 'tries'} failed{error}"
    return f"{told}: {failed}, the next one is at {format_moment(notification.next_try_at, present.now)}."


def _changed_limit(story: Story, present: Present) -> Iterator[str]:
    action = story.action
    today, shown = present.limit_today, action.shown_limit(present.limit_today)
    if today is None or shown is None:
        return
    exhausted = action.state is State.CLOSED and "9" in story.newest.rules.split(",")
    if exhausted and today > action.attempts:
        yield f"The retry limit is {today} today; that does not wake an action that is closed (rule 10a)."
    if action.state in (State.PENDING, State.ATTEMPTING) and today < shown:
        yield f"The retry limit is {today} today, which decides; {shown} was the one at its last failed try (rule 10)."


def _late(story: Story, present: Present) -> Iterator[str]:
    late = story.late
    if late is None:
        return
    last = f"{quoted(late.last_status)} at {format_moment(late.last_at, present.now)}"
    came = "A response came too late," if late.count == 1 else f"{late.count} responses came too late, the last"
    yield f"{came} {last}: recorded on the card, and changed nothing (rule 15)."


def _reruns(story: Story) -> Iterator[str]:
    if story.rerun_of is not None:
        yield f"It is a rerun of {story.rerun_of} (rule 16)."
    if story.reruns:
        yield f"It was run again as {', '.join(story.reruns)} (rule 16)."
