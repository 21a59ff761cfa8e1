"""What connectorctl prints: plain tables and cards, safe for a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_RESOLUTIONS = {
    "done_successfully": "Closed - Done Successfully",
    "not_done_successfully": "Closed - Not Done Successfully",
}


_REASONS = {"updated_by_integration": "Updated by Integration", "timeout": "Timeout"}


def clean(value: Any) -> str:
    """Text for one cell or line; what would steer the terminal is shown as an escape."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _printable(text).replace("\n", "\\n")


def _printable(text: str) -> str:
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table with left-aligned columns, two spaces apart."""
    lines = [list(headings), *([clean(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def records(items: Iterable[Mapping[str, Any]]) -> str:
    """A table of whatever members the items have."""
    items = list(items)
    keys = list(dict.fromkeys(key for item in items for key in item))
    if not keys:
        return "(none)"
    return table([clean(key).upper() for key in keys], ([item.get(key) for key in keys] for item in items))


def facts(pairs: Iterable[tuple[str, Any]], *, indent: str = "") -> str:
    """Names and values, one pair a line; pairs without a value are left out."""
    kept = [(name, clean(value)) for name, value in pairs if value is not None]
    width = max((len(name) for name, _ in kept), default=0)
    return "\n".join(f"{indent}{name.ljust(width)}  {value}" for name, value in kept)


def _named(names: Mapping[str, str], value: Any) -> str | None:
    return None if value is None else names.get(str(value), clean(value))


def _progress_text(progress: Any) -> str | None:
    if not isinstance(progress, Mapping):
        return None
    percent = progress.get("percent")
    share = "" if percent is None else f"{clean(percent)} % "
    return f"{share}{clean(progress.get('text'))} (at {clean(progress.get('at'))})"


def _late_text(response: Any) -> str:
    if not isinstance(response, Mapping):
        return clean(response)
    reason = f" ({clean(response['reason'])})" if response.get("reason") else ""
    data = json.dumps(response.get("data") or {}, ensure_ascii=False)
    return f"{clean(response.get('at'))}  {clean(response.get('status'))}{reason}  {data}"


def is_unsuccessful(action: Mapping[str, Any]) -> bool:
    """Whether it was closed as not done successfully."""
    return action.get("state") == "closed" and action.get("resolution") == "not_done_successfully"


def state_label(action: Mapping[str, Any]) -> str:
    """The action's state as people read it."""
    if action.get("state") == "closed":
        closed = _RESOLUTIONS.get(str(action.get("resolution")))
        if closed is not None:
            return closed
    return clean(action.get("label") or action.get("state"))


def attempts_text(action: Mapping[str, Any]) -> str:
    """``4 of 5``."""
    attempts, limit = action.get("attempts", 0), action.get("retry_limit")
    return clean(attempts) if limit is None else f"{clean(attempts)} of {clean(limit)}"


def assigned_text(assigned_to: Any) -> str | None:
    """``queue NAME`` or ``user NAME``."""
    if isinstance(assigned_to, Mapping):
        return ", ".join(f"{kind} {name}" for kind, name in assigned_to.items() if name is not None) or None
    return None if assigned_to is None else clean(assigned_to)


def action_table(actions: Iterable[Mapping[str, Any]]) -> str:
    """The table of ``list``."""
    rows = (
        (
            action.get("id"),
            action.get("system"),
            action.get("case"),
            state_label(action),
            attempts_text(action),
            action.get("due_at"),
        )
        for action in actions
    )
    return table(("ID", "SYSTEM", "CASE", "STATE", "ATTEMPTS", "DUE"), rows)


def card(action: Mapping[str, Any]) -> str:
    """The info card of ``show``."""
    parts = [
        facts(
            [
                ("Action", action.get("id")),
                ("System", action.get("system")),
                ("Case", action.get("case")),
                ("Owner", action.get("owner")),
                ("Key", action.get("key")),
                ("State", state_label(action)),
                ("Reason", _named(_REASONS, action.get("reason"))),
                ("Rejected reason", action.get("rejected_reason")),
                ("Attempts", attempts_text(action)),
                ("Submitted", action.get("submitted_at")),
                ("Due", action.get("due_at")),
                ("Deadline", action.get("deadline")),
                ("Reference", action.get("reference")),
                ("Next poll", action.get("next_poll_at")),
                ("Closed", action.get("closed_at")),
                ("Held", "its system is not configured any more" if action.get("held") else None),
                ("Assigned to", assigned_text(action.get("assigned_to"))),
                ("Progress", _progress_text(action.get("progress"))),
                ("Rerun of", action.get("rerun_of")),
            ]
        )
    ]
    connection_error = action.get("connection_error")
    if isinstance(connection_error, Mapping):
        text = str(connection_error.get("text") or connection_error.get("message") or "")
        parts.append("Connection error\n" + _indented(text))
    for title, key in (("Data", "data"), ("Response data", "response_data")):
        if action.get(key):
            parts.append(f"{title}\n" + _indented(json.dumps(action[key], indent=2, ensure_ascii=False)))
    late = action.get("late_responses")
    if isinstance(late, Sequence) and late:
        lines = [_late_text(response) for response in late]
        parts.append("Late responses\n" + _indented("\n".join(lines)))
    return "\n\n".join(parts)


