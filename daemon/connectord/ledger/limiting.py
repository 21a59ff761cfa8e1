"""A changed limit, which may concern all actions there are: decided once for all that are alike, written by the slice.

The lifecycle stays the only judge. What it says of a situation is applied to everything in it by one statement each
for the actions, their history and what their owners are told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from connectord.clock import Clock
from connectord.ledger.operations import Slice
from connectord.ledger.unit import Unit
from connectord.lifecycle.action import shown_limit
from connectord.lifecycle.alike import AlikeAction, Decision, Situation, decide_alike
from connectord.lifecycle.effects import Effect, NotifyOwner
from connectord.lifecycle.events import LimitChanged
from connectord.lifecycle.steps import Moment
from connectord.lifecycle.transitions import Row
from connectord.lifecycle.wording import notice_text
from connectord.store.base import AlikeChange, HistoryRow, OutboxRow

LARGEST_SLICE = 2_000
FIRST_SLICE = 100


@dataclass(frozen=True, slots=True)
class EnforceLimit:
    """Close what was tried as often as today's limit allows (rule 10c), after a reload and at every start.

    Up to ``limit`` actions; with a ``clock`` it says how long it took, so that the next slice can be of another size.
    """

    system: str
    who: str
    limit: int = FIRST_SLICE
    clock: Clock | None = None

    def perform(self, unit: Unit) -> Slice:
        unit.flush()
        begun = 0 if self.clock is None else self.clock.now_ms()
        policy = unit.policies.of(self.system)
        found = unit.store.over_limit(self.system, policy.retry.limit, self.limit)
        alike: dict[tuple[int, bool, bool], list[AlikeAction]] = {}
        for action in found:
            alike.setdefault((action.attempts, action.manual, action.probe), []).append(action)
        for (attempts, manual, probe), actions in alike.items():
            situation = Situation(self.system, attempts, bool(manual), bool(probe))
            _write(unit, decide_alike(situation, LimitChanged(), Moment(unit.now, policy)), actions, self.who)
        took = 0 if self.clock is None else self.clock.now_ms() - begun
        return Slice(len(found), len(found) == self.limit, took_ms=took)


def _write(unit: Unit, decision: Decision, actions: Sequence[AlikeAction], who: str) -> None:
    # what the store found over the limit is closed by rule 10c: there is a change, its history and somebody to tell
    system, row = actions[0].system, decision.row
    history = _history(unit, row, actions, who)
    outbox = [told for effect in decision.effects for told in _notifications(unit, effect, actions)]
    ids = [action.id for action in actions]
    unit.store.change_alike(AlikeChange(ids, decision.changes, history, outbox))
    # an earlier event of the batch may have loaded some of them
    unit.forget(ids)
    told = unit.consequences
    told.history += history
    told.outbox += len(outbox)
    told.closed += [(system, unit.now - action.submitted_at) for action in actions]


def _history(unit: Unit, row: Row, actions: Sequence[AlikeAction], who: str) -> list[HistoryRow]:
    first, now, version = unit.last_seq + 1, unit.now, unit.policies.version
    before, after, event = row.state.value, row.to.value, LimitChanged.__name__
    unit.last_seq += len(actions)
    return [
        HistoryRow(
            seq,
            action.id,
            now,
            before,
            after,
            event,
            row.rules,
            row.why,
            who,
            None,
            version,
            action.system,
            action.case_id,
            action.attempts,
        )
        for seq, action in enumerate(actions, first)
    ]


def _notifications(unit: Unit, effect: Effect, actions: Sequence[AlikeAction]) -> list[OutboxRow]:
    if not isinstance(effect, NotifyOwner):
        raise TypeError(f"{effect} cannot be written for many actions at once")
    notice, now = effect.notice, unit.now
    kind, today = notice.value, unit.policies.of(actions[0].system).retry.limit
    return [
        OutboxRow(
            action.id,
            action.case_id,
            action.owner,
            kind,
            now,
            notice_text(action, notice, shown_limit(today, action.limit_at_failure)),
        )
        for action in actions
    ]
