"""Who gets a To Do action: ``[[allocation]]`` and ``systems.NAME.allocation``."""

from __future__ import annotations

from collections.abc import Iterable

from connectord.config.scalars import choice, text
from connectord.config.tables import Table, shown, suggestion
from connectord.lifecycle.policy import AllocationRule, Assignee


def read_rules(tables: Iterable[Table], systems: Iterable[str]) -> tuple[AllocationRule, ...]:
    """The ``[[allocation]]`` rules in their order. ``systems`` are the names that a rule may give."""
    names = tuple(systems)

    def configured(value: object) -> str:
        name = text(value)
        if name not in names:
            raise ValueError(f"there is no system {shown(name)}; {suggestion(name, names, 'configured systems')}")
        return name

    rules = []
    for table in tables:
        reason = table.read("reason", choice("timeout", "updated_by_integration"), None)
        system = table.read("system", configured, None)
        rules.append(AllocationRule(assignee=read_assignee(table), reason=reason, system=system))
    return tuple(rules)


def read_assignee(table: Table) -> Assignee:
    """The ``queue`` or the ``user`` in ``table``, which must have exactly one of them and nothing else unread."""
    assignee = Assignee(queue=table.read("queue", text, None), user=table.read("user", text, None))
    table.finish()
    if "queue" in table and "user" in table:
        table.problem("user", "name a queue or a user, not both")
    elif "queue" not in table and "user" not in table:
        table.here('name whom it goes to: queue = "..." or user = "..."')
    return assignee
