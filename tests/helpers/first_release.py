"""A database as the first schema made it, with rows of every kind that it knew."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from connectord.store import sqlite_connection, sqlite_migrations

FIRST = "0001_initial.sql"

ROWS = (
    "INSERT INTO cases (id, owner, data, created_at, updated_at) VALUES ('C-1', 'anna', '{\"a\":1}', 1, 2)",
    (
        "INSERT INTO actions (id, system, case_id, key, payload_digest, state, submitted_at, due_at, scheduled_at) "
        "VALUES ('01P', 's', 'C-1', 'K', x'00', 'pending', 1, 5, 5)"
    ),
    (
        "INSERT INTO actions (id, system, state, submitted_at, attempts, due_at, scheduled_at, limit_at_failure, "
        "error_at, error_message) VALUES ('01R', 's', 'pending', 1, 2, 5, 5, 5, 4, 'refused')"
    ),
    "INSERT INTO actions (id, system, state, submitted_at, attempts) VALUES ('01A', 's', 'attempting', 1, 1)",
    (
        "INSERT INTO actions (id, system, state, submitted_at, attempts, deadline, progress_at, progress_text, "
        "progress_percent) VALUES ('01W', 's', 'waiting', 1, 1, 9, 3, 'half', 50.5)"
    ),
    (
        "INSERT INTO actions (id, system, state, reason, rejected_reason, submitted_at, attempts, queue) "
        "VALUES ('01T', 's', 'todo', 'updated_by_integration', 'no', 1, 1, 'default')"
    ),
    (
        "INSERT INTO actions (id, system, state, reason, submitted_at, attempts, user) "
        "VALUES ('01I', 's', 'in_progress', 'timeout', 1, 1, 'ben')"
    ),
    (
        "INSERT INTO actions (id, system, state, resolution, submitted_at, attempts, closed_at, response_digest, data, "
        "response_data) VALUES ('01S', 's', 'closed', 'done_successfully', 1, 1, 7, 'd', '{\"x\":1}', '{\"x\":1}')"
    ),
    (
        "INSERT INTO actions (id, system, state, resolution, submitted_at, attempts, closed_at, rerun_of) "
        "VALUES ('01U', 's', 'closed', 'not_done_successfully', 1, 5, 8, '01S')"
    ),
    "INSERT INTO attempts (action_id, number, started_at) VALUES ('01A', 1, 2)",
    (
        "INSERT INTO attempts (action_id, number, manual, started_at, ended_at, outcome, message) "
        "VALUES ('01R', 1, 1, 2, 3, 'not_connected', 'refused')"
    ),
    (
        "INSERT INTO history (seq, action_id, at, to_state, event, rules, why, who) "
        "SELECT rowid, id, 1, state, 'Submitted', '17', 'submitted', 'test' FROM actions"
    ),
    (
        "INSERT INTO history (action_id, at, from_state, to_state, event, rules, why, who, note) "
        "VALUES ('01T', 6, 'waiting', 'todo', 'FailureReceived', '3', 'no', 'callback', 'n')"
    ),
    (
        "INSERT INTO late_responses (action_id, digest, at, status, reason, data) "
        "VALUES ('01S', 'd2', 9, 'failure', 'late', '{}')"
    ),
    (
        "INSERT INTO outbox (action_id, case_id, owner, notice, at, text, next_try_at) "
        "VALUES ('01U', NULL, 'anna', 'closed_unsuccessfully', 8, 'text', 8)"
    ),
    "INSERT INTO paused_systems (system, at, who) VALUES ('s', 1, 'anna')",
)


def make_first(path: Path) -> None:
    """A database of the first release, with rows of every kind."""
    path.parent.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite_migrations, "MIGRATIONS", (FIRST,))
        with closing(sqlite_connection.open_writer(path)) as connection:
            for statement in ROWS:
                connection.execute(statement)
