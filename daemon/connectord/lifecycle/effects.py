"""What has to be written along with a change of an action, in the same transaction (rule 18)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeAlias

import msgspec


class AttemptOutcome(StrEnum):
    """What an attempt came to."""

    TAKEN = "taken"
    SUCCEEDED = "succeeded"
    REJECTED = "rejected"
    NOT_CONNECTED = "not_connected"
    INTERRUPTED = "interrupted"


class OpenAttempt(msgspec.Struct, frozen=True):
    """Record that attempt ``number`` begins, before its first byte leaves (rule 14)."""

    number: int
    manual: bool


class EndAttempt(msgspec.Struct, frozen=True):
    """Record what attempt ``number`` came to. An attempt ends once: a second end changes nothing."""

    number: int
    outcome: AttemptOutcome
    message: str | None


class MergeData(msgspec.Struct, frozen=True):
    """Merge custom data into the action's and its case's: top-level fields replace those of the same name."""

    data: Mapping[str, Any]


class KeepLateResponse(msgspec.Struct, frozen=True):
    """Record a response that came too late to decide anything (rule 15)."""

    digest: str
    status: str
    reason: str | None
    data: Mapping[str, Any]


class Notice(StrEnum):
    """Why a case owner is notified."""

    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    CLOSED_BY_HAND = "closed_by_hand"


class NotifyOwner(msgspec.Struct, frozen=True):
    """Put a notification for the case owner into the outbox (rules 5 and 9)."""

    notice: Notice


class TakeTurn(msgspec.Struct, frozen=True):
    """Record that ``member`` had the turn in ``group`` (rule 4's round robin)."""

    group: str
    member: str


Effect: TypeAlias = OpenAttempt | EndAttempt | MergeData | KeepLateResponse | NotifyOwner | TakeTurn
