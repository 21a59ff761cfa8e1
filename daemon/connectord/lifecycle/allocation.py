"""Rule 4's allocation: whom a To Do action is assigned to."""

from __future__ import annotations

from collections.abc import Iterable

from connectord.lifecycle.action import Action, Reason
from connectord.lifecycle.policy import DEFAULT_ASSIGNEE, AllocationRule, Assignee


def allocate(action: Action, reason: Reason, rules: Iterable[AllocationRule]) -> Assignee:
    """The first rule that matches decides; without one it is :data:`DEFAULT_ASSIGNEE`."""
    for rule in rules:
        if rule.reason in (None, reason) and rule.system in (None, action.system):
            return rule.assignee
    return DEFAULT_ASSIGNEE
