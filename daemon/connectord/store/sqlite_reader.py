"""The readers' side of the SQLite store: what is committed, without ever delaying the writer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from connectord.store.base import ActionRecord, AttemptRow, CaseRecord, Filters, HistoryRow, LateResponse
from connectord.store.sqlite_connection import open_reader, translate_errors
from connectord.store.sqlite_rows import ACTION_WIDTH, SELECT_ACTION, action_from

_RECORD = f"SELECT {SELECT_ACTION}, a.key, a.rerun_of, a.data, a.response_data FROM actions a"  # noqa: S608
_HISTORY = "SELECT seq, action_id, at, from_state, to_state, event, rules, why, who, note FROM history"

_CONDITIONS = {
    "state": "a.state = ?",
    "system": "a.system = ?",
    "case_id": "a.case_id = ?",
    "reason": "a.reason = ?",
    "resolution": "a.resolution = ?",
    "since": "a.submitted_at >= ?",
}


class SqliteReader:
    """A :class:`connectord.store.base.ReadStore` on one read-only SQLite connection."""

    def __init__(self, path: Path) -> None:
        self._connection = open_reader(path).conn

    def record(self, action_id: str) -> ActionRecord | None:
        rows = self._all(f"{_RECORD} WHERE a.id = ?", action_id)
        if not rows:
            return None
        late = self._all(
            "SELECT action_id, digest, at, status, reason, data FROM late_responses WHERE action_id = ? ORDER BY at",
            action_id,
        )
        return _record(rows[0], tuple(LateResponse(*row) for row in late))

    def system_of(self, action_id: str) -> str | None:
        rows = self._all("SELECT system FROM actions WHERE id = ?", action_id)
        return rows[0][0] if rows else None

    def list_records(self, filters: Filters, after: str | None, limit: int) -> Sequence[ActionRecord]:
        where, args = _where(filters)
        if after is not None:
            where.append("a.id < ?")
            args.append(after)
        condition = f" WHERE {' AND '.join(where)}" if where else ""
        # SQLite uses actions_live only where it can prove that the rows are not closed
        if filters.state is not None and filters.state != "closed":
            condition += " AND a.state <> 'closed'"
        return [_record(row) for row in self._all(f"{_RECORD}{condition} ORDER BY a.id DESC LIMIT ?", *args, limit)]

    def case(self, case_id: str, limit: int) -> CaseRecord | None:
        rows = self._all("SELECT id, owner, data, created_at FROM cases WHERE id = ?", case_id)
        if not rows:
            return None
        actions = self.list_records(Filters(case_id=case_id), None, limit)
        id_, owner, data, created_at = rows[0]
        return CaseRecord(id_, owner, data, created_at, tuple(actions))

    def history(self, action_id: str) -> Sequence[HistoryRow]:
        return [HistoryRow(*row) for row in self._all(f"{_HISTORY} WHERE action_id = ? ORDER BY seq", action_id)]

    def history_after(self, seq: int, limit: int) -> Sequence[HistoryRow]:
        return [HistoryRow(*row) for row in self._all(f"{_HISTORY} WHERE seq > ? ORDER BY seq LIMIT ?", seq, limit)]

    def attempts(self, action_id: str) -> Sequence[AttemptRow]:
        rows = self._all(
            "SELECT action_id, number, manual, started_at, ended_at, outcome, message FROM attempts "
            "WHERE action_id = ? ORDER BY number",
            action_id,
        )
        return [AttemptRow(row[0], row[1], bool(row[2]), *row[3:]) for row in rows]

    def paused_systems(self) -> dict[str, str]:
        return {row[0]: row[1] for row in self._all("SELECT system, who FROM paused_systems")}

    def count_over_limit(self, system: str, attempts: int) -> int:
        sql = (
            "SELECT count(*) FROM actions INDEXED BY actions_retrying "
            "WHERE state = 'pending' AND attempts > 0 AND system = ? AND attempts >= ?"
        )
        return int(self._all(sql, system, attempts)[0][0])

    def closed_ids(self, filters: Filters, limit: int) -> Sequence[str]:
        where, args = _where(filters)
        where.append("a.state = 'closed'")
        sql = f"SELECT a.id FROM actions a WHERE {' AND '.join(where)} ORDER BY a.id LIMIT ?"  # noqa: S608
        return [row[0] for row in self._all(sql, *args, limit)]

    def close(self) -> None:
        self._connection.close()

    def _all(self, sql: str, *args: Any) -> list[Any]:
        with translate_errors():
            return self._connection.execute(sql, args).fetchall()


def _where(filters: Filters) -> tuple[list[str], list[Any]]:
    chosen = [(sql, getattr(filters, name)) for name, sql in _CONDITIONS.items()]
    return [sql for sql, value in chosen if value is not None], [value for _, value in chosen if value is not None]


def _record(row: Sequence[Any], late: tuple[LateResponse, ...] = ()) -> ActionRecord:
    key, rerun_of, data, response_data = row[ACTION_WIDTH:]
    return ActionRecord(action_from(row), key, rerun_of, data, response_data, late)
