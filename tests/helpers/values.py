"""Frozen values and their copies."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def replace(value: T, **changes: Any) -> T:
    """A value with other ones in the fields that are named, be it a dataclass or a struct."""
    copy: Any = msgspec.structs.replace if isinstance(value, msgspec.Struct) else dataclasses.replace
    copied: T = copy(value, **changes)
    return copied
