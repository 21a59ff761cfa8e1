"""What the ledger needs of a store, as a protocol, and the plain values that go in and out.

Everything here is synchronous: the ledger calls it through an executor, one call per batch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeVar

import msgspec

from connectord.lifecycle.action import Action
from connectord.lifecycle.alike import AlikeAction
from connectord.lifecycle.circumstances import Story

P = ParamSpec("P")
T = TypeVar("T")


class Executor(Protocol):
    """Where the store's calls run: a thread in the daemon, the calling task itself in a simulation."""

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Run ``function(*args)`` and return what it returns."""
        ...


class NewAction(msgspec.Struct, frozen=True):
    """An action to be inserted, with what only travels along. ``data`` is JSON text."""

    action: Action
    data: str
    key: str | None = None
    payload_digest: bytes | None = None
    rerun_of: str | None = None


class DueAction(msgspec.Struct, frozen=True):
    """An action that is due to be attempted, probed or polled, with all that the call needs.

    ``data`` and ``case_data`` are JSON text.
    """

    action: Action
    owner: str | None
    data: str
    case_data: str


@dataclass(frozen=True, slots=True)
class CaseContext:
    """An action's custom data and its case's owner and data. ``data`` and ``case_data`` are JSON text."""

    owner: str | None
    data: str
    case_data: str


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """The action that holds a key (rule 17)."""

    action_id: str
    payload_digest: bytes


class HistoryRow(NamedTuple):
    """One line of the history (rule 18). ``seq`` is the order in which everything happened."""

    seq: int
    action_id: str
    at: int
    from_state: str | None
    to_state: str
    event: str
    rules: str
    why: str
    who: str
    note: str | None
    config_version: int | None = None
    """The version of the configuration that was in force; None where it was not kept yet."""
    system: str | None = None
    case_id: str | None = None
    attempt: int = 0
    """For the log, as the change is published; these three are not stored with the row. A page of the history has the
    system and the case from the action, and no attempt."""


@dataclass(frozen=True, slots=True)
class ChangeFilters:
    """Which changes a watcher hears of. A field that is None matches everything; ``state`` is the new one."""

    id: str | None = None
    system: str | None = None
    case: str | None = None
    state: str | None = None

    def match(self, row: HistoryRow) -> bool:
        """Whether the watcher hears of ``row``, which has its system and its case."""
        return (
            self.id in (None, row.action_id)
            and self.system in (None, row.system)
            and self.case in (None, row.case_id)
            and self.state in (None, row.to_state)
        )


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Some rows of the history in their order. From the number ``oldest`` on nothing is missing; None where there is no
    row at all.

    Retention removes an action's history with the action, between what stays; so there may be older rows, too.
    """

    oldest: int | None
    rows: Sequence[HistoryRow]


class AttemptRow(msgspec.Struct, frozen=True):
    """One attempt. ``ended_at`` and ``outcome`` are None while it is under way."""

    action_id: str
    number: int
    manual: bool
    started_at: int
    ended_at: int | None
    outcome: str | None
    message: str | None


class AttemptEnd(msgspec.Struct, frozen=True):
    """The end of one attempt."""

    action_id: str
    number: int
    ended_at: int
    outcome: str
    message: str | None


class LateResponse(msgspec.Struct, frozen=True):
    """A response that came too late to decide anything (rule 15). ``data`` is JSON text."""

    action_id: str
    digest: str
    at: int
    status: str
    reason: str | None
    data: str


class CaseChange(msgspec.Struct, frozen=True):
    """A case that an action was submitted for: made if new, its owner replaced if one is given."""

    case_id: str
    owner: str | None
    at: int


class DataMerge(msgspec.Struct, frozen=True):
    """Custom data to be merged into an action's and its case's, top-level field by field.

    ``seq`` is the row of the history that brought it.
    """

    seq: int
    action_id: str
    case_id: str | None
    data: dict[str, Any]
    at: int


class OutboxRow(msgspec.Struct, frozen=True):
    """A notification to be delivered to a case owner (rules 5 and 9)."""

    action_id: str
    case_id: str | None
    owner: str | None
    notice: str
    at: int
    text: str


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """A notification as the notifier gets it."""

    seq: int
    row: OutboxRow
    tries: int
    next_try_at: int


