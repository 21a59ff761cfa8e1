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


class Notification(Result, frozen=True, kw_only=True):
    """What a case owner is told (rules 5 and 9), and what became of it.

    ``waiting``: it is tried again at ``next_try_at``, though not before the channel itself is. ``undeliverable``: it
    cannot be delivered as it is, ``last_error`` says why; it waits for ``notifications_retry``. ``no_owner``: there is
    nobody to tell.
    """

    seq: int
    action: str
    case: str | None
    owner: str | None
    notice: str
    at: Time
    text: str
    state: Literal["waiting", "undeliverable", "delivered", "no_owner"]
    tries: int
    next_try_at: Time | None
    delivered_at: Time | None
    last_error: str | None


class Channel(Result, frozen=True, kw_only=True):
    """How case owners are reached, and whether they can be. While it is down, it is tried at ``next_try_at``."""

    via: str
    """log, command, webhook or smtp, or the name of a notifier that a plugin brought"""
    state: Literal["up", "down"]
    last_error: str | None
    since: Time | None
    next_try_at: Time | None


class NotificationBacklog(Result, frozen=True, kw_only=True):
    """How many notifications are not delivered yet, since when the oldest of them waits, and how the channel is."""

    undelivered: int
    since: Time | None
    channel: Channel


class NotificationPage(Result, frozen=True, kw_only=True):
    """A page of notifications, the newest first; ``next`` is the next call's ``after``, null on the last page."""

    notifications: list[Notification]
    next: int | None
    backlog: NotificationBacklog


class Hastened(Result, frozen=True, kw_only=True):
    """How many notifications were made due now."""

    count: int


class Circuit(Result, frozen=True, kw_only=True):
    """Whether attempts go to a system: ``open`` while it is taken to be away, ``half_open`` while a few are tried.

    ``next_trial_at`` is when those begin; null where it is not open. A retry by hand goes out all the same.
    """

    state: Literal["closed", "open", "half_open"]
    next_trial_at: Time | None


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
    places_allowed: int | None = None
    """how many attempts may be under way now: 0 while the circuit is open, then more and more up to ``concurrency``"""
    circuit: Circuit | None = None
    """null where the system is not configured any more"""
    faults: int = 0
    """how often the adapter itself was at fault since the lane began: as often as it was started anew, has blocked the
    event loop, or forked"""


class Systems(Result, frozen=True, kw_only=True):
    """Every configured system, and every other one that still has actions."""

    systems: list[System]


class LoopBlock(Result, frozen=True, kw_only=True):
    """The event loop did not come round for ``seconds``, and nobody was served meanwhile.

    ``by`` is the plugin, or connectord itself, whose code ran, and ``place`` is file and line; null where nobody could
    see it.
    """

    seconds: float
    at: Time
    by: str | None
    place: str | None
    system: str | None


class Trouble(Result, frozen=True, kw_only=True):
    """Something is not well. ``serious``: work stands still or soon will. ``command`` looks into it or mends it."""

    serious: bool
    about: str
    """a system's name, or store, owners, daemon"""
    words: str
    command: str | None


class Ages(Result, frozen=True, kw_only=True):
    """When the oldest action of each live state was submitted, and since when the longest-due one is due."""

    pending: Time | None
    attempting: Time | None
    waiting: Time | None
    todo: Time | None
    in_progress: Time | None
    due_since: Time | None
    """null where nothing is due yet"""


class StoreSize(Result, frozen=True, kw_only=True):
    """How large the database and its write-ahead log are, and what is left on their disk for the daemon's user."""

    database_bytes: int
    wal_bytes: int
    free_bytes: int


class LogHeld(Result, frozen=True, kw_only=True):
    """Another program's read keeps the write-ahead log from being written back, so that it grows."""

    since: Time
    by: list[str]
    """the processes that have the database open, as far as the daemon may see them"""


class Retention(Result, frozen=True, kw_only=True):
    """How long closed actions are kept, and what that has removed. ``forever`` where there is no end to it.

    ``due`` is how many are old enough now, by how they were closed; of those, one stays whose owner was not told yet,
    or to which anything has happened since. The history is whole from the number ``history_from`` on.
    """

    done_successfully: str
    not_done_successfully: str
    keys: str
    due: dict[str, int]
    oldest_due: Time | None
    """when the oldest of them was closed"""
    last_run_at: Time | None
    """when it was looked last for what is old enough, since the start of the daemon"""
    last_run_removed: int
    removed: int
    """how many were removed since the database was made"""
    removed_at: Time | None
    """when one was removed last"""
    history_from: int


class Status(Result, frozen=True, kw_only=True):
    """The daemon as a whole. ``verdict`` says whether it is well, ``troubles`` why not, the serious ones first."""

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
    last_seq: int
    """the number of the newest change: look at what there is, then ``watch`` after it, and nothing is missed"""
    notifications: NotificationBacklog
    stopping: bool
    longest_block: LoopBlock | None = None
    """the longest time that the event loop did not come round, since the start; to within a quarter of loop_warning"""
    plugins: list[str] = []
    """the plugins that are loaded, with their versions"""
    verdict: Literal["well", "degraded", "not_well"] = "well"
    troubles: list[Trouble] = []
    by_system: list[System] = []
    """as ``systems`` has them"""
    oldest: Ages | None = None
    store: StoreSize | None = None
    log_held: LogHeld | None = None
    """null unless another program holds up the write-ahead log"""


class Queue(Result, frozen=True, kw_only=True):
    """One queue: how many of its actions are To Do and In Progress, also those that a person has or is meant to take.

    ``description`` is what connectord.toml says it is for. ``oldest_at`` is since when the longest of those that are
    To Do needs a person, and ``oldest_seconds`` how long that is.
    """

    name: str
    known: bool
    """Whether it is in connectord.toml; actions can be assigned only to one that is."""
    description: str | None
    todo: int
    in_progress: int
    oldest_at: Time | None
    oldest_seconds: float | None


class Person(Result, frozen=True, kw_only=True):
    """One user: how many To Do actions are assigned to them, and how many they have taken; the rest as a queue's."""

    user: str
    todo: int
    in_progress: int
    oldest_at: Time | None
    oldest_seconds: float | None


class Queues(Result, frozen=True, kw_only=True):
    """People's work: every queue, and every user who has some."""

    queues: list[Queue]
    people: list[Person]


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
    plugins: list[str] = []
    """the plugins that were installed since the start, and are loaded with this"""
    plugin_problems: list[str] = []
    """the plugins that cannot be loaded, and why"""


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


class Finding(Result, frozen=True, kw_only=True):
    """What one check of ``doctor`` saw, and what to do; ``about`` is a system's name, or null."""

    check: str
    """configuration, permissions, disk, clock, database, plugins, limits, reachability, certificates or leftovers"""
    about: str | None
    level: Literal["ok", "warning", "error"]
    seen: str
    advice: str | None
    """null where all is right"""


class Diagnosis(Result, frozen=True, kw_only=True):
    """Everything that ``doctor`` found, in the order of its checks."""

    findings: list[Finding]
    errors: int
    warnings: int


class Stopping(Result, frozen=True, kw_only=True):
    """The daemon stops."""

    stopping: bool
