"""What ``connectorctl queues`` prints, and ``list`` for one queue or one person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from connectord.cli.rendering import assigned_text, clean, duration_text, state_label, table


def queues_text(result: Mapping[str, Any]) -> str:
    """The tables of ``queues``."""
    queues = (
        (
            queue.get("name") if queue.get("known", True) else f"{clean(queue.get('name'))} (not configured)",
            *_work(queue),
            queue.get("description"),
        )
        for queue in result.get("queues") or []
    )
    text = table(("QUEUE", "TO DO", "IN PROGRESS", "LONGEST", "SINCE", "WHAT FOR"), queues)
    people = [(person.get("user"), *_work(person)) for person in result.get("people") or []]
    if not people:
        return text
    return f"{text}\n\n{table(('USER', 'TO DO', 'IN PROGRESS', 'LONGEST', 'SINCE'), people)}"


def work_table(actions: Iterable[Mapping[str, Any]]) -> str:
    """The table of ``list --queue`` and ``list --user``: why each action needs a person, who has it, since when."""
    rows = (
        (
            action.get("id"),
            action.get("system"),
            action.get("case"),
            state_label(action),
            assigned_text(action.get("assigned_to")),
            action.get("todo_at"),
            "Timeout" if action.get("reason") == "timeout" else action.get("rejected_reason"),
        )
        for action in actions
    )
    return table(("ID", "SYSTEM", "CASE", "STATE", "ASSIGNED TO", "SINCE", "REASON"), rows)


def _work(item: Mapping[str, Any]) -> tuple[Any, ...]:
    return item.get("todo"), item.get("in_progress"), duration_text(item.get("oldest_seconds")), item.get("oldest_at")