@dataclass(frozen=True, slots=True)
class OutboxRecord:
    """A notification with what became of it, as a view shows it.

    Where neither ``next_try_at`` nor ``delivered_at`` is set, it cannot be delivered as it is, and is not tried again
    by itself.
    """

    seq: int
    row: OutboxRow
    tries: int
    next_try_at: int | None
    delivered_at: int | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What one try to deliver a notification came to.

    ``done`` means that nothing is left to do: it was delivered or, with an ``error``, there is nobody to deliver it to.
    Where ``next_try_at`` is None otherwise, it is not tried again by itself. ``owner`` is who it was for then: a person
    who asks for another try meanwhile may have changed that, and then this try says nothing.
    """

    seq: int
    owner: str | None
    done: bool
    error: str | None = None
    next_try_at: int | None = None


@dataclass(frozen=True, slots=True)
class MergeRecord:
    """Custom data as it was merged, with what brought it. ``data`` is JSON text.

    ``event`` and ``who`` are those of the history; ``attempt`` is the number of the attempt whose answer it was, None
    where no attempt brought it.
    """

    seq: int
    action_id: str
    at: int
    event: str
    who: str
    attempt: int | None
    data: str


@dataclass(frozen=True, slots=True)
class ConfigRecord:
    """One configuration that was in force. ``back_to`` is the older version whose text it has, if one went back."""

    version: int
    at: int
    who: str
    digest: str
    text: bytes | None
    """None once it is too old to be kept."""
    back_to: int | None


@dataclass(frozen=True, slots=True)
class LimitCounts:
    """Of a system's live actions: how many are pending, how many of them were tried as often as the new limit
    allows, how many are attempting or have an outcome that is asked for, and of how many others the shown limit is
    another one."""

    pending: int
    over_limit: int
    attempting: int
    shown: int


@dataclass(frozen=True, slots=True)
class AlikeChange:
    """One change of many actions: their fields in ``changes`` get those values.

    ``history`` has a row for each of ``ids``, in their order and numbered on; in everything but number and action they
    are the same.
    """

    ids: Sequence[str]
    changes: Mapping[str, Any]
    history: Sequence[HistoryRow]
    outbox: Sequence[OutboxRow]


@dataclass(slots=True)
class WriteSet:
    """Everything that one transaction writes, in the order in which the store writes it."""

    cases: list[CaseChange] = field(default_factory=list)
    inserted: list[NewAction] = field(default_factory=list)
    updated: dict[str, tuple[Action, Action]] = field(default_factory=dict)
    """By id, what the store has, and what it is to have: only what differs is written."""
    merges: list[DataMerge] = field(default_factory=list)
    attempts: list[AttemptRow] = field(default_factory=list)
    attempt_ends: list[AttemptEnd] = field(default_factory=list)
    late_responses: list[LateResponse] = field(default_factory=list)
    history: list[HistoryRow] = field(default_factory=list)
    outbox: list[OutboxRow] = field(default_factory=list)
    turns: dict[str, str] = field(default_factory=dict)
    """By group, who had the last turn."""


class ActionRecord(msgspec.Struct, frozen=True):
    """An action with all that a view of it shows. ``data`` and ``response_data`` are JSON text."""

    action: Action
    key: str | None
    rerun_of: str | None
    data: str
    response_data: str
    late_responses: tuple[LateResponse, ...] = ()
    notifications: tuple[OutboxRecord, ...] = ()
    response: MergeRecord | None = None
    """What brought ``response_data``; None also where it came before merges were recorded."""


@dataclass(frozen=True, slots=True)
class CaseRecord:
    """A case and a page of its actions, the newest first. ``data`` is JSON text.

    ``origins`` has the merge that set each top-level field of the data; fields that were set before merges were
    recorded are not in it.
    """

    id: str
    owner: str | None
    data: str
    created_at: int
    actions: tuple[ActionRecord, ...]
    origins: Mapping[str, MergeRecord]


@dataclass(frozen=True, slots=True)
class Selection:
    """Closed actions that filters find. ``ids`` are those that were not run again yet, the oldest first, of which there
    are ``count`` in all; ``left_out`` is how many were run again already."""

    ids: Sequence[str]
    count: int
    left_out: int


@dataclass(frozen=True, slots=True)
class Filters:
    """Which actions a list holds. A field that is None matches everything; times are milliseconds."""

    state: str | None = None
    system: str | None = None
    case_id: str | None = None
    reason: str | None = None
    resolution: str | None = None
    since: int | None = None
    queue: str | None = None
    user: str | None = None
    """``queue`` and ``user`` find To Do and In Progress actions only."""
    retrying: bool = False
    """Only pending ones whose last attempt failed."""
    until: int | None = None
    """Submitted before this time."""


@dataclass(frozen=True, slots=True)
class PeopleCount:
    """How many actions of one queue and one user are in one state, To Do or In Progress.

    ``oldest_at`` is since when the longest one of them needs a person.
    """

    queue: str | None
    user: str | None
    state: str
    count: int
    oldest_at: int | None


@dataclass(frozen=True, slots=True)
class BacklogAges:
    """Since when the oldest work waits, by system; times are milliseconds.

    ``due`` is when the first pending action is due. ``waiting`` is since when the system has had the action whose
    deadline comes first; a system is left out whose deadlines all come after those of :data:`AGES_WINDOW` others.
    """

    due: Mapping[str, int]
    waiting: Mapping[str, int]


AGES_WINDOW = 10_000
"""How many deadlines are looked at for :class:`BacklogAges`, so that it costs milliseconds whatever waits."""


@dataclass(frozen=True, slots=True)
class Prunable:
    """Closed actions that may go: closed so, with a key or without, and nothing happened to them after ``before``."""

    resolution: str
    keyed: bool
    before: int


@dataclass(frozen=True, slots=True)
class PrunePlace:
    """How far a look through closed actions has come."""

    closed_at: int = -1
    row: int = 0


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one step of retention removed, where the next one goes on, and whether there may be more."""

    place: PrunePlace
    ids: Sequence[str]
    more: bool


