"""Actions, their cases, their history, and what people are told of them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from connectord.control.results.base import ReasonName, ResolutionName, Result, StateName, Time
from connectord.control.results.notifications import Notification
from connectord.control.results.systems import Circuit


class ConnectionError(Result, frozen=True, kw_only=True):  # noqa: A001 - interface.md's name in CamelCase
    """Rule 7's error message: when, why, how often, and what comes next; ``text`` says it all in words."""

    at: Time
    message: str | None
    next_try_at: Time | None
    attempts: int
    retry_limit: int | None
    text: str | None


class Progress(Result, frozen=True, kw_only=True):
    """The last heartbeat (rule 21). ``percent`` is 0 to 100."""

    at: Time
    text: str | None
    percent: float | None


class LateResponse(Result, frozen=True, kw_only=True):
    """A response that came too late to decide anything (rule 15)."""

    at: Time
    status: str
    reason: str | None
    data: dict[str, Any]


class Origin(Result, frozen=True, kw_only=True):
    """Which response set custom data: the action that it was for, when it came, and by which way.

    ``attempt`` is the number of the attempt whose answer it was, null where no attempt brought it. ``seq`` is its row
    of the history.
    """

    seq: int
    action: str
    at: Time
    by: Literal["callback", "attempt", "person"]
    attempt: int | None
    who: str


class Action(Result, frozen=True, kw_only=True):
    """An action: its info card. ``retry_limit`` is the one to show (rule 10).

    In a list, and among a case's actions, ``late_responses`` and ``notifications`` are empty and ``response`` is null:
    ``show`` has them.
    """

    id: str
    system: str
    case: str | None
    owner: str | None
    key: str | None
    state: StateName
    label: str
    reason: ReasonName | None
    resolution: ResolutionName | None
    rejected_reason: str | None
    attempts: int
    retry_limit: int | None
    submitted_at: Time
    due_at: Time | None
    deadline: Time | None
    reference: str | None
    """The system's own name for the work."""
    next_poll_at: Time | None
    """When the system is asked for the response next; null where it is not polled."""
    probing: bool
    """Whether the system is asked what became of the last attempt before another one (rule 14)."""
    todo_at: Time | None
    closed_at: Time | None
    assigned_to: dict[str, str] | None
    """``{"queue": NAME}`` or ``{"user": NAME}``"""
    data: dict[str, Any]
    response_data: dict[str, Any]
    rerun_of: str | None
    held: bool
    """Whether its system is not configured any more; it goes on when the system is back."""
    highlighted: bool
    """Whether a view makes it stand out: it was closed unsuccessfully (rule 9)."""
    response: Origin | None
    """What brought ``response_data``; null where nothing did, or before that was recorded."""
    connection_error: ConnectionError | None
    circuit: Circuit | None = None
    """In ``show``: where it is due and its system's circuit keeps it from being tried."""
    progress: Progress | None
    late_responses: list[LateResponse]
    notifications: list[Notification]


class Actions(Result, frozen=True, kw_only=True):
    """Some actions."""

    actions: list[Action]


class ActionPage(Result, frozen=True, kw_only=True):
    """A page of actions, the newest first; ``next`` is the next call's ``after``, null on the last page."""

    actions: list[Action]
    next: str | None


class Field(Result, frozen=True, kw_only=True):
    """A top-level field of a case's data. ``origin`` is null where it was set before merges were recorded."""

    value: Any
    origin: Origin | None


class Case(Result, frozen=True, kw_only=True):
    """A case with a page of its actions, the newest first. Highlighted ones bear the label that says why.

    ``next`` is the next call's ``after``, null on the last page.
    """

    id: str
    owner: str | None
    data: dict[str, Any]
    fields: dict[str, Field]
    actions: list[Action]
    next: str | None


class Merge(Origin, frozen=True, kw_only=True):
    """Custom data as it was merged into a case: its fields replaced those of the same name."""

    data: dict[str, Any]


class MergePage(Result, frozen=True, kw_only=True):
    """A page of merges, the oldest first; ``next`` is the next call's ``after``, null on the last page."""

    merges: list[Merge]
    next: int | None


class Change(Result, frozen=True, kw_only=True):
    """One change of an action's state (rule 18). ``seq`` is the order in which everything happened."""

    seq: int
    action: str
    at: Time
    from_: StateName | None = msgspec.field(name="from")
    to: StateName
    event: str
    rules: str
    why: str
    who: str
    note: str | None
    config_version: int | None
    """The version of the configuration that was in force; see ``config_history``."""


class History(Result, frozen=True, kw_only=True):
    """Every change of one action."""

    history: list[Change]


class Event(Change, frozen=True, kw_only=True):
    """What ``watch`` tells: a change, and which system and case it concerns."""

    system: str | None
    case: str | None


class Decision(Result, frozen=True, kw_only=True):
    """What brought an action to where it is: the newest row of its history. ``text`` says it in words."""

    at: Time
    event: str
    rules: list[str]
    why: str
    who: str
    note: str | None
    config_version: int | None
    """The version of the configuration that decided; see ``config_history``."""
    text: str


class Remedy(Result, frozen=True, kw_only=True):
    """What can be done now, and the command for it; what stands in capitals is to be filled in."""

    words: str
    command: str


class Explanation(Result, frozen=True, kw_only=True):
    """Why an action is where it is. Sentences are whole ones, in English; ``text`` says all of it.

    ``until`` is null where nothing sets an end to the wait. ``next`` is what happens by itself, ``known`` what else
    there is to know. ``config_version`` is the configuration in force now: it decides what comes.
    """

    id: str
    system: str
    case: str | None
    state: StateName
    label: str
    waits_for: str
    until: Time | None
    decided_by: Decision
    config_version: int
    next: list[str]
    known: list[str]
    can_do: list[Remedy]
    text: str


class Attempt(Result, frozen=True, kw_only=True):
    """One try to hand the action over; ``outcome`` is null while it is under way."""

    number: int
    manual: bool
    started_at: Time
    ended_at: Time | None
    outcome: Literal["taken", "succeeded", "rejected", "not_connected", "interrupted"] | None
    message: str | None


class Attempts(Result, frozen=True, kw_only=True):
    """Every attempt of one action."""

    attempts: list[Attempt]


class Rerun(Result, frozen=True, kw_only=True):
    """The new actions of a rerun (rule 16), and how many they are; a dry run only counts.

    ``left_out`` is how many of the selection were run again before.
    """

    count: int
    left_out: int
    actions: list[Action]
