"""Rule 4's allocation: whom a To Do action is assigned to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectord.lifecycle.action import Action, Reason, State
from connectord.lifecycle.effects import Effect, TakeTurn
from connectord.lifecycle.events import DeadlinePassed, Event, FailureReceived, ProbeFailed, ProbeUnclear
from connectord.lifecycle.policy import DEFAULT_ASSIGNEE, AllocationRule, Assignee, CaseOwner, Group, Target

_REASONS: dict[type[Event], Reason] = {
    FailureReceived: Reason.UPDATED_BY_INTEGRATION,
    DeadlinePassed: Reason.TIMEOUT,
    ProbeUnclear: Reason.UPDATED_BY_INTEGRATION,
    ProbeFailed: Reason.TIMEOUT,
}
_AT_WORK = (State.PENDING, State.ATTEMPTING, State.WAITING)


@dataclass(frozen=True, slots=True)
class Background:
    """What rules may ask beside the action, as it stands before the response: the data is not merged yet.

    ``owner`` is the case's owner. ``turns`` has, by group, who had the last turn.
    """

    owner: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    case_data: Mapping[str, Any] = field(default_factory=dict)
    turns: Mapping[str, str] = field(default_factory=dict)


NOTHING_ASKED = Background()
"""Where no rule asks anything beside the action."""


@dataclass(frozen=True, slots=True)
class Needs:
    """Which parts of a :class:`Background` the rules ask for."""

    owner: bool = False
    data: bool = False
    groups: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.owner or self.data or bool(self.groups)


NOTHING_NEEDED = Needs()


def needs_of(action: Action, event: Event, rules: Iterable[AllocationRule]) -> Needs:
    """What has to be known if ``event`` hands ``action`` to people; :data:`NOTHING_NEEDED` for every other event."""
    reason = _REASONS.get(type(event))
    if reason is None or action.state not in _AT_WORK:
        return NOTHING_NEEDED
    asking = [rule for rule in rules if rule.reason in (None, reason) and rule.system in (None, action.system)]
    needs = Needs(
        owner=any(rule.owners is not None or isinstance(rule.assignee, CaseOwner) for rule in asking),
        data=any(rule.when is not None for rule in asking),
        groups=tuple(dict.fromkeys(rule.assignee.name for rule in asking if isinstance(rule.assignee, Group))),
    )
    return needs or NOTHING_NEEDED


@dataclass(frozen=True, slots=True)
class Allocation:
    """Where a To Do action goes: a queue, a user, or a user who hands back to that queue; and what to write along."""

    queue: str | None = None
    user: str | None = None
    effects: tuple[Effect, ...] = ()


def allocate(
    action: Action, rules: Iterable[AllocationRule], background: Background, response: Mapping[str, Any]
) -> Allocation:
    """The first rule that matches decides; without one it is :data:`DEFAULT_ASSIGNEE`.

    ``action`` has its reason already. ``response`` is the data of the response, empty where there was none.
    """
    document = _document(action, background, response)
    for rule in rules:
        if not _is_about(rule, action, background, document):
            continue
        match rule.assignee:
            case Assignee():
                return Allocation(rule.assignee.queue, rule.assignee.user)
            case CaseOwner():
                if background.owner is not None:
                    return Allocation(user=background.owner)
            case group:
                member = next_member(group.members, background.turns.get(group.name))
                return Allocation(group.name, member, (TakeTurn(group.name, member),))
    return Allocation(DEFAULT_ASSIGNEE.queue, DEFAULT_ASSIGNEE.user)


def foresee(action: Action, reason: Reason, rules: Iterable[AllocationRule]) -> Target | None:
    """Whom the action would be assigned to, as far as that is certain from the rules alone.

    None where it depends on the case's owner or the data of then. Of a group it is not said whose turn it will be.
    """
    for rule in rules:
        if rule.reason in (None, reason) and rule.system in (None, action.system):
            open_yet = rule.owners is not None or rule.when is not None or isinstance(rule.assignee, CaseOwner)
            return None if open_yet else rule.assignee
    return DEFAULT_ASSIGNEE


def next_member(members: tuple[str, ...], last: str | None) -> str:
    """Whose turn it is after ``last``; the first one's where ``last`` is None or not a member any more."""
    if last not in members:
        return members[0]
    return members[(members.index(last) + 1) % len(members)]


def _is_about(rule: AllocationRule, action: Action, background: Background, document: Mapping[str, Any]) -> bool:
    return (
        rule.reason in (None, action.reason)
        and rule.system in (None, action.system)
        and (rule.owners is None or background.owner in rule.owners)
        and (rule.when is None or rule.when.matches(document))
    )


def _document(action: Action, background: Background, response: Mapping[str, Any]) -> dict[str, Any]:
    # plain types only: whoever reads it need not know ours
    return {
        "id": action.id,
        "system": action.system,
        "case": action.case_id,
        "owner": background.owner,
        "reason": None if action.reason is None else action.reason.value,
        "rejected_reason": action.rejected_reason,
        "data": {**background.data, **response},
        "case_data": {**background.case_data, **response},
        "response": dict(response),
    }
