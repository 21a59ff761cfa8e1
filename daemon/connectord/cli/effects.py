"""Which actions a reload concerns, as connectorctl lists them: some of each kind, or all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from connectord.cli.rendering import clean, table

SOME = 10

_HEADINGS = {
    "close": ("closed: tried as often as the limit allows", "Closed - Not Done Successfully"),
    "go_on": ("tried until the new limit", "goes on"),
    "when_ended": ("an attempt is under way; the new limit decides when it ends", "decided when the attempt ends"),
    "hold": ("held: the system is not configured any more", "held"),
    "resume": ("the system is back", "goes on"),
    "show": ("only another number is shown", "shown"),
}


class EffectListing:
    """Gathers pages of effects until there are enough of every kind."""

    def __init__(self, counts: Mapping[str, int], *, list_all: bool) -> None:
        self._counts = {kind: counts.get(kind, 0) for kind in _HEADINGS}
        self._most = None if list_all else SOME
        self._listed: dict[str, list[Mapping[str, Any]]] = {kind: [] for kind in _HEADINGS}

    def add(self, effects: Iterable[Mapping[str, Any]]) -> bool:
        """Take a page; whether there are enough of every kind now."""
        for effect in effects:
            listed = self._listed.setdefault(str(effect.get("effect")), [])
            if self._most is None or len(listed) < self._most:
                listed.append(effect)
        if self._most is None:
            return False
        return all(len(self._listed[kind]) >= min(count, self._most) for kind, count in self._counts.items())

    def text(self) -> str:
        """What is printed: a heading with the count, and the actions, for every kind that there is."""
        return "\n\n".join(self._section(kind) for kind, listed in self._listed.items() if listed)

    def _section(self, kind: str) -> str:
        listed = self._listed[kind]
        count = max(self._counts.get(kind, 0), len(listed))
        heading, outcome = _HEADINGS.get(kind, (clean(kind), clean(kind)))
        rows = ((item.get("id"), item.get("system"), _tries(item), outcome) for item in listed)
        lines = [
            f"{count} {'action' if count == 1 else 'actions'}: {heading}",
            table(("ID", "SYSTEM", "TRIED", ""), rows),
        ]
        if count > len(listed):
            lines.append(f"... and {count - len(listed)} more (--all lists them)")
        return "\n".join(lines)


def _tries(effect: Mapping[str, Any]) -> str:
    before, after = clean(effect.get("before")), clean(effect.get("after"))
    return before if before == after else f"{before} -> {after}"
