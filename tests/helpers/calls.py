"""A call for an adapter, complete but for what a test cares about."""

from __future__ import annotations

from typing import Any

from connectord.adapters import Call


def make_call(**changes: Any) -> Call:
    """The first attempt at the action ``A-1`` in the system ``billing``, with ``changes``."""
    values: dict[str, Any] = {
        "action_id": "A-1",
        "system": "billing",
        "case_id": "C-1001",
        "owner": "ada",
        "attempt": 1,
        "submitted_at": "2026-11-24T12:00:00.000Z",
        "data": {"amount": 12},
        "case_data": {"vendor": "ACME"},
        "callback_url": "https://connectord.example/callback/token",
        "idempotency_key": "A-1",
    }
    return Call(**{**values, **changes})
