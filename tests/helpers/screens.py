"""What a daemon might say, for the screens of ``top``."""

from __future__ import annotations

from typing import Any

from connectord.cli.top.keyboard import Key
from connectord.cli.top.pressing import Command, press
from connectord.cli.top.state import Snapshot, State, sorted_actions

STATUS: dict[str, Any] = {
    "version": "0.1.0", "pid": 5, "started_at": "2026-11-24T12:00:00.000Z", "uptime_seconds": 3700.0,
    "config_version": 3, "counts": {"pending": 12, "waiting": 3, "closed": 0}, "in_flight": 4, "commits": 100,
    "stopping": False,
}  # fmt: skip


def system(name: str, **other: Any) -> dict[str, Any]:
    known = {
        "name": name, "adapter": "http", "state": "running", "health": "ok", "last_error": None, "pending": 3,
        "waiting": 2, "todo": 1, "in_progress": 0, "in_flight": 4, "concurrency": 16, "retry_limit": 5, "paused": False,
    }  # fmt: skip
    return known | other


def action(id_: str, state: str = "pending", **other: Any) -> dict[str, Any]:
    known = {
        "id": id_, "system": "erp", "case": "C-1", "owner": None, "key": None, "state": state, "label": state.title(),
        "reason": None, "resolution": None, "rejected_reason": None, "attempts": 1, "retry_limit": 5, "due_at": None,
        "deadline": None, "assigned_to": None, "data": {}, "response_data": {}, "connection_error": None,
        "progress": None, "late_responses": [],
    }  # fmt: skip
    return known | other


def retrying(id_: str, **other: Any) -> dict[str, Any]:
    error = {"message": "connection refused", "text": "Connection failed at 2026-11-24 13:01:00 (connection refused)."}
    return action(id_, label="Retrying", due_at="2026-11-24T13:03:10.000Z", connection_error=error, **other)


def snapshot(*actions: dict[str, Any], names: tuple[str, ...] = ("erp", "depot"), **status: Any) -> Snapshot:
    return Snapshot(STATUS | status, [system(name) for name in names], sorted_actions(actions))


def pressed(state: State, *names: str) -> tuple[State, list[Command]]:
    """The state after some keys, and all that they asked for."""
    commands = []
    for name in names:
        state, command = press(state, Key(name))
        if command is not None:
            commands.append(command)
    return state, commands