@dataclass(frozen=True, slots=True)
class RetentionRecord:
    """What retention has removed so far: how many actions, up to which number of the history, and when last."""

    actions: int
    history_through: int
    last_at: int | None


@dataclass(frozen=True, slots=True)
class FileState:
    """How large the database is, in bytes: the file, what is free in it, and the write-ahead log."""

    file_bytes: int
    free_bytes: int
    log_bytes: int


class WriteStore(Protocol):
    """The one writer's side of a store. Not thread-safe: the ledger makes one call at a time.

    Every method may raise :class:`connectord.errors.StoreFull` (try again later) or
    :class:`connectord.errors.StoreFailed` (stop).
    """

    def begin(self) -> None: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def write(self, changes: WriteSet) -> None: ...
    def load_action(self, action_id: str) -> Action | None: ...
    def load_actions(self, action_ids: Collection[str]) -> Sequence[Action]: ...
    def load_record(self, action_id: str) -> ActionRecord | None: ...
    def find_key(self, system: str, key: str) -> KeyHolder | None: ...
    def due_actions(
        self, system: str, now: int, limit: int, besides: Collection[str] = (), *, retries: int = 0
    ) -> Sequence[DueAction]:
        """What is due: what people asked for, then up to ``retries`` retries, then what was never tried, then other
        retries; each in the order in which it is due."""

    def due_manually(self, system: str, now: int, limit: int, besides: Collection[str] = ()) -> Sequence[DueAction]: ...
    def next_due_at(self, system: str, besides: Collection[str] = (), *, manual_only: bool = False) -> int | None: ...
    def due_polls(self, system: str, now: int, limit: int, besides: Collection[str]) -> Sequence[DueAction]: ...
    def next_poll_at(self, system: str, now: int, besides: Collection[str]) -> int | None: ...
    def waiting_page(self, system: str, after: str, limit: int) -> Sequence[tuple[str, bool]]: ...
    def overdue_ids(self, now: int, limit: int) -> Sequence[str]: ...
    def next_deadline(self) -> int | None: ...
    def over_limit(self, system: str, attempts: int, limit: int) -> Sequence[AlikeAction]: ...
    def change_alike(self, change: AlikeChange) -> None: ...
    def open_attempts(self, limit: int) -> Sequence[tuple[str, int]]: ...
    def last_seq(self) -> int: ...
    def last_change_at(self) -> int | None: ...
    def last_id(self) -> str | None: ...
    def live_page(self, state: str, after: str, limit: int) -> Sequence[Action]: ...
    def live_counts(self) -> dict[tuple[str, str], int]: ...
    def case_owner(self, case_id: str) -> str | None: ...
    def case_context(self, action_id: str) -> CaseContext | None: ...
    def last_turn(self, group: str) -> str | None: ...
    def due_outbox(self, now: int, limit: int) -> Sequence[OutboxItem]: ...
    def next_outbox_at(self) -> int | None: ...
    def undelivered(self) -> tuple[int, int | None]: ...
    def oldest_undelivered(self) -> int | None: ...
    def settle_outbox(self, reports: Sequence[DeliveryReport], at: int) -> int: ...
    def hasten_outbox(self, after_seq: int, now: int, limit: int) -> Sequence[int]: ...
    def was_rerun(self, action_id: str) -> bool: ...
    def set_paused(self, system: str, paused: bool, at: int, who: str) -> None: ...
    def last_config(self) -> ConfigRecord | None: ...
    def insert_config(self, record: ConfigRecord, keep_texts: int) -> None: ...
    def prune(self, what: Prunable, place: PrunePlace, limit: int, now: int) -> Pruned: ...
    def give_back(self, pages: int) -> int: ...
    def written(self) -> int:
        """A number that grows by about one for each row that is written, as the log does."""

    def leave_log_to_another(self, log_bytes: int) -> None:
        """Do not write the log back any more; cut its file to ``log_bytes`` whenever it begins anew."""

    def write_back_rest(self) -> None:
        """Write back what is left of the log, outside a transaction: without a reader the next one begins it anew."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Glance:
    """What an admin asks first, found in a few steps however many actions there are. Times are milliseconds.

    ``oldest`` has when the oldest action of each live state was submitted, ``due`` when the first pending one of each
    system is, or was, due. ``free_bytes`` is what is left on the disk for the daemon's user.
    """

    oldest: Mapping[str, int]
    due: Mapping[str, int]
    database_bytes: int
    wal_bytes: int
    free_bytes: int


class ReadStore(Protocol):
    """The readers' side of a store: sees what is committed, and never delays the writer."""

    def record(self, action_id: str) -> ActionRecord | None: ...
    def story(self, action_id: str) -> Story | None: ...
    def system_of(self, action_id: str) -> str | None: ...
    def state_of(self, action_id: str) -> str | None: ...
    def list_records(self, filters: Filters, after: str | None, limit: int) -> Sequence[ActionRecord]: ...
    def case(self, case_id: str, after: str | None, limit: int) -> CaseRecord | None: ...
    def case_merges(self, case_id: str, after_seq: int, limit: int) -> Sequence[MergeRecord] | None: ...
    def notifications(
        self, *, undelivered: bool, owner: str | None, before: int | None, limit: int
    ) -> Sequence[OutboxRecord]: ...
    def history(self, action_id: str) -> Sequence[HistoryRow]: ...
    def history_page(self, filters: ChangeFilters, after: int, upto: int, limit: int) -> HistoryPage: ...
    def attempts(self, action_id: str) -> Sequence[AttemptRow]: ...
    def paused_systems(self) -> dict[str, str]: ...
    def live_page(self, state: str, after: str, limit: int) -> Sequence[Action]: ...
    def limit_counts(self, system: str, before: int | None, after: int | None) -> LimitCounts: ...
    def closed_by_limit(self, version: int, after_seq: int, limit: int) -> Sequence[tuple[int, Action]]: ...
    def configs(self, before: int | None, limit: int) -> Sequence[ConfigRecord]: ...
    def config(self, version: int) -> ConfigRecord | None: ...
    def rerun_selection(self, filters: Filters, limit: int) -> Selection: ...
    def people_counts(self) -> Sequence[PeopleCount]: ...
    def backlog_ages(self, pending: Collection[str]) -> BacklogAges: ...
    def glance(self, systems: Sequence[str]) -> Glance: ...
    def prunable(self, what: Prunable) -> tuple[int, int | None]: ...
    def retention_record(self) -> RetentionRecord: ...
    def file_state(self) -> FileState: ...
    def close(self) -> None: ...
