"""The readers' side of the SQLite store: what is committed, without ever delaying the writer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from connectord.lifecycle.action import Action
from connectord.store.base import (
    ActionRecord,
    AttemptRow,
    CaseRecord,
    ConfigRecord,
    Filters,
    HistoryRow,
    LateResponse,
    LimitCounts,
)
from connectord.store.sqlite_connection import open_reader, translate_errors
from connectord.store.sqlite_rows import ACTION_WIDTH, SELECT_ACTION, SELECT_CONFIG, action_from

_RECORD = f"SELECT {SELECT_ACTION}, a.key, a.rerun_of, a.data, a.response_data FROM actions a"  # noqa: S608
_HISTORY = "SELECT seq, action_id, at, from_state, to_state, event, rules, why, who, note, config_version FROM history"

# the indexes are named because SQLite, without statistics, may take another one and read every row
_LIVE_PAGE = (
    f"SELECT {SELECT_ACTION} FROM actions a INDEXED BY actions_live "  # noqa: S608
    "WHERE a.state = ? AND a.state <> 'closed' AND a.id > ? ORDER BY a.id LIMIT ?"
)
# rule 14: a limit waits for what a probe brings, as it does for an attempt under way
# rule 10: what is shown is the larger of the system's limit, if it has one, and the one at the last failure
_LIMIT_COUNTS = (
    "SELECT iif(state = 'pending' AND probe, 'attempting', state) AS phase, count(*), "
    "sum(max(coalesce(limit_at_failure, ?), coalesce(?, limit_at_failure)) IS NOT "
    "max(coalesce(limit_at_failure, ?), coalesce(?, limit_at_failure))) FROM actions INDEXED BY actions_live "
    "WHERE state IN ('pending', 'attempting', 'waiting', 'todo', 'in_progress') AND state <> 'closed' AND system = ? "
    "GROUP BY phase"
)
_COUNT_OVER_LIMIT = (
    "SELECT count(*) FROM actions INDEXED BY actions_retrying "
    "WHERE state = 'pending' AND attempts > 0 AND system = ? AND attempts >= ? AND NOT probe"
)
_CLOSED_BY_LIMIT = (
    f"SELECT {SELECT_ACTION}, h.seq FROM history h INDEXED BY history_limit_changed "  # noqa: S608
    "JOIN actions a ON a.id = h.action_id "
    "WHERE h.config_version = ? AND h.event = 'LimitChanged' AND h.seq > ? ORDER BY h.seq LIMIT ?"
)

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

    def live_page(self, state: str, after: str, limit: int) -> Sequence[Action]:
        return [action_from(row) for row in self._all(_LIVE_PAGE, state, after, limit)]

    def limit_counts(self, system: str, before: int | None, after: int | None) -> LimitCounts:
        found = {row[0]: row[1:] for row in self._all(_LIMIT_COUNTS, before, before, after, after, system)}
        over = 0 if after is None else self._all(_COUNT_OVER_LIMIT, system, after)[0][0]
        pending, _ = found.pop("pending", (0, 0))
        attempting, _ = found.pop("attempting", (0, 0))
        return LimitCounts(pending, over, attempting, sum(shown for _, shown in found.values()))

    def closed_by_limit(self, version: int, after_seq: int, limit: int) -> Sequence[tuple[int, Action]]:
        return [(row[-1], action_from(row)) for row in self._all(_CLOSED_BY_LIMIT, version, after_seq, limit)]

    def configs(self, before: int | None, limit: int) -> Sequence[ConfigRecord]:
        sql = f"{SELECT_CONFIG} WHERE version < ? ORDER BY version DESC LIMIT ?"
        return [ConfigRecord(*row) for row in self._all(sql, 2**63 - 1 if before is None else before, limit)]

    def config(self, version: int) -> ConfigRecord | None:
        rows = self._all(f"{SELECT_CONFIG} WHERE version = ?", version)
        return ConfigRecord(*rows[0]) if rows else None

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
