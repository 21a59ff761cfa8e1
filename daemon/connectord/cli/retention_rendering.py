"""The card of ``retention``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectord.cli.rendering import clean, facts


def retention_card(retention: Mapping[str, Any], *, plan: bool) -> str:
    """How long what is kept, what was removed, what is due."""
    due = retention.get("due") or {}
    count = sum(due.values())
    kinds = ", ".join(f"{number} {clean(kind).replace('_', ' ')}" for kind, number in due.items() if number)
    words = f"{count}: {kinds}; the oldest closed {clean(retention.get('oldest_due'))}" if count else "nothing"
    removed = retention.get("removed")
    last = retention.get("last_run_at")
    return facts(
        [
            ("Done successfully", f"kept {clean(_age(retention.get('done_successfully')))}"),
            ("Not done successfully", f"kept {clean(_age(retention.get('not_done_successfully')))}"),
            ("With a key", f"kept {clean(retention.get('keys'))} at least"),
            ("Would go now" if plan else "Due to go", words),
            ("Last look", f"{clean(last)}, {clean(retention.get('last_run_removed'))} removed" if last else None),
            (
                "Removed in all",
                f"{clean(removed)}, the last one {clean(retention.get('removed_at'))}" if removed else "0",
            ),
        ]
    )


def _age(age: Any) -> str:
    return "for ever" if age == "forever" else str(age)
