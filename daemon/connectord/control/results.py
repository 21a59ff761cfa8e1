"""What the control socket's methods answer, as types. JSON Schemas are made from them, and the client is typed by them.

Times are RFC 3339, UTC, to the millisecond. Members may be added in later versions; a reader ignores what it does not
know.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

Time: TypeAlias = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
StateName: TypeAlias = Literal["pending", "attempting", "waiting", "todo", "in_progress", "closed"]
ReasonName: TypeAlias = Literal["updated_by_integration", "timeout"]
ResolutionName: TypeAlias = Literal["done_successfully", "not_done_successfully"]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all results."""


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


class Action(Result, frozen=True, kw_only=True):
    """An action: its info card. ``retry_limit`` is the one to show (rule 10)."""

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
    connection_error: ConnectionError | None
    progress: Progress | None
    late_responses: list[LateResponse]


class Actions(Result, frozen=True, kw_only=True):
    """Some actions."""

    actions: list[Action]


class ActionPage(Result, frozen=True, kw_only=True):
    """A page of actions, the newest first; ``next`` is the next call's ``after``, null on the last page."""

    actions: list[Action]
    next: str | None


class Case(Result, frozen=True, kw_only=True):
    """A case with its actions, the newest first."""

    id: str
    owner: str | None
    data: dict[str, Any]
    actions: list[Action]


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
    """The new actions of a rerun (rule 16), and how many they are; a dry run only counts."""

    count: int
    actions: list[Action]


class System(Result, frozen=True, kw_only=True):
    """One external system: its adapter, how it is, and how much lies before it."""

    name: str
    adapter: str | None
    state: Literal["running", "paused", "held"]
    health: str
    last_error: str | None
    pending: int
    waiting: int
    todo: int
    in_progress: int
    in_flight: int
    concurrency: int | None
    retry_limit: int | None
    paused: bool


class Systems(Result, frozen=True, kw_only=True):
    """Every configured system, and every other one that still has actions."""

    systems: list[System]


class Status(Result, frozen=True, kw_only=True):
    """The daemon as a whole."""

    version: str
    pid: int
    started_at: Time
    uptime_seconds: float
    state_directory: str
    callbacks: str
    config_version: int
    config_file: str | None
    systems: int
    counts: dict[str, int]
    in_flight: int
    commits: int
    stopping: bool


class KeyChange(Result, frozen=True, kw_only=True):
    """One key of connectord.toml with another value; secrets are stars."""

    key: str
    old: str
    new: str


class EffectCounts(Result, frozen=True, kw_only=True):
    """How many actions a changed limit, or a removed or returned system, concerns; see :class:`Effect`."""

    close: int = 0
    go_on: int = 0
    when_ended: int = 0
    show: int = 0
    hold: int = 0
    resume: int = 0


class Effect(Result, frozen=True, kw_only=True):
    """What a reload means for one live action (rules 10 and 11).

    ``close``: it was tried as often as the new limit allows, and is closed. ``go_on``: it is tried until the new
    limit. ``when_ended``: an attempt is under way; the new limit decides when it ends. ``show``: only another number is
    shown. ``hold``: its system is not configured any more. ``resume``: its system is back.
    """

    id: str
    system: str
    effect: Literal["close", "go_on", "when_ended", "show", "hold", "resume"]
    before: str
    """``4 of 5``: the tries and the limit as shown before"""
    after: str


class Plan(Result, frozen=True, kw_only=True):
    """What a reload changes. ``held`` and ``back`` are removed and added systems that have live actions."""

    added: list[str]
    removed: list[str]
    changed: dict[str, list[KeyChange]]
    other: list[KeyChange]
    restart_required: list[str]
    held: list[str]
    back: list[str]
    actions: EffectCounts


class Reload(Result, frozen=True, kw_only=True):
    """What a reload did, or would do. ``version`` is the configuration's number: the next one for a plan."""

    applied: bool
    version: int
    plan: Plan


class EffectPage(Result, frozen=True, kw_only=True):
    """Some of the actions that a reload concerns; ``next`` is the next call's ``after``, null on the last page."""

    effects: list[Effect]
    next: str | None


class ConfigVersion(Result, frozen=True, kw_only=True):
    """One configuration that was in force. ``back_to`` is the older version whose text it has, if one went back."""

    version: int
    at: Time
    who: str
    digest: str
    back_to: int | None
    kept: bool
    """Whether its text is still there."""


class ConfigVersions(Result, frozen=True, kw_only=True):
    """The configurations that were in force, the newest first; ``running`` is the one that is now."""

    running: int
    versions: list[ConfigVersion]


class ConfigText(Result, frozen=True, kw_only=True):
    """The text of one configuration."""

    version: int
    text: str


class ConfigDifference(Result, frozen=True, kw_only=True):
    """What version ``b`` has that ``a`` has not, and the other way round.

    The four that name keys and systems are null where one of the two cannot be read any more, because an adapter or a
    secret is gone; ``problems`` says why. ``text`` is a unified diff.
    """

    a: int
    b: int
    changed: dict[str, list[KeyChange]] | None
    added: list[str] | None
    removed: list[str] | None
    other: list[KeyChange] | None
    problems: list[str]
    text: str


class Stopping(Result, frozen=True, kw_only=True):
    """The daemon stops."""

    stopping: bool
