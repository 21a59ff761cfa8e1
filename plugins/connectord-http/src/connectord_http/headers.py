"""Headers as they go over the wire, so that those of every request are made ready once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

Headers: TypeAlias = dict[str, tuple[bytes, bytes]]
"""Names and values by the names in lower case, so that a later one takes an earlier one's place."""


def wire_headers(headers: Mapping[str, str]) -> Headers:
    """``headers``, whose names and values are ASCII, ready to be sent."""
    return {name.lower(): (name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()}
