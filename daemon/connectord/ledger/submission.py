"""What upstream software hands in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec


class Submission(msgspec.Struct, frozen=True):
    """A new action. ``due_at`` is milliseconds since the epoch; None means now. ``traceparent`` is that of W3C Trace
    Context, already checked."""

    system: str
    case_id: str | None = None
    owner: str | None = None
    key: str | None = None
    data: Mapping[str, Any] = msgspec.field(default_factory=dict)
    due_at: int | None = None
    rerun_of: str | None = None
    traceparent: str | None = None


def payload_digest(submission: Submission) -> bytes:
    """Rule 17: what has to be the same for the same key. When it is to be due is not part of it."""
    payload = {"case": submission.case_id, "owner": submission.owner, "data": submission.data}
    return hashlib.sha256(msgspec.json.encode(payload, order="deterministic")).digest()


def response_digest(status: str, reason: str | None, data: Mapping[str, Any]) -> str:
    """Rule 15: by this the same response is known when it comes again."""
    response = {"status": status, "reason": reason, "data": data}
    return hashlib.sha256(msgspec.json.encode(response, order="deterministic")).hexdigest()[:32]
