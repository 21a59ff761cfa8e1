"""The readers' side of the SQLite store: what is committed, without ever delaying the writer."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from connectord.errors import StoreFailed
from connectord.lifecycle.action import Action, State
from connectord.lifecycle.circumstances import Story
from connectord.store.base import (
    AGES_WINDOW,
    ActionRecord,
    AttemptRow,
    BacklogAges,
    CaseRecord,
    ChangeFilters,
    ConfigRecord,
    FileState,
    Filters,
    Glance,
    HistoryPage,
    HistoryRow,
    LateResponse,
    LimitCounts,
    MergeRecord,
    OutboxRecord,
    PeopleCount,
    Prunable,
    RetentionRecord,
    Selection,
)
from connectord.store.sqlite_connection import open_reader, translate_errors
from connectord.store.sqlite_pages import LIVE_STATES, LIVE_SYSTEMS, Stream, live_page, merge, systems_in
from connectord.store.sqlite_pruning import due, retention_record
from connectord.store.sqlite_rows import (
    ACTION_WIDTH,
    NEXT_DUE,
    SELECT_ACTION,
    SELECT_CONFIG,
    action_from,
    outbox_record,
)
from connectord.store.sqlite_stories import read_story

_RECORD = f"SELECT {SELECT_ACTION}, a.key, a.rerun_of, a.data, a.response_data FROM actions a"  # noqa: S608
_HISTORY = "SELECT seq, action_id, at, from_state, to_state, event, rules, why, who, note, config_version FROM history"
_CHANGES = (
    "SELECT h.seq, h.action_id, h.at, h.from_state, h.to_state, h.event, h.rules, h.why, h.who, h.note, "
    "h.config_version, a.system, a.case_id FROM history h"
)

_OUTBOX = (
    "SELECT seq, action_id, case_id, owner, notice, at, text, tries, next_try_at, delivered_at, last_error FROM outbox"
)
# what an attempt brought was committed along with the attempt's end, in one moment
_MERGE = (
    "SELECT m.seq, h.action_id, h.at, h.event, h.who, (SELECT t.number FROM attempts t WHERE t.action_id = h.action_id "
    "AND t.ended_at = h.at AND t.outcome IN ('succeeded', 'rejected') AND h.event IN ('SuccessReceived', "
    "'FailureReceived') AND h.who <> 'callback'), m.data"
)
_MERGES_OF_ACTION = f"{_MERGE} FROM history h INDEXED BY history_action JOIN merges m ON m.seq = h.seq"
_MERGES_OF_CASE = f"{_MERGE} FROM merges m INDEXED BY merges_case JOIN history h ON h.seq = m.seq WHERE m.case_id = ?"
_WAS_RERUN = "EXISTS (SELECT 1 FROM actions b INDEXED BY actions_rerun WHERE b.rerun_of = a.id)"

# the indexes are named because SQLite, without statistics, may take another one and read every row
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
_RETRYING = "a.state = 'pending' AND a.attempts > 0"
_OF_PEOPLE = "a.state IN ('todo', 'in_progress')"
_OLDEST = (
    f"{LIVE_SYSTEMS} SELECT submitted_at FROM actions WHERE id = (SELECT min((SELECT id FROM actions a "  # noqa: S608
    "INDEXED BY actions_live WHERE a.system = s.system AND a.state = ? AND a.state <> 'closed' ORDER BY id LIMIT 1)) "
    "FROM s WHERE system IS NOT NULL)"
)
_PEOPLE_COUNTS = (
    "SELECT queue, user, state, count(*), min(todo_at) FROM actions INDEXED BY actions_people "
    "WHERE state IN ('todo', 'in_progress') GROUP BY queue, user, state"
)
# the first deadlines, in the order of the index; min() takes the row's number along with it
_WAITING_SINCE = (
    "SELECT first.system, (SELECT max(t.ended_at) FROM attempts t JOIN actions a ON a.id = t.action_id "  # noqa: S608
    "WHERE a.rowid = first.number) FROM (SELECT system, number, min(deadline) FROM ("
    "SELECT system, rowid AS number, deadline FROM actions INDEXED BY actions_deadline WHERE state = 'waiting' "
    f"ORDER BY deadline LIMIT {AGES_WINDOW}) GROUP BY system) AS first"
)

_CONDITIONS = {
    "state": "a.state = ?",
    "system": "a.system = ?",
    "case_id": "a.case_id = ?",
    "reason": "a.reason = ?",
    "resolution": "a.resolution = ?",
    "since": "a.submitted_at >= ?",
    "queue": "a.queue = ?",
    "user": "a.user = ?",
    "until": "a.submitted_at < ?",
}
_CHANGE_CONDITIONS = {
    "id": "h.action_id = ?",
    "system": "a.system = ?",
    "case": "a.case_id = ?",
    "state": "h.to_state = ?",
}


def sizes_on_disk(path: Path) -> tuple[int, int, int]:
    """The bytes of the database at ``path``, of its log, and what is free for this user. Raises OSError."""
    log = path.with_name(f"{path.name}-wal")
    disk = os.statvfs(path)
    return path.stat().st_size, log.stat().st_size if log.exists() else 0, disk.f_bavail * disk.f_frsize


class SqliteReader:
    """A :class:`connectord.store.base.ReadStore` on one read-only SQLite connection."""

    def __init__(
        self,
        path: Path,
        open_database: Callable[[Path], sqlite3.Connection] = open_reader,
        sizes: Callable[[Path], tuple[int, int, int]] = sizes_on_disk,
    ) -> None:
        """``sizes`` gives the bytes of the database, of its log, and what is free beside them."""
        self._path = path
        self._sizes = sizes
        self._connection = open_database(path)

    def record(self, action_id: str) -> ActionRecord | None:
        rows = self._all(f"{_RECORD} WHERE a.id = ?", action_id)
        if not rows:
            return None
        late = self._all(
            "SELECT action_id, digest, at, status, reason, data FROM late_responses WHERE action_id = ? ORDER BY at",
            action_id,
        )
        record = _record(rows[0], tuple(LateResponse(*row) for row in late))
        # who submits gets the record too: what only a later life brings is not looked for then
        if record.action.state is State.CLOSED:
            told = self._all(f"{_OUTBOX} WHERE action_id = ? ORDER BY seq", action_id)
            record = msgspec.structs.replace(record, notifications=tuple(outbox_record(row) for row in told))
        if record.response_data != "{}":
            brought = self._all(f"{_MERGES_OF_ACTION} WHERE h.action_id = ? ORDER BY h.seq DESC LIMIT 1", action_id)
            record = msgspec.structs.replace(record, response=MergeRecord(*brought[0]) if brought else None)
        return record

    def story(self, action_id: str) -> Story | None:
        with translate_errors():
            return read_story(self._connection, action_id)

    def system_of(self, action_id: str) -> str | None:
        rows = self._all("SELECT system FROM actions WHERE id = ?", action_id)
        return rows[0][0] if rows else None

    def state_of(self, action_id: str) -> str | None:
        rows = self._all("SELECT state FROM actions WHERE id = ?", action_id)
        return rows[0][0] if rows else None

    def list_records(self, filters: Filters, after: str | None, limit: int) -> Sequence[ActionRecord]:
        if filters.queue is None and filters.user is None and filters.case_id is None and not filters.retrying:
            # what was closed somehow is closed
            state = "closed" if filters.state is None and filters.resolution is not None else filters.state
            if state is not None or filters.system is not None:
                return self._list_streams(replace(filters, state=state), after, limit)
        where, args = _where(filters)
        if after is not None:
            where.append("a.id < ?")
            args.append(after)
        if filters.retrying:
            where.append(_RETRYING)
        # SQLite uses a partial index only where it can prove that the rows are in it
        index = ""
        if filters.queue is not None or filters.user is not None:
            index = " INDEXED BY actions_people"
            where.append(_OF_PEOPLE)
        elif filters.case_id is not None:
            # a case has few actions, whatever else is asked
            index = " INDEXED BY actions_case"
        elif filters.retrying:
            index = " INDEXED BY actions_retrying_newest"
        condition = f" WHERE {' AND '.join(where)}" if where else ""
        sql = f"{_RECORD}{index}{condition} ORDER BY a.id DESC LIMIT ?"
        return [_record(row) for row in self._all(sql, *args, limit)]

    def _list_streams(self, filters: Filters, after: str | None, limit: int) -> list[ActionRecord]:
        with translate_errors():
            streams = [
                _stream(replace(filters, state=state, system=system), after)
                for state in ((*LIVE_STATES, "closed") if filters.state is None else (filters.state,))
                for system in (self._systems(state) if filters.system is None else (filters.system,))
            ]
            return [_record(row) for row in merge(self._connection, streams, limit, newest_first=True)]

    def _systems(self, state: str) -> Sequence[str]:
        return systems_in(self._connection, _index_of(state))

    def case(self, case_id: str, after: str | None, limit: int) -> CaseRecord | None:
        rows = self._all("SELECT id, owner, data, created_at FROM cases WHERE id = ?", case_id)
        if not rows:
            return None
        actions = self.list_records(Filters(case_id=case_id), after, limit)
        id_, owner, data, created_at = rows[0]
        return CaseRecord(id_, owner, data, created_at, tuple(actions), self._origins(case_id, data))

    def case_merges(self, case_id: str, after_seq: int, limit: int) -> Sequence[MergeRecord] | None:
        rows = self._all(f"{_MERGES_OF_CASE} AND m.seq > ? ORDER BY m.seq LIMIT ?", case_id, after_seq, limit)
        if not rows and not self._all("SELECT 1 FROM cases WHERE id = ?", case_id):
            return None
        return [MergeRecord(*row) for row in rows]

    def _origins(self, case_id: str, data: str) -> dict[str, MergeRecord]:
        """The newest merge that brought each field of a case's data; ends as soon as every field is found."""
        missing = set(msgspec.json.decode(data))
        found: dict[str, MergeRecord] = {}
        if not missing:
            return found
        with translate_errors():
            for row in self._connection.execute(f"{_MERGES_OF_CASE} ORDER BY m.seq DESC", (case_id,)):
                merge = MergeRecord(*row)
                set_here = missing & set(msgspec.json.decode(merge.data))
                found.update(dict.fromkeys(set_here, merge))
                missing -= set_here
                if not missing:
                    break
        return found

    def notifications(
        self, *, undelivered: bool, owner: str | None, before: int | None, limit: int
    ) -> Sequence[OutboxRecord]:
        where: list[str] = ["seq < ?"]
        args: list[Any] = [2**63 - 1 if before is None else before]
        index = ""
        if owner is not None:
            index = " INDEXED BY outbox_owner"
            where.append("owner = ?")
            args.append(owner)
        if undelivered:
            index = " INDEXED BY outbox_undelivered"
            where.append("delivered_at IS NULL")
        rows = self._all(f"{_OUTBOX}{index} WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?", *args, limit)
        return [outbox_record(row) for row in rows]

    def history(self, action_id: str) -> Sequence[HistoryRow]:
        return [HistoryRow(*row) for row in self._all(f"{_HISTORY} WHERE action_id = ? ORDER BY seq", action_id)]

    def history_page(self, filters: ChangeFilters, after: int, upto: int, limit: int) -> HistoryPage:
        # what retention removes lies between what stays: from the last number that is gone on nothing is missing
        oldest = self._all(
            "SELECT iif(history_through > 0, history_through + 1, (SELECT min(seq) FROM history)) FROM retention"
        )[0][0]
        where, args = _chosen(_CHANGE_CONDITIONS, filters)
        index = "" if filters.id is None else "INDEXED BY history_action "
        condition = " AND ".join(["h.seq > ?", "h.seq <= ?", *where])
        # CROSS JOIN: the history leads, whatever SQLite thinks of the filters
        rows = self._all(
            f"{_CHANGES} {index}CROSS JOIN actions a ON a.id = h.action_id WHERE {condition} ORDER BY h.seq LIMIT ?",
            after,
            upto,
            *args,
            limit,
        )
        return HistoryPage(oldest, [HistoryRow(*row) for row in rows])

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
        with translate_errors():
            return live_page(self._connection, state, after, limit)

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

    def rerun_selection(self, filters: Filters, limit: int) -> Selection:
        where, args = _where(filters)
        condition = " AND ".join([*where, "a.state = 'closed'"])
        # one look through the rows for all three; only so many ids are kept
        sql = f"SELECT a.id, {_WAS_RERUN} FROM actions a WHERE {condition} ORDER BY a.id"  # noqa: S608
        ids: list[str] = []
        count = left_out = 0
        with translate_errors():
            for action_id, was_rerun in self._connection.execute(sql, args):
                if was_rerun:
                    left_out += 1
                    continue
                count += 1
                if count <= limit:
                    ids.append(action_id)
        return Selection(ids, count, left_out)

    def people_counts(self) -> Sequence[PeopleCount]:
        return [PeopleCount(*row) for row in self._all(_PEOPLE_COUNTS)]

    def backlog_ages(self, pending: Collection[str]) -> BacklogAges:
        waiting = {system: since for system, since in self._all(_WAITING_SINCE) if since is not None}
        return BacklogAges(self._first_due(pending), waiting)

    def glance(self, systems: Sequence[str]) -> Glance:
        oldest = {state.value: self._all(_OLDEST, state.value) for state in State if state is not State.CLOSED}
        due = self._first_due(systems)
        try:
            sizes = self._sizes(self._path)
        except OSError as error:
            raise StoreFailed(f"the store failed: {error}") from error
        return Glance(
            {state: rows[0][0] for state, rows in oldest.items() if rows},
            due,
            *sizes,
        )

    def _first_due(self, systems: Collection[str]) -> dict[str, int]:
        found = {system: self._all(NEXT_DUE, system)[0][0] for system in systems}
        return {system: at for system, at in found.items() if at is not None}

    def prunable(self, what: Prunable) -> tuple[int, int | None]:
        with translate_errors():
            return due(self._connection, what)

    def retention_record(self) -> RetentionRecord:
        with translate_errors():
            return retention_record(self._connection)

    def file_state(self) -> FileState:
        pages, free, size = (
            self._all(f"PRAGMA {name}")[0][0] for name in ("page_count", "freelist_count", "page_size")
        )
        log = self._path.with_name(self._path.name + "-wal")
        try:
            log_bytes = log.stat().st_size
        except OSError:
            log_bytes = 0
        return FileState(pages * size, free * size, log_bytes)

    def close(self) -> None:
        self._connection.close()

    def _all(self, sql: str, *args: Any) -> list[Any]:
        with translate_errors():
            return self._connection.execute(sql, args).fetchall()


