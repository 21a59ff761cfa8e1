"""How the store's rows become values, and the other way round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

from connectord.lifecycle.action import Action, Reason, Resolution, State
from connectord.store.base import OutboxRecord, OutboxRow

ACTION_COLUMNS = tuple(field.name for field in fields(Action))
"""An action's columns bear the names of its fields, in their order."""

SELECT_ACTION = ", ".join(f"a.{name}" for name in ACTION_COLUMNS)
ACTION_WIDTH = len(ACTION_COLUMNS)

SELECT_CONFIG = "SELECT version, at, who, digest, text, back_to FROM config_versions"

_STATE = ACTION_COLUMNS.index("state")
_REASON = ACTION_COLUMNS.index("reason")
_RESOLUTION = ACTION_COLUMNS.index("resolution")
_MANUAL = ACTION_COLUMNS.index("manual")
_PROBE = ACTION_COLUMNS.index("probe")

_STATES = {str(state): state for state in State}
_REASONS: dict[str | None, Reason | None] = {None: None, **{str(reason): reason for reason in Reason}}
_RESOLUTIONS: dict[str | None, Resolution | None] = {
    None: None,
    **{str(resolution): resolution for resolution in Resolution},
}

ASKING_COLUMNS = ("reference", "probe", "next_poll_at", "ask_step")
"""What only systems that are polled or probed change: written by a statement of its own, so that others pay nothing."""

INSERTED_COLUMNS = tuple(name for name in ACTION_COLUMNS if name not in ASKING_COLUMNS)

# What never changes after the submission is left out of an update.
_FIXED = {"id", "system", "submitted_at", "case_id", "owner", "traceparent"}
MUTABLE_COLUMNS = tuple(name for name in INSERTED_COLUMNS if name not in _FIXED)

# An action's values of these columns, ready for SQLite (enumerations are strings already).
inserted_values = attrgetter(*INSERTED_COLUMNS)
mutable_values = attrgetter(*MUTABLE_COLUMNS)
asking_values = attrgetter(*ASKING_COLUMNS)


def action_from(row: Sequence[Any]) -> Action:
    """The action in the first columns of ``row``, selected as :data:`SELECT_ACTION`."""
    values = list(row[:ACTION_WIDTH])
    values[_STATE] = _STATES[values[_STATE]]
    values[_REASON] = _REASONS[values[_REASON]]
    values[_RESOLUTION] = _RESOLUTIONS[values[_RESOLUTION]]
    values[_MANUAL] = bool(values[_MANUAL])
    values[_PROBE] = bool(values[_PROBE])
    return Action(*values)


def outbox_record(row: Sequence[Any]) -> OutboxRecord:
    """A row of the outbox: seq, the columns of the notification in their order, and what became of it."""
    return OutboxRecord(row[0], OutboxRow(*row[1:7]), *row[7:11])
