"""What the ledger can be asked to do, each a value with one synchronous method that runs within a batch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from connectord.errors import KeyConflict, NotFound, Refused
from connectord.ledger.submission import Submission
from connectord.ledger.unit import Unit
from connectord.lifecycle import events as on
from connectord.lifecycle.action import ATTEMPTING, CLOSED, PENDING, Action, State
from connectord.lifecycle.transitions import Transition
from connectord.store.base import ConfigRecord, DeliveryReport, DueAction, OutboxItem

SLICE = 500
"""How many actions one operation over many touches at a time, so that nobody waits long behind it."""


CONFIG_TEXTS_KEPT = 200
"""How many configurations keep their text, so that frequent changes of a large file do not fill the disk."""


class Operation(Protocol):
    """Something to be done within a batch. A refusal must leave the unit as it was."""

    def perform(self, unit: Unit) -> Any:
        """Do it, and return what the caller gets once the batch is committed."""
        ...


class Answer(msgspec.Struct, frozen=True):
    """Change nothing: the writer's sign that it comes round, and that the store takes a transaction."""

    def perform(self, unit: Unit) -> None:
        return None


class LastChange(msgspec.Struct, frozen=True):
    """When the newest row of the history was written; None where there is none."""

    def perform(self, unit: Unit) -> int | None:
        return unit.store.last_change_at()


class Submit(msgspec.Struct, frozen=True):
    """Take new actions: all of them or none."""

    submissions: Sequence[Submission]
    who: str

    def perform(self, unit: Unit) -> list[Action]:
        # a conflict must be found before the first action is made, or the batch would hold half of them
        payloads: dict[tuple[str, str], bytes] = {}
        for submission in self.submissions if len(self.submissions) > 1 else ():
            digest, _ = unit.check_key(submission)
            if submission.key is None or digest is None:
                continue
            if payloads.setdefault((submission.system, submission.key), digest) != digest:
                raise KeyConflict(f"the key {submission.key!r} stands twice in the request, with two payloads")
        return [unit.submit(submission, self.who) for submission in self.submissions]


class Apply(msgspec.Struct, frozen=True):
    """Let one event happen to one action."""

    action_id: str
    event: on.Event
    who: str
    note: str | None = None

    def perform(self, unit: Unit) -> Transition:
        return unit.apply(self.action_id, self.event, self.who, self.note)


class ClaimedCall(msgspec.Struct, frozen=True):
    """An action with all that a call of its adapter needs. An attempt is on disk by now, and may begin (rule 14)."""

    action: Action
    owner: str | None
    data: Mapping[str, Any]
    case_data: Mapping[str, Any]
    due_at: int | None = None
    """When the action was due, for an attempt or a probe."""
    retry: bool = False
    """Whether it was tried before and no person asked for this: such calls have a budget (``retry.budget``)."""

    @property
    def rate_kind(self) -> Literal["first", "retry"]:
        """What it counts as in the shares of the lane."""
        return "retry" if self.retry else "first"

    @classmethod
    def of(cls, due: DueAction, action: Action | None = None) -> ClaimedCall:
        """The call for what was due, with the action as it is now, if it has changed since."""
        data, case_data = msgspec.json.decode(due.data), msgspec.json.decode(due.case_data)
        retry = due.action.attempts > 0 and not due.action.manual
        return cls(due.action if action is None else action, due.owner, data, case_data, due.action.due_at, retry)


class Claims(msgspec.Struct, frozen=True):
    """What a lane got, and when its next action is due (None: nothing is pending).

    ``probes`` are actions of which the last attempt has to be asked for before another one.
    """

    attempts: Sequence[ClaimedCall]
    probes: Sequence[ClaimedCall]
    next_due_at: int | None


class Claim(msgspec.Struct, frozen=True):
    """Begin up to ``limit`` due attempts or probes of a system, besides the probes that are under way.

    Retries have up to ``retries`` of them, and what nothing else needs. ``manual_only``: only what people asked for.
    A probe writes nothing when it begins: one that never ends, because the daemon does, is due again at once.
    """

    system: str
    limit: int
    probes_under_way: Collection[str] = ()
    retries: int = 0
    manual_only: bool = False

    def perform(self, unit: Unit) -> Claims:
        unit.flush()
        attempts, probes = [], []
        for due in self._due(unit):
            unit.keep(due.action)
            started = unit.apply(due.action.id, on.AttemptStarted(), "scheduler").action
            if started.state is ATTEMPTING:
                attempts.append(ClaimedCall.of(due, started))
            elif started.state is PENDING:
                probes.append(ClaimedCall.of(due, started))
        unit.flush()
        unit.looked_for_due(self.system)
        besides = [*self.probes_under_way, *(probe.action.id for probe in probes)]
        return Claims(attempts, probes, unit.store.next_due_at(self.system, besides, manual_only=self.manual_only))

    def _due(self, unit: Unit) -> Sequence[DueAction]:
        system, besides = self.system, self.probes_under_way
        if self.manual_only:
            return unit.store.due_manually(system, unit.now, self.limit, besides)
        return unit.store.due_actions(system, unit.now, self.limit, besides, retries=self.retries)


