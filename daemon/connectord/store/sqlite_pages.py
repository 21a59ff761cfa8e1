"""Pages of actions by id, out of indexes that begin with the system: one stream for each, merged as far as needed.

So a page costs a step for each system and one for each row, however many actions there are.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from typing import Any

from connectord.lifecycle.action import Action, State
from connectord.store.sqlite_rows import SELECT_ACTION, action_from

LIVE_STATES = tuple(state.value for state in State if state is not State.CLOSED)


def systems_sql(index: str, condition: str) -> str:
    """A common table ``s`` of the systems in an index, found by a step for each."""
    first = f"SELECT min(system) FROM actions INDEXED BY {index} WHERE {condition}"  # noqa: S608
    return (
        f"WITH RECURSIVE s (system) AS ({first} UNION ALL "  # noqa: S608
        f"SELECT ({first} AND system > s.system) FROM s WHERE s.system IS NOT NULL)"
    )


LIVE_SYSTEMS = systems_sql("actions_live", "state <> 'closed'")
_DONE_SYSTEMS = systems_sql("actions_done", "state = 'closed'")
_SYSTEMS = {
    "actions_live": f"{LIVE_SYSTEMS} SELECT system FROM s WHERE system IS NOT NULL",  # noqa: S608
    "actions_done": f"{_DONE_SYSTEMS} SELECT system FROM s WHERE system IS NOT NULL",  # noqa: S608
}
_LIVE_PAGE = (
    f"SELECT {SELECT_ACTION} FROM actions a INDEXED BY actions_live "  # noqa: S608
    "WHERE a.system = ? AND a.state = ? AND a.state <> 'closed' AND a.id > ? ORDER BY a.id"
)
_first = itemgetter(0)


@dataclass(frozen=True, slots=True)
class Stream:
    """Rows in the order of one index, by the id in their first column. ``sql`` has no LIMIT."""

    sql: str
    args: Sequence[Any]


def systems_in(connection: sqlite3.Connection, index: str) -> list[str]:
    """The systems that an index holds actions of."""
    return [row[0] for row in connection.execute(_SYSTEMS[index])]


def merge(connection: sqlite3.Connection, streams: Sequence[Stream], limit: int, *, newest_first: bool) -> list[Any]:
    """The first ``limit`` rows of all streams together."""
    with ExitStack() as stack:
        # a cursor that is left in the middle would keep the write-ahead log from being written back
        cursors = [stack.enter_context(closing(connection.execute(each.sql, each.args))) for each in streams]
        return list(islice(heapq.merge(*cursors, key=_first, reverse=newest_first), limit))


def live_page(connection: sqlite3.Connection, state: str, after: str, limit: int) -> list[Action]:
    """Actions of all systems in one live state after the id ``after``, the oldest first."""
    systems = systems_in(connection, "actions_live")
    streams = [Stream(_LIVE_PAGE, (system, state, after)) for system in systems]
    return [action_from(row) for row in merge(connection, streams, limit, newest_first=False)]
