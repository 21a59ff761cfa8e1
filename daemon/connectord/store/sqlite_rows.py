"""How the store's rows become values, and the other way round."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec

from connectord.lifecycle.action import FIELDS, Action, Reason, Resolution, State, changed_fields
from connectord.store.base import OutboxRecord, OutboxRow
from connectord.store.sqlite_many import RowStatement, inserting, updating

ACTION_COLUMNS = FIELDS
"""An action's columns bear the names of its fields, in their order."""

SELECT_ACTION = ", ".join(f"a.{name}" for name in ACTION_COLUMNS)
ACTION_WIDTH = len(ACTION_COLUMNS)

SELECT_CONFIG = "SELECT version, at, who, digest, text, back_to FROM config_versions"

_STATE = "state._value_"
"""The state as a plain string: of one that is an enumeration's, too, sqlite3 asks as it does of None."""

_FLAG = {0: False, 1: True}
_MEANINGS: tuple[tuple[int, dict[Any, Any]], ...] = (
    (ACTION_COLUMNS.index("state"), {str(state): state for state in State}),
    (ACTION_COLUMNS.index("reason"), {None: None, **{str(reason): reason for reason in Reason}}),
    (ACTION_COLUMNS.index("resolution"), {None: None, **{str(resolution): resolution for resolution in Resolution}}),
    (ACTION_COLUMNS.index("manual"), _FLAG),
    (ACTION_COLUMNS.index("probe"), _FLAG),
)
"""Where an action's row has something else than the action, and what stands for what."""

MANUAL_TURN, FIRST_TURN, RETRY_TURN = 0, 1, 2
"""Whose turn it is among what is due: what a person asked for, what was never tried, retries; as actions_due has it."""


def in_turn(turn: int) -> str:
    """The condition of one turn, in the very words of the index: SQLite compares expressions, not what they mean."""
    return f"CASE WHEN a.manual THEN 0 WHEN a.attempts = 0 THEN 1 ELSE 2 END = {turn}"


def next_due(*turns: int, besides: str = "") -> str:
    """When the first pending action of ``?1`` in one of ``turns`` is due, by a step into the index for each."""
    steps = (
        "SELECT * FROM (SELECT a.due_at FROM actions a INDEXED BY actions_due "  # noqa: S608
        f"WHERE a.state = 'pending' AND a.system = ?1 AND {in_turn(turn)} {besides}ORDER BY a.due_at LIMIT 1)"
        for turn in turns
    )
    return f"SELECT min(due_at) FROM ({' UNION ALL '.join(steps)})"  # noqa: S608


NEXT_DUE = next_due(MANUAL_TURN, FIRST_TURN, RETRY_TURN)


def action_from(row: Sequence[Any]) -> Action:
    """The action in the first columns of ``row``, selected as :data:`SELECT_ACTION`."""
    values = list(row[:ACTION_WIDTH])
    for place, meaning in _MEANINGS:
        values[place] = meaning[values[place]]
    return Action(*values)


_AS_AT_FIRST = Action("", "", -1)
"""Has in all columns what the schema has there where nothing is said, and where that is an error, what no action has.
"""


def said_columns(action: Action) -> tuple[str, ...]:
    """The columns that have to be named where the action is inserted."""
    return changed_fields(_AS_AT_FIRST, action)


_ORIGIN_COLUMNS = ("key", "payload_digest", "rerun_of")


@lru_cache(maxsize=128)
def insert_of(
    columns: tuple[str, ...], *, with_origin: bool
) -> tuple[RowStatement, Callable[[Action], tuple[Any, ...]]]:
    """The statement that inserts an action, and what gives its values of these columns and its state.

    The statement's rows have the data after those, and ``with_origin`` the key, the digest and what it is a rerun of.

    A new action has a value in six of its columns. To say of the thirty others that there is none takes as long as
    deciding an event does: the module sqlite3 asks of every None whether somebody wants to make something else of it.
    """
    columns = tuple(name for name in columns if name != "state")
    more = ("data", *(_ORIGIN_COLUMNS if with_origin else ()))
    return inserting("actions", (*columns, "state", *more)), attrgetter(*columns, _STATE)


DATA_COLUMNS = ("data", "response_data")
"""What an action has besides its fields, and a response changes."""


@lru_cache(maxsize=128)
def update_of(
    columns: tuple[str, ...], *, with_data: bool = False
) -> tuple[RowStatement, Callable[[Action], tuple[Any, ...]]]:
    """The statement that writes these columns of an action, and what gives its values and the id.

    ``with_data``: the statement's rows have those of :data:`DATA_COLUMNS` before the id.

    Columns that did not change are left out: SQLite looks at every index that has one of those written, and an index
    for polls costs nothing where nothing is polled. What events change together is always the same; so there are a few
    dozen statements, and whatever else may come up is bounded.
    """
    getters = (_STATE if name == "state" else name for name in columns)
    return updating("actions", (*columns, *(DATA_COLUMNS if with_data else ())), ["id"]), attrgetter(*getters, "id")


def id_list(ids: Collection[str]) -> str:
    """The ids as one value of a statement, for ``IN (SELECT value FROM json_each(?))``."""
    return msgspec.json.encode(list(ids)).decode()


def outbox_record(row: Sequence[Any]) -> OutboxRecord:
    """A row of the outbox: seq, the columns of the notification in their order, and what became of it."""
    return OutboxRecord(row[0], OutboxRow(*row[1:7]), *row[7:11])
