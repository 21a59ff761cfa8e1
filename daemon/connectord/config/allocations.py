"""Who gets a To Do action: ``[[allocation]]`` and ``systems.NAME.allocation``, ``[groups]`` and ``[queues]``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from connectord.config.conditions import compile_expression
from connectord.config.scalars import choice, text
from connectord.config.tables import Table, dotted, shown, suggestion
from connectord.lifecycle.policy import DEFAULT_ASSIGNEE, AllocationRule, Assignee, CaseOwner, Group, Policy, Target

T = TypeVar("T")

LONGEST_NAME = 200
"""As long as the control socket takes the name of a queue or of a user."""

_TARGETS = ("queue", "user", "group", "to_owner")
_WHOM = 'queue = "...", user = "...", group = "..." or to_owner = true'


class AllocationReader:
    """Reads rules with what they may name: the groups and the systems of the same file.

    ``rules`` are the ``[[allocation]]`` rules in their order.
    """

    def __init__(self, tables: Iterable[Table], groups: Table, systems: Iterable[str]) -> None:
        self.groups = _read_groups(groups)
        # one with a mistake is known all the same: its mistake is reported where it stands
        self._group_names = tuple(groups.values)
        self._systems = tuple(systems)
        self.rules = tuple(self._rule(table) for table in tables)

    def own_rule(self, system: str, table: Table) -> AllocationRule:
        """A system's own ``allocation``: no conditions, only whom its actions go to."""
        return AllocationRule(assignee=self._target(table), system=system)

    def _rule(self, table: Table) -> AllocationRule:
        where = dotted(table.at("when"))
        reason = table.read("reason", choice("timeout", "updated_by_integration"), None)
        system = table.read("system", self._system, None)
        owners = table.read("owner", _owners, None)
        when = table.read("when", lambda value: compile_expression(value, where), None)
        return AllocationRule(assignee=self._target(table), reason=reason, system=system, owners=owners, when=when)

    def _target(self, table: Table) -> Target:
        queue = table.read("queue", name_of_people, None)
        user = table.read("user", name_of_people, None)
        group = table.read("group", self._group, None)
        to_owner = table.read("to_owner", _true, None)
        table.finish()
        given = [key for key in table.values if key in _TARGETS]
        if not given:
            table.here(f"name whom it goes to: {_WHOM}")
        elif len(given) > 1:
            table.problem(given[1], f"name one of {' and '.join(given)}, not {len(given)} of them")
        if to_owner is not None:
            return CaseOwner()
        return Assignee(queue, user) if group is None else group

    def _group(self, value: object) -> Group:
        name = text(value)
        if name not in self._group_names:
            raise ValueError(f"there is no group {shown(name)}; {suggestion(name, self._group_names, 'groups')}")
        return Group(name, self.groups.get(name, ()))

    def _system(self, value: object) -> str:
        name = text(value)
        if name not in self._systems:
            hint = suggestion(name, self._systems, "configured systems")
            raise ValueError(f"there is no system {shown(name)}; {hint}")
        return name


def read_queues(table: Table) -> dict[str, str]:
    """``[queues]``: what each queue is for."""
    return {name: what_for for name, what_for in _read_named(table, text, "a queue").items() if what_for is not None}


def known_queues(
    declared: Mapping[str, str], groups: Iterable[str], policies: Iterable[Policy]
) -> dict[str, str | None]:
    """Every queue that there is, and what it is for: the default one, the declared ones, those that rules name, and
    the groups' own."""
    assignees = [rule.assignee for policy in policies for rule in policy.allocation]
    named = [assignee.queue for assignee in assignees if isinstance(assignee, Assignee) and assignee.queue is not None]
    names = dict.fromkeys([DEFAULT_ASSIGNEE.queue or "", *declared, *named, *groups])
    return {name: declared.get(name) for name in names}


def name_of_people(value: object) -> str:
    """The name of a queue, a user or a case owner: a :func:`text` of at most 200 characters."""
    name = text(value)
    if len(name) > LONGEST_NAME:
        raise ValueError(f"must have at most {LONGEST_NAME} characters")
    return name


def _read_groups(table: Table) -> dict[str, tuple[str, ...]]:
    groups = {}
    for name in _read_named(table, _members_given, "a group"):
        known: set[str] = set()

        def member(value: object, known: set[str] = known) -> str:
            person = name_of_people(value)
            if person in known:
                raise ValueError(f"{shown(person)} stands twice in the group")
            known.add(person)
            return person

        groups[name] = table.read_each(name, member) if table.sound(name) else ()
    return groups


def _read_named(table: Table, parse: Callable[[object], T], what: str) -> dict[str, T | None]:
    found = {}
    for name in table.values:
        try:
            name_of_people(name)
        except ValueError as error:
            table.problem(name, f"{what}'s name {error}")
        found[name] = table.read(name, parse, None)
    return found


def _members_given(value: object) -> bool:
    if not isinstance(value, list) or not value:
        raise ValueError('must be an array of 1 or more names, such as ["anna", "ben"]')
    return True


def _owners(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return (name_of_people(value),)
    if not value:
        raise ValueError("must name at least one case owner")
    return tuple(dict.fromkeys(name_of_people(item) for item in value))


def _true(value: object) -> bool:
    if value is not True:
        raise ValueError(f"must be true, or left out, not {shown(value)}")
    return True
