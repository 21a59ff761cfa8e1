"""How many lines of the screen each part has, for any size."""

from __future__ import annotations

from dataclasses import dataclass

_LEAST_FOR_BOTH = 8


@dataclass(frozen=True, slots=True)
class Layout:
    """Rows of the tables without their headings; 0 is a table that is not shown. ``page`` is what a card has."""

    systems: int
    actions: int
    page: int
    is_full: bool
    """Whether both tables are shown; otherwise only the one that has the keys."""


def lay_out(height: int, systems: int, *, on_systems: bool) -> Layout:
    """Share ``height`` lines: one above for the daemon, one below for what is said, the tables between them."""
    body = max(0, height - 2)
    if height < _LEAST_FOR_BOTH:
        rows = max(0, body - 1)
        return Layout(rows if on_systems else 0, 0 if on_systems else rows, body, is_full=False)
    # two headings, and the line between the tables
    rows = body - 3
    for_systems = min(max(1, systems), max(1, rows // 3))
    return Layout(for_systems, rows - for_systems, body, is_full=True)


def first_row(selected: int, total: int, rows: int) -> int:
    """The first of ``rows`` rows to show of ``total``, so that the selected one is seen, in the middle if it can be."""
    return max(0, min(selected - rows // 2, total - rows))
