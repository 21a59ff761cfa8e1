"""Sizes in words."""

from __future__ import annotations


def bytes_text(count: float) -> str:
    """``1.5 GiB``: a number of bytes, 0 or more, in the unit that suits it."""
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
