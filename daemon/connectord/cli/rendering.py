"""What connectorctl prints: tables, the info card, the case. Plain text, no library."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

_RESOLUTIONS = {"done_successfully": "Done Successfully", "not_done_successfully": "Not Done Successfully"}
_REASONS = {"updated_by_integration": "Updated by Integration", "timeout": "Timeout"}


def state_words(action: dict[str, Any]) -> str:
    """The state as people see it: ``Closed - Not Done Successfully``, ``To Do - Timeout``, ``Retrying``."""
    label = str(action["label"])
    if action["state"] == "closed":
        return f"{label} - {_RESOLUTIONS[action['resolution']]}"
    if action["state"] == "todo" and action["reason"]:
        return f"{label} - {_REASONS[action['reason']]}"
    return label


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as they need to be."""
    cells = [list(head), *[["-" if cell is None or cell == "" else str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def attempts_words(action: dict[str, Any]) -> str:
    """``4 of 5``."""
    limit = action["retry_limit"]
    return str(action["attempts"]) if limit is None else f"{action['attempts']} of {limit}"


def actions_table(actions: Sequence[dict[str, Any]]) -> str:
    """The list of actions; an unsuccessfully closed one is marked with ``!``."""
    rows = [
        [
            "!" if action["resolution"] == "not_done_successfully" else " ",
            action["id"],
            action["system"],
            action["case"],
            state_words(action),
            attempts_words(action),
            short_time(action["due_at"] or action["deadline"] or action["closed_at"]),
        ]
        for action in actions
    ]
    return table([" ", "ID", "SYSTEM", "CASE", "STATE", "ATTEMPTS", "DUE/UNTIL/CLOSED"], rows)


def short_time(text: str | None) -> str | None:
    """``2026-11-24 12:03:11``"""
    return None if text is None else text[:19].replace("T", " ")


def card(action: dict[str, Any]) -> str:
    """The info card of an action."""
    lines = [
        ("Action", action["id"]),
        ("System", action["system"] + (" (held: not configured)" if action.get("held") else "")),
        ("Case", action["case"]),
        ("Owner", action.get("owner")),
        ("State", state_words(action)),
        ("Reason", _REASONS.get(action["reason"] or "")),
        ("Resolution", _RESOLUTIONS.get(action["resolution"] or "")),
        ("Rejected reason", action["rejected_reason"]),
        ("Assigned to", _assigned(action["assigned_to"])),
        ("Attempts", attempts_words(action)),
        ("Submitted", short_time(action["submitted_at"])),
        ("Due", short_time(action["due_at"])),
        ("Response until", short_time(action["deadline"])),
        ("Closed", short_time(action.get("closed_at"))),
        ("Rerun of", action["rerun_of"]),
        ("Progress", _progress(action.get("progress"))),
        ("Data", _json(action["data"])),
        ("Response data", _json(action["response_data"])),
    ]
    text = "\n".join(f"{name + ':':<17}{value}" for name, value in lines if value)
    error = action["connection_error"]
    if error is not None:
        text += f"\n\n{error['text']}"
    for late in action["late_responses"]:
        reason = f" ({late['reason']})" if late["reason"] else ""
        text += f"\n\nLate response at {short_time(late['at'])}: {late['status']}{reason} {_json(late['data']) or ''}"
    return text.rstrip()


def case_text(case: dict[str, Any]) -> str:
    """A case: its owner, its data, its actions."""
    return (
        f"Case:  {case['id']}\nOwner: {case['owner'] or '-'}\nData:  {_json(case['data']) or '{}'}\n\n"
        f"{actions_table(case['actions'])}"
    )


def history_table(rows: Sequence[dict[str, Any]]) -> str:
    """Every change of an action."""
    return table(
        ["WHEN", "FROM", "TO", "RULE", "WHY", "WHO", "NOTE"],
        [
            [short_time(row["at"]), row["from"], row["to"], row["rules"], row["why"], row["who"], row["note"]]
            for row in rows
        ],
    )


def attempts_table(rows: Sequence[dict[str, Any]]) -> str:
    """Every attempt of an action."""
    return table(
        ["NO", "BY HAND", "STARTED", "ENDED", "OUTCOME", "MESSAGE"],
        [
            [
                row["number"],
                "yes" if row["manual"] else "no",
                short_time(row["started_at"]),
                short_time(row["ended_at"]),
                row["outcome"] or "under way",
                row["message"],
            ]
            for row in rows
        ],
    )


def systems_table(systems: Sequence[dict[str, Any]]) -> str:
    """The external systems."""
    return table(
        ["SYSTEM", "ADAPTER", "HEALTH", "PENDING", "IN FLIGHT", "WAITING", "TO DO", "LIMIT", "LAST ERROR"],
        [
            [
                system["name"],
                system["adapter"],
                system["health"],
                system["pending"],
                system["in_flight"],
                system["waiting"],
                system["todo"],
                system["retry_limit"],
                system.get("last_error"),
            ]
            for system in systems
        ],
    )


def status_text(status: dict[str, Any]) -> str:
    """The daemon on one screen."""
    counts = status["counts"]
    states = ", ".join(f"{counts[state]} {state}" for state in sorted(counts) if counts[state]) or "nothing open"
    return (
        f"connectord {status['version']}, process {status['pid']}, up {status['uptime_seconds']:.0f} s\n"
        f"State:     {status['state_directory']}\nCallbacks: {status['callbacks']}\n"
        f"Systems:   {status['systems']}\nActions:   {states}"
    )


def plan_text(answer: dict[str, Any]) -> str:
    """What a reload did, or would do."""
    plan = answer["plan"]
    verb = "closed" if answer["applied"] else "would be closed"
    lines = [f"system {name}: added" for name in plan["added"]]
    lines += [f"system {name}: removed; its actions are held" for name in plan["removed"]]
    for name, changes in plan["changed"].items():
        lines += [f"system {name}: {item['key']} {item['old']} -> {item['new']}" for item in changes]
    lines += [f"{key}: acts at the next restart" for key in plan["restart_required"]]
    lines.append(f"{plan['closed']} actions {verb}: they were tried as often as the limit allows")
    return "\n".join(lines if len(lines) > 1 else [*lines, "nothing else changes"])


def _assigned(to: dict[str, str] | None) -> str | None:
    if to is None:
        return None
    return f"user {to['user']}" if "user" in to else f"queue {to['queue']}"


def _progress(progress: dict[str, Any] | None) -> str | None:
    if progress is None:
        return None
    percent = "" if progress["percent"] is None else f"{progress['percent']:g} % "
    return f"{percent}{progress['text'] or ''} ({short_time(progress['at'])})"


def _json(data: dict[str, Any]) -> str | None:
    return json.dumps(data, ensure_ascii=False) if data else None
