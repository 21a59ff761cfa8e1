"""What lanes ask the ledger where a system is polled, or answers through a queue."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from connectord.errors import NotFound
from connectord.ledger.operations import SLICE, ClaimedCall
from connectord.ledger.unit import Unit
from connectord.lifecycle.events import Event
from connectord.lifecycle.transitions import Transition


@dataclass(frozen=True, slots=True)
class Polls:
    """What is to be polled, and when the next one is to be (None: nothing is waiting that is polled)."""

    calls: Sequence[ClaimedCall]
    next_at: int | None


@dataclass(frozen=True, slots=True)
class FindPolls:
    """Up to ``limit`` actions of a system that are due to be polled, besides those of which the poll is under way.

    Writes nothing: a poll that never ends, because the daemon does, is due again at once.
    """

    system: str
    limit: int
    under_way: Collection[str]

    def perform(self, unit: Unit) -> Polls:
        unit.flush()
        due = unit.store.due_polls(self.system, unit.now, self.limit, self.under_way)
        besides = [*self.under_way, *(each.action.id for each in due)]
        return Polls([ClaimedCall.of(each) for each in due], unit.store.next_poll_at(self.system, unit.now, besides))


@dataclass(frozen=True, slots=True)
class EndPoll:
    """Record what a poll brought (None: nothing yet), and when to ask again if that did not decide the action.

    Gives the time of the next poll; None where the action is not polled any more.
    """

    action_id: str
    event: Event | None
    who: str
    retry_after_ms: int | None = None

    def perform(self, unit: Unit) -> int | None:
        if self.event is not None:
            unit.apply(self.action_id, self.event, self.who)
        unit.postpone_poll(self.action_id, self.retry_after_ms)
        return unit.load(self.action_id).next_poll_at


@dataclass(frozen=True, slots=True)
class AdoptWaiting:
    """Begin to poll what a system took before it was polled, page by page.

    ``after`` is the last id of the page before; gives the last id of this one, None when all pages were looked at.
    """

    system: str
    after: str = ""

    def perform(self, unit: Unit) -> str | None:
        unit.flush()
        page = unit.store.waiting_page(self.system, self.after, SLICE)
        for action_id, unpolled in page:
            if unpolled:
                unit.begin_polling(action_id)
        return page[-1][0] if len(page) == SLICE else None


@dataclass(frozen=True, slots=True)
class Deliver:
    """Take the response of an action of ``system`` (rule 15). An adapter may not answer for another one's."""

    action_id: str
    system: str
    event: Event
    who: str

    def perform(self, unit: Unit) -> Transition:
        if unit.load(self.action_id).system != self.system:
            raise NotFound(f"the system {self.system} has no action {self.action_id}")
        return unit.apply(self.action_id, self.event, self.who)
