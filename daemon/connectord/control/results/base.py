"""What all results share: their base, and how times and names look."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

Time: TypeAlias = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
StateName: TypeAlias = Literal["pending", "attempting", "waiting", "todo", "in_progress", "closed"]
ReasonName: TypeAlias = Literal["updated_by_integration", "timeout"]
ResolutionName: TypeAlias = Literal["done_successfully", "not_done_successfully"]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all results."""
