"""What keeps the store small: old actions removed, room given back, the write-ahead log written back."""

from __future__ import annotations

from connectord.upkeep.log_watch import LogWatch, bound_of
from connectord.upkeep.retention import Retention, Run, prunable

__all__ = ["LogWatch", "Retention", "Run", "bound_of", "prunable"]
