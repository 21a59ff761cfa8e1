"""The formats that the adapter speaks: what it sends, and what it reads from answers and callbacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from connectord.adapters import Call, Rejected, Response, Succeeded, call_document

from connectord_http import connectord_format, enate


@dataclass(frozen=True, slots=True)
class Dialect:
    """One format.

    ``read_callback`` raises :class:`connectord.errors.InvalidCallback`; ``read_answer`` gives None for a body
    that is no response. ``reason_keys`` are where a refusal's JSON may say why, the best first.
    """

    build_payload: Callable[[Call], dict[str, Any]]
    read_answer: Callable[[bytes], Succeeded | Rejected | None]
    read_callback: Callable[[bytes], Response]
    reason_keys: tuple[str, ...]


_REASON_KEYS = ("detail", "reason", "error", "message")

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {
        "connectord": Dialect(
            build_payload=call_document,
            read_answer=connectord_format.read_answer,
            read_callback=connectord_format.read_callback,
            reason_keys=_REASON_KEYS,
        ),
        "enate": Dialect(
            build_payload=enate.build_payload,
            read_answer=enate.read_answer,
            read_callback=enate.read_callback,
            reason_keys=("RobotRejectedReason", *_REASON_KEYS),
        ),
    }
)
"""Every dialect by the name that ``dialect = "..."`` refers to."""
