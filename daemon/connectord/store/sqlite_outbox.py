"""Notifications that are put into the outbox, each under a number of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from connectord.store.base import OutboxRow
from connectord.store.sqlite_many import inserting

# a number that was given out is not given out again, though what had it is gone: receivers go by it
_LAST_NUMBER = "SELECT max(coalesce((SELECT max(seq) FROM outbox), 0), outbox_through) FROM retention"
_INSERT = inserting("outbox", ["seq", "action_id", "case_id", "owner", "notice", "at", "text", "next_try_at"])


class NumberedInsert:
    """Inserts rows of :func:`outbox_values` under the next numbers."""

    def run(self, connection: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Write the rows in their order."""
        last = connection.execute(_LAST_NUMBER).fetchone()[0]
        _INSERT.run(connection, [(number, *row) for number, row in enumerate(rows, last + 1)])


def outbox_values(notifications: Iterable[OutboxRow]) -> list[tuple[Any, ...]]:
    """What is written of each besides its number; it is due at once."""
    return [(row.action_id, row.case_id, row.owner, row.notice, row.at, row.text, row.at) for row in notifications]
