"""What is committed on the simulated disk, read after every commit with plain SQL, and what the last commit changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from connectord.testing.simulation.disk import TABLES


class ActionRow(NamedTuple):
    """An action on disk. Times are milliseconds."""

    id: str
    system: str
    state: str
    reason: str | None
    resolution: str | None
    rejected_reason: str | None
    attempts: int
    due_at: int | None
    scheduled_at: int | None
    manual: int
    limit_at_failure: int | None
    error_at: int | None
    deadline: int | None
    progress_at: int | None
    progress_text: str | None
    queue: str | None
    user: str | None
    closed_at: int | None
    probe: int
    next_poll_at: int | None
    key: str | None
    case_id: str | None
    owner: str | None
    rerun_of: str | None
    data: str
    response_data: str


class AttemptRow(NamedTuple):
    """An attempt on disk."""

    action_id: str
    number: int
    manual: int
    started_at: int
    ended_at: int | None
    outcome: str | None


class HistoryRow(NamedTuple):
    """A change on disk."""

    seq: int
    action_id: str
    at: int
    from_state: str | None
    to_state: str
    event: str
    who: str
    config_version: int | None


class OutboxRow(NamedTuple):
    """A notification on disk."""

    seq: int
    action_id: str
    owner: str | None
    notice: str
    delivered_at: int | None


class MergeRow(NamedTuple):
    """Data that was merged."""

    seq: int
    data: str


class LateRow(NamedTuple):
    """A response that came late."""

    action_id: str
    digest: str
    status: str
    data: str


class VersionRow(NamedTuple):
    """A configuration that was in force."""

    version: int
    text: bytes | None


_ACTIONS = f"SELECT {', '.join(ActionRow._fields)} FROM actions"  # noqa: S608
_ATTEMPTS = f"SELECT {', '.join(AttemptRow._fields)} FROM attempts"  # noqa: S608
_HISTORY = f"SELECT {', '.join(HistoryRow._fields)} FROM history WHERE seq > ? ORDER BY seq"  # noqa: S608
_OUTBOX = f"SELECT {', '.join(OutboxRow._fields)} FROM outbox"  # noqa: S608
_MERGES = f"SELECT {', '.join(MergeRow._fields)} FROM merges WHERE seq > ? ORDER BY seq"  # noqa: S608
_LATE = f"SELECT {', '.join(LateRow._fields)} FROM late_responses"  # noqa: S608
_VERSIONS = f"SELECT {', '.join(VersionRow._fields)} FROM config_versions WHERE version > ? ORDER BY version"  # noqa: S608


@dataclass(slots=True)
class Changes:
    """What one commit changed: rows as they are now, with those they were before where there were any."""

    actions: list[tuple[ActionRow | None, ActionRow]] = field(default_factory=list)
    attempts: list[tuple[AttemptRow | None, AttemptRow]] = field(default_factory=list)
    history: list[HistoryRow] = field(default_factory=list)
    outbox: list[tuple[OutboxRow | None, OutboxRow]] = field(default_factory=list)
    merges: list[MergeRow] = field(default_factory=list)
    late: list[LateRow] = field(default_factory=list)
    versions: list[VersionRow] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """What was there and is not any more, in words."""


@dataclass(slots=True)
class Mirror:
    """A copy of what is committed."""

    actions: dict[str, ActionRow] = field(default_factory=dict)
    attempts: dict[tuple[str, int], AttemptRow] = field(default_factory=dict)
    history: list[HistoryRow] = field(default_factory=list)
    outbox: dict[int, OutboxRow] = field(default_factory=dict)
    merges: dict[int, MergeRow] = field(default_factory=dict)
    late: dict[tuple[str, str], LateRow] = field(default_factory=dict)
    versions: dict[int, bytes | None] = field(default_factory=dict)
    _raw: dict[str, Sequence[object]] = field(default_factory=dict)

    def read(self, disk: sqlite3.Connection, touched: Collection[str] = TABLES) -> Changes:
        """Take over what is committed by now, and say what is different. Only ``touched`` tables are looked at."""
        changes = Changes()
        last = self.history[-1].seq if self.history else 0
        if "actions" in touched:
            self._read_actions(disk, changes)
        if "attempts" in touched:
            self._read_attempts(disk, changes)
        if "history" in touched:
            changes.history = [HistoryRow._make(row) for row in disk.execute(_HISTORY, (last,))]
            self.history += changes.history
        if "outbox" in touched:
            self._read_outbox(disk, changes)
        if "merges" in touched:
            changes.merges = [MergeRow._make(row) for row in disk.execute(_MERGES, (last,))]
            self.merges.update((merge.seq, merge) for merge in changes.merges)
        if "late_responses" in touched:
            self._read_late(disk, changes)
        if "config_versions" in touched:
            for row in disk.execute(_VERSIONS, (max(self.versions, default=0),)).fetchall():
                version = VersionRow._make(row)
                self.versions[version.version] = version.text
                changes.versions.append(version)
        return changes

    def _read_actions(self, disk: sqlite3.Connection, changes: Changes) -> None:
        raw = self._raw
        rows = disk.execute(_ACTIONS).fetchall()
        if len(rows) < len(self.actions):
            changes.lost.append("an action")
        for row in rows:
            if raw.get(row[0]) != row:
                raw[row[0]] = row
                now = ActionRow._make(row)
                changes.actions.append((self.actions.get(now.id), now))
                self.actions[now.id] = now

    def _read_late(self, disk: sqlite3.Connection, changes: Changes) -> None:
        for row in disk.execute(_LATE).fetchall():
            if (row[0], row[1]) not in self.late:
                late = self.late[row[0], row[1]] = LateRow._make(row)
                changes.late.append(late)

    def _read_attempts(self, disk: sqlite3.Connection, changes: Changes) -> None:
        rows = disk.execute(_ATTEMPTS).fetchall()
        if len(rows) < len(self.attempts):
            changes.lost.append("an attempt")
        for row in rows:
            before = self.attempts.get((row[0], row[1]))
            if before != row:
                attempt = self.attempts[row[0], row[1]] = AttemptRow._make(row)
                changes.attempts.append((before, attempt))

    def _read_outbox(self, disk: sqlite3.Connection, changes: Changes) -> None:
        rows = disk.execute(_OUTBOX).fetchall()
        if len(rows) < len(self.outbox):
            changes.lost.append("a notification")
        for row in rows:
            before = self.outbox.get(row[0])
            if before != row:
                notification = self.outbox[row[0]] = OutboxRow._make(row)
                changes.outbox.append((before, notification))

    def same_as(self, disk: sqlite3.Connection) -> bool:
        """Whether the disk has what was committed; False where a power cut took some of it."""
        fresh = Mirror()
        fresh.read(disk)
        return (
            fresh.actions == self.actions
            and fresh.attempts == self.attempts
            and fresh.history == self.history
            and fresh.outbox == self.outbox
        )
