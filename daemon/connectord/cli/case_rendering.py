"""What connectorctl prints about a case: its data, where that came from, and its actions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from connectord.cli.rendering import attempts_text, clean, facts, origin_text, state_label, table

LONGEST_VALUE = 60

Emphasis = Callable[[str], str]
"""Makes a line stand out on a terminal."""


def case_card(case: Mapping[str, Any], emphasize: Emphasis = str) -> str:
    """A case with its actions; "!" stands before those that stand out, and ``emphasize`` is done to their lines."""
    parts = [facts([("Case", case.get("id")), ("Owner", case.get("owner"))])]
    fields = case.get("fields")
    if isinstance(fields, Mapping) and fields:
        rows = ((name, _value(field), *_origin_cells(field.get("origin"))) for name, field in fields.items())
        parts.append(table(("FIELD", "VALUE", "SET BY", "WHO", "AT"), rows))
    actions: Sequence[Mapping[str, Any]] = case.get("actions") or []
    if not actions:
        return "\n\n".join([*parts, "No actions."])
    lines = table(
        ("", "ID", "SYSTEM", "STATE", "ATTEMPTS", "DUE"),
        (
            (
                "!" if action.get("highlighted") else "",
                action.get("id"),
                action.get("system"),
                state_label(action),
                attempts_text(action),
                action.get("due_at"),
            )
            for action in actions
        ),
    ).split("\n")
    parts.append("\n".join(emphasize(line) if line.startswith("!") else line for line in lines))
    return "\n\n".join(parts)


def merge_table(merges: Sequence[Mapping[str, Any]]) -> str:
    """Everything that was merged into a case, a line a field, in the order in which it came."""
    if not merges:
        return "Nothing was merged."
    return table(("AT", "FIELD", "VALUE", "SET BY", "WHO"), _merge_rows(merges))


def _merge_rows(merges: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Any, ...]]:
    for merge in merges:
        set_by, who, at = _origin_cells(merge)
        for name, value in (merge.get("data") or {}).items():
            yield at, name, _short(value), set_by, who


def _origin_cells(origin: Any) -> tuple[str, str, str]:
    if not isinstance(origin, Mapping):
        return "-", "-", "-"
    return f"{clean(origin.get('action'))}, {origin_text(origin)}", clean(origin.get("who")), clean(origin.get("at"))


def _value(field: Mapping[str, Any]) -> str:
    return _short(field.get("value"))


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."
