"""One transaction's work: loads actions, asks the lifecycle, and gathers everything that has to be written."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec

from connectord.errors import KeyConflict, NotFound
from connectord.ledger.ids import IdSource
from connectord.ledger.policies import PolicyBook
from connectord.ledger.submission import Submission, payload_digest
from connectord.lifecycle import effects as effect
from connectord.lifecycle.action import CLOSED, PENDING, Action, State
from connectord.lifecycle.allocation import NOTHING_ASKED, NOTHING_NEEDED, Background, Needs, needs_of
from connectord.lifecycle.events import Event, FailureReceived, SuccessReceived
from connectord.lifecycle.steps import Moment, begin_polling, postpone_poll, shorten_wait
from connectord.lifecycle.transitions import Transition, decide
from connectord.lifecycle.wording import happened_text, notice_text
from connectord.store.base import (
    AttemptEnd,
    AttemptRow,
    CaseChange,
    DataMerge,
    HistoryRow,
    LateResponse,
    NewAction,
    OutboxRow,
    WriteSet,
    WriteStore,
)

_history_row: Callable[[tuple[Any, ...]], HistoryRow] = partial(tuple.__new__, HistoryRow)
"""What the class does when it is called, in half of its time."""


@dataclass(slots=True)
class Consequences:
    """What others have to be told once the transaction is committed at ``at``."""

    at: int = 0
    history: list[HistoryRow] = field(default_factory=list)
    due: dict[str, int] = field(default_factory=dict)
    deadline: int | None = None
    outbox: int = 0
    """How many notifications were put into the outbox."""
    delivered: int = 0
    oldest_undelivered: int | None = None
    """Since when the oldest notification waits, as of the last delivery in this transaction."""
    polls: dict[str, int] = field(default_factory=dict)
    """When the next poll of a system is due."""
    unpolled: list[tuple[str, str]] = field(default_factory=list)
    """(system, action) of what was polled and is decided now."""
    responded: list[tuple[str, int]] = field(default_factory=list)
    """(system, milliseconds) of every response that decided what the system had taken: how long it was awaited."""
    closed: list[tuple[str, int]] = field(default_factory=list)
    """(system, milliseconds) of every action that was closed: since its submission."""

    def note(self, writes: WriteSet) -> None:
        """These are about to be written: what has happened, what is due, and the next deadline."""
        self.history += writes.history
        written = [after for _, after in writes.updated.values()]
        if writes.inserted:
            written += [new.action for new in writes.inserted]
        for action in written:
            deadline = action.deadline
            if action.state is PENDING and action.due_at is not None:
                self.due[action.system] = min(action.due_at, self.due.get(action.system, action.due_at))
            elif deadline is not None and (self.deadline is None or deadline < self.deadline):
                self.deadline = deadline


class Unit:
    """The work of one batch, within one open transaction.

    An action is loaded once and kept, so that several events of a batch may concern the same one. :meth:`flush`
    writes what is gathered; it must be called before the store is asked anything by a query over many actions.
    """

    def __init__(
        self,
        store: WriteStore,
        *,
        now: int,
        rng: random.Random,
        ids: IdSource,
        policies: PolicyBook,
        last_seq: int,
    ) -> None:
        self.store = store
        self.now = now
        self.policies = policies
        self.last_seq = last_seq
        self.consequences = Consequences(now)
        self._rng = rng
        self._ids = ids
        self._actions: dict[str, Action] = {}
        self._keys: dict[tuple[str, str], tuple[str, bytes]] = {}
        self._writes = WriteSet()

    def load(self, action_id: str) -> Action:
        """The action as this transaction sees it. Raises :class:`NotFound`."""
        action = self._actions.get(action_id)
        if action is None:
            action = self.store.load_action(action_id)
            if action is None:
                raise NotFound(f"there is no action {action_id}")
            self._actions[action_id] = action
        return action

    def load_ahead(self, action_ids: Collection[str]) -> None:
        """Load many actions at once that will be asked for; one that does not exist is found missing then.

        A statement for each costs more than what is done with them: SQLite gives the interpreter's lock away at
        every one, and the event loop takes it.
        """
        if len(action_ids) > 1:
            self._actions.update({action.id: action for action in self.store.load_actions(action_ids)})

    def keep(self, action: Action) -> None:
        """Remember an action that a query has just loaded."""
        self._actions[action.id] = action

    def forget(self, action_ids: Collection[str]) -> None:
        """Let go of actions that were removed: what comes for them later in the batch must not find them."""
        for action_id in action_ids:
            self._actions.pop(action_id, None)

    def apply(self, action_id: str, event: Event, who: str, note: str | None = None) -> Transition:
        """Let ``event`` happen to the action. Raises :class:`NotFound` or ``Refused``; then nothing changed."""
        before = self.load(action_id)
        policy = self.policies.of(before.system)
        needs = needs_of(before, event, policy.allocation)
        background = NOTHING_ASKED if needs is NOTHING_NEEDED else self._background(action_id, needs)
        transition = decide(before, event, Moment(self.now, policy, self._rng.random(), background))
        after, row = transition.action, transition.row
        if after is not before:
            self._change(before, after)
            if after.state is not before.state:
                self._time(before, after, event, policy.timeout_ms)
        if row.history:
            why = happened_text(row.why, event)
            self._record(after, before.state, type(event).__name__, row.rules, why, who, note)
        for item in transition.effects:
            self._gather(after, item)
        return transition

    def postpone_poll(self, action_id: str, retry_after_ms: int | None) -> None:
        """Set when to poll the action next. Does nothing where it is not polled any more."""
        before = self.load(action_id)
        self._ask(before, postpone_poll(before, self._moment(before), retry_after_ms))

    def begin_polling(self, action_id: str) -> None:
        """Set when to poll an action for the first time that was taken while its system was not polled."""
        before = self.load(action_id)
        self._ask(before, begin_polling(before, self._moment(before)))

    def shorten_wait(self, before: Action) -> None:
        """Let an action that a query has just loaded wait no longer than it may, after the clock went back."""
        self._actions[before.id] = before
        after = shorten_wait(before, self._moment(before))
        if after is not before:
            self._change(before, after)

    def submit(self, submission: Submission, who: str) -> Action:
        """Make a new action, or give the first one back for a key that is known (rule 17).

        Raises :class:`KeyConflict` where the payload is another one.
        """
        digest, first = self.check_key(submission)
        if first is not None:
            return self.load(first)
        due_at = submission.due_at if submission.due_at is not None else self.now
        action = Action(
            self._ids.make(self.now),
            submission.system,
            self.now,
            submission.case_id,
            submission.owner,
            due_at=due_at,
            scheduled_at=due_at,
            traceparent=submission.traceparent,
        )
        if submission.case_id is not None:
            # running an old action again does not give the case back to whoever owned it then
            owner = submission.owner if submission.rerun_of is None else None
            self._writes.cases.append(CaseChange(submission.case_id, owner, self.now))
        data = msgspec.json.encode(submission.data).decode()
        self._writes.inserted.append(NewAction(action, data, submission.key, digest, submission.rerun_of))
        if submission.key is not None and digest is not None:
            self._keys[submission.system, submission.key] = (action.id, digest)
        self._actions[action.id] = action
        rules = "17" if submission.rerun_of is None else "16"
        why = "submitted" if submission.rerun_of is None else f"rerun of {submission.rerun_of}"
        self._record(action, None, "Submitted", rules, why, who, None)
        return action

    def check_key(self, submission: Submission) -> tuple[bytes | None, str | None]:
        """The digest of a submission that has a key, and the id of the first action under it, if there is one.

        Raises :class:`KeyConflict` (rule 17).
        """
        if submission.key is None:
            return None, None
        digest = payload_digest(submission)
        known = self._known_key(submission.system, submission.key)
        if known is None:
            return digest, None
        if known[1] != digest:
            raise KeyConflict(
                f"the key {submission.key!r} was used for action {known[0]} with another payload; "
                "submit the same payload, or use another key"
            )
        return digest, known[0]

    def looked_for_due(self, system: str) -> None:
        """Note that the lane of ``system`` hears from its own claim what is due so far, and needs no alarm for it."""
        self.consequences.due.pop(system, None)

    def settled(self, delivered: int) -> None:
        """Note that nothing is left to do for so many notifications, now that the store has it."""
        self.consequences.delivered += delivered
        self.consequences.oldest_undelivered = self.store.oldest_undelivered()

    def flush(self) -> None:
        """Write what is gathered so far into the open transaction."""
        writes, self._writes = self._writes, WriteSet()
        self.consequences.note(writes)
        self.store.write(writes)

    def _known_key(self, system: str, key: str) -> tuple[str, bytes] | None:
        known = self._keys.get((system, key))
        if known is None:
            holder = self.store.find_key(system, key)
            known = None if holder is None else (holder.action_id, holder.payload_digest)
        return known

    def _moment(self, action: Action) -> Moment:
        return Moment(self.now, self.policies.of(action.system), self._rng.random())

    def _change(self, before: Action, after: Action) -> None:
        self._update(before, after)
        if after.next_poll_at != before.next_poll_at:
            self._tell_polls(after)

    def _update(self, before: Action, after: Action) -> None:
        self._actions[after.id] = after
        updated = self._writes.updated
        earlier = updated.get(after.id)
        updated[after.id] = (before if earlier is None else earlier[0], after)

    def _ask(self, before: Action, after: Action) -> None:
        if after is not before:
            self._update(before, after)
            self._tell_polls(after)

    def _tell_polls(self, after: Action) -> None:
        at, told = after.next_poll_at, self.consequences
        if at is not None:
            told.polls[after.system] = min(at, told.polls.get(after.system, at))
        else:
            told.unpolled.append((after.system, after.id))

    def _time(self, before: Action, after: Action, event: Event, timeout_ms: int) -> None:
        if before.deadline is not None and isinstance(event, (SuccessReceived, FailureReceived)):
            # the deadline tells since when, by the timeout of today: a look for the attempt's end would cost a query
            self.consequences.responded.append((after.system, self.now - before.deadline + timeout_ms))
        if after.state is CLOSED:
            self.consequences.closed.append((after.system, self.now - after.submitted_at))

    def _record(
        self,
        action: Action,
        from_state: State | None,
        event: str,
        rules: str,
        why: str,
        who: str,
        note: str | None,
    ) -> None:
        self.last_seq += 1
        # _value_ and not .value, which costs three times as much: every change comes by here
        came_from = None if from_state is None else from_state._value_
        row = _history_row(
            (
                self.last_seq,
                action.id,
                self.now,
                came_from,
                action.state._value_,
                event,
                rules,
                why,
                who,
                note,
                self.policies.version,
                action.system,
                action.case_id,
                action.attempts,
            )
        )
        self._writes.history.append(row)

    def _gather(self, action: Action, item: effect.Effect) -> None:
        writes = self._writes
        match item:
            case effect.OpenAttempt():
                writes.attempts.append(AttemptRow(action.id, item.number, item.manual, self.now, None, None, None))
            case effect.EndAttempt():
                writes.attempt_ends.append(
                    AttemptEnd(action.id, item.number, self.now, item.outcome._value_, item.message)
                )
            case effect.MergeData():
                # the row of the history that this merge belongs to was recorded just now
                writes.merges.append(DataMerge(self.last_seq, action.id, action.case_id, dict(item.data), self.now))
            case effect.KeepLateResponse():
                data = msgspec.json.encode(item.data).decode()
                writes.late_responses.append(
                    LateResponse(action.id, item.digest, self.now, item.status, item.reason, data)
                )
            case effect.NotifyOwner():
                owner = self._owner(action)
                limit = action.shown_limit(self.policies.of(action.system).retry.limit)
                text = notice_text(action, item.notice, limit)
                writes.outbox.append(OutboxRow(action.id, action.case_id, owner, item.notice.value, self.now, text))
                self.consequences.outbox += 1
            case effect.TakeTurn():  # pragma: no branch - there is no other effect
                writes.turns[item.group] = item.member

    def _background(self, action_id: str, needs: Needs) -> Background:
        # an earlier event of the batch may have changed the case, or taken a turn
        self.flush()
        turns = {group: self.store.last_turn(group) for group in needs.groups}
        had = {group: member for group, member in turns.items() if member is not None}
        context = self.store.case_context(action_id) if needs.owner or needs.data else None
        if context is None:
            return Background(turns=had)
        decode = msgspec.json.decode
        data, case_data = (decode(context.data), decode(context.case_data)) if needs.data else ({}, {})
        return Background(context.owner, data, case_data, had)

    def _owner(self, action: Action) -> str | None:
        if action.case_id is not None:
            return self.store.case_owner(action.case_id) or action.owner
        return action.owner
