"""Secrets that come back: an error message or a refusal may quote what we sent, and is shown and kept for years.

Only the words for people are masked. Custom data and references are the system's, and go back to it unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import msgspec

from connectord.lifecycle.events import Event

Mask = Callable[[str], str]
E = TypeVar("E", bound=Event)

_WORDS = ("message", "reason", "text")


def masked(event: E, mask: Mask) -> E:
    """``event`` with every secret in its words masked."""
    changes: dict[str, Any] = {}
    for name in _words_in(event.__struct_fields__):
        words = getattr(event, name)
        if isinstance(words, str) and (hidden := mask(words)) != words:
            changes[name] = hidden
    return msgspec.structs.replace(event, **changes) if changes else event


@cache
def _words_in(fields: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in fields if name in _WORDS)
