"""Types for the fields of an adapter's settings."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import pydantic

from connectord.config.durations import format_duration
from connectord.config.scalars import duration

DurationMs: TypeAlias = Annotated[
    int,
    pydantic.BeforeValidator(duration()),
    pydantic.PlainSerializer(format_duration, return_type=str),
]
"""A duration, written as ``"10s"`` in connectord.toml: more than 0, at most 10 years, in milliseconds."""