def _where(filters: Filters) -> tuple[list[str], list[Any]]:
    return _chosen(_CONDITIONS, filters)


def _chosen(conditions: Mapping[str, str], filters: Filters | ChangeFilters) -> tuple[list[str], list[Any]]:
    chosen = [(sql, getattr(filters, name)) for name, sql in conditions.items()]
    return [sql for sql, value in chosen if value is not None], [value for _, value in chosen if value is not None]


def _index_of(state: str | None) -> str:
    return "actions_done" if state == "closed" else "actions_live"


def _stream(filters: Filters, after: str | None) -> Stream:
    where, args = _where(filters)
    # SQLite uses a partial index only where it can prove that the rows are in it
    where.append("a.state = 'closed'" if filters.state == "closed" else "a.state <> 'closed'")
    if after is not None:
        where.append("a.id < ?")
        args.append(after)
    index = _index_of(filters.state)
    return Stream(f"{_RECORD} INDEXED BY {index} WHERE {' AND '.join(where)} ORDER BY a.id DESC", args)


def _record(row: Sequence[Any], late: tuple[LateResponse, ...] = ()) -> ActionRecord:
    key, rerun_of, data, response_data = row[ACTION_WIDTH:]
    return ActionRecord(action_from(row), key, rerun_of, data, response_data, late)