def _indented(text: str) -> str:
    # split at newlines only: every other separator is part of the words
    return "\n".join(f"    {line}".rstrip() for line in _printable(text).split("\n"))


def case_card(case: Mapping[str, Any]) -> str:
    """A case with its actions; "!" stands before those closed unsuccessfully."""
    actions: Sequence[Mapping[str, Any]] = case.get("actions") or []
    parts = [facts([("Case", case.get("id")), ("Owner", case.get("owner"))])]
    if case.get("data"):
        parts.append("Data\n" + _indented(json.dumps(case["data"], indent=2, ensure_ascii=False)))
    rows = (
        (
            "!" if is_unsuccessful(action) else "",
            action.get("id"),
            action.get("system"),
            state_label(action),
            attempts_text(action),
            action.get("due_at"),
        )
        for action in actions
    )
    parts.append(table(("", "ID", "SYSTEM", "STATE", "ATTEMPTS", "DUE"), rows) if actions else "No actions.")
    return "\n\n".join(parts)


def system_table(systems: Iterable[Mapping[str, Any]]) -> str:
    """The table of ``systems``."""
    rows = (
        (
            s.get("name"),
            s.get("adapter"),
            "paused" if s.get("paused") else s.get("state"),
            s.get("health"),
            s.get("pending"),
            s.get("waiting"),
            s.get("todo"),
            f"{clean(s.get('in_flight'))}/{clean(s.get('concurrency'))}",
            s.get("retry_limit"),
            s.get("last_error"),
        )
        for s in systems
    )
    headings = (
        "SYSTEM",
        "ADAPTER",
        "STATE",
        "HEALTH",
        "PENDING",
        "WAITING",
        "TODO",
        "IN FLIGHT",
        "LIMIT",
        "LAST ERROR",
    )
    return table(headings, rows)


def plan_text(plan: Mapping[str, Any], *, applied: bool) -> str:
    """What a reload did or would do."""
    lines = [f"+ {clean(name)}" for name in plan.get("added") or []]
    lines += [f"- {clean(name)}" for name in plan.get("removed") or []]
    for name, changes in (plan.get("changed") or {}).items():
        lines.append(f"~ {clean(name)}")
        lines += [f"    {clean(c.get('key'))}: {clean(c.get('old'))} -> {clean(c.get('new'))}" for c in changes]
    if not lines:
        lines.append("no changes to the systems")
    lines += [f"needs a restart: {clean(key)}" for key in plan.get("restart_required") or []]
    closed = (plan.get("actions") or {}).get("close")
    if closed:
        lines.append(f"actions {'closed' if applied else 'that would be closed'}: {clean(closed)}")
    lines.append("applied" if applied else "not applied")
    return "\n".join(lines)


def status_card(status: Mapping[str, Any]) -> str:
    """The card of ``status``."""
    known = facts(
        [
            ("Version", status.get("version")),
            ("Process", status.get("pid")),
            ("Started", status.get("started_at")),
            ("Uptime", _duration(status.get("uptime_seconds"))),
            ("State directory", status.get("state_directory")),
            ("Callbacks", status.get("callbacks")),
            ("Systems", status.get("systems")),
        ]
    )
    counts = status.get("counts") or {}
    actions = facts(((clean(state), number) for state, number in counts.items()), indent="    ")
    return f"{known}\n\nActions\n{actions}" if actions else known


def _duration(seconds: Any) -> str | None:
    if not isinstance(seconds, int | float):
        return None
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{number}{unit}" for number, unit in ((days, "d"), (hours, "h"), (minutes, "m")) if number]
    return " ".join([*parts, f"{rest}s"])


def event_line(params: Mapping[str, Any]) -> str:
    """One event of ``watch``."""
    at = params.get("at")
    told = [f"{clean(key)}={clean(value)}" for key, value in params.items() if key != "at" and value is not None]
    return " ".join([clean(at), *told] if at is not None else told)