class Slice(msgspec.Struct, frozen=True):
    """How many actions were touched, whether there may be more, when the next one is due, if that is known, and how
    long it took, in milliseconds, if that was asked."""

    touched: int
    more: bool
    next_at: int | None = None
    took_ms: int = 0


class Expire(msgspec.Struct, frozen=True):
    """Let the deadlines pass that are over (rules 4 and 20)."""

    def perform(self, unit: Unit) -> Slice:
        unit.flush()
        ids = unit.store.overdue_ids(unit.now, SLICE)
        unit.load_ahead(ids)
        for action_id in ids:
            unit.apply(action_id, on.DeadlinePassed(), "scheduler")
        unit.flush()
        return Slice(len(ids), len(ids) == SLICE, unit.store.next_deadline())


class ShortenWaits(msgspec.Struct, frozen=True):
    """After the wall clock went back: let nothing of one state wait longer for it, page by page.

    ``after`` is the last id of the page before; gives the last id of this one, None when all pages were looked at.
    """

    state: State
    after: str = ""

    def perform(self, unit: Unit) -> str | None:
        unit.flush()
        page = unit.store.live_page(self.state.value, self.after, SLICE)
        for action in page:
            unit.shorten_wait(action)
        unit.flush()
        return page[-1].id if len(page) == SLICE else None


class InterruptOpenAttempts(msgspec.Struct, frozen=True):
    """Rule 14, at start: every attempt that was under way when the daemon ended."""

    def perform(self, unit: Unit) -> Slice:
        unit.flush()
        attempts = unit.store.open_attempts(SLICE)
        for action_id, number in attempts:
            unit.apply(action_id, on.AttemptInterrupted(number), "recovery")
        return Slice(len(attempts), len(attempts) == SLICE)


class Rerun(msgspec.Struct, frozen=True):
    """Make new actions from closed ones (rule 16): all of them or none.

    With ``once``, those that were run again already are left out.
    """

    action_ids: Sequence[str]
    who: str
    once: bool = False

    def perform(self, unit: Unit) -> list[Action]:
        unit.flush()
        submissions = []
        for action_id in self.action_ids:
            if self.once and unit.store.was_rerun(action_id):
                continue
            record = unit.store.load_record(action_id)
            if record is None:
                raise NotFound(f"there is no action {action_id}")
            action, data = record.action, msgspec.json.decode(record.data)
            if action.state is not CLOSED:
                raise Refused(action.state, f"action {action_id} is not closed; only a closed one can be run again")
            submissions.append(Submission(action.system, action.case_id, action.owner, data=data, rerun_of=action_id))
        return [unit.submit(submission, self.who) for submission in submissions]


class RecordConfig(msgspec.Struct, frozen=True):
    """Keep a configuration that comes into force, and give its version.

    The text that was in force last keeps its number, so that a mere restart makes no version.
    """

    digest: str
    text: bytes
    who: str
    back_to: int | None = None

    def perform(self, unit: Unit) -> int:
        last = unit.store.last_config()
        if last is not None and last.digest == self.digest:
            return last.version
        version = 1 if last is None else last.version + 1
        record = ConfigRecord(version, unit.now, self.who, self.digest, self.text, self.back_to)
        unit.store.insert_config(record, CONFIG_TEXTS_KEPT)
        return version


class SetPaused(msgspec.Struct, frozen=True):
    """Stop or start a system's lane; it stays so over restarts."""

    system: str
    paused: bool
    who: str

    def perform(self, unit: Unit) -> None:
        unit.store.set_paused(self.system, self.paused, unit.now, self.who)


class DueNotifications(msgspec.Struct, frozen=True):
    """Notifications that are due, and when the next one is."""

    items: Sequence[OutboxItem]
    next_at: int | None


class SettleNotifications(msgspec.Struct, frozen=True):
    """Record what came of deliveries, and give up to ``limit`` notifications that are due now."""

    reports: Sequence[DeliveryReport]
    limit: int

    def perform(self, unit: Unit) -> DueNotifications:
        unit.flush()
        if self.reports:
            unit.settled(unit.store.settle_outbox(self.reports, unit.now))
        return DueNotifications(unit.store.due_outbox(unit.now, self.limit), unit.store.next_outbox_at())


class HastenNotifications(msgspec.Struct, frozen=True):
    """Make undelivered notifications due now, in slices; gives the numbers of those that it touched."""

    after_seq: int = 0

    def perform(self, unit: Unit) -> Sequence[int]:
        unit.flush()
        return unit.store.hasten_outbox(self.after_seq, unit.now, SLICE)
