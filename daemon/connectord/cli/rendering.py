"""What connectorctl prints: plain tables and cards, safe for a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connectord.cli.fitting import GAP, fit, pad, terminal_columns, widths

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


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]], columns: int | None = None) -> str:
    """A table with left-aligned columns, two spaces apart.

    On a terminal it is fitted into its width; ``columns`` says another one.
    """
    lines = [list(headings), *([clean(cell) for cell in row] for row in rows)]
    fitted = fit(lines, terminal_columns() if columns is None else columns)
    found = widths(fitted)
    return "\n".join(
        (" " * GAP).join(pad(cell, width) for cell, width in zip(line, found, strict=True)).rstrip() for line in fitted
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
                ("Circuit", circuit_text(action.get("circuit"))),
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
    for title, key in (("Data", "data"), (_response_title(action), "response_data")):
        if action.get(key):
            parts.append(f"{title}\n" + _indented(json.dumps(action[key], indent=2, ensure_ascii=False)))
    late = action.get("late_responses")
    if isinstance(late, Sequence) and late:
        lines = [_late_text(response) for response in late]
        parts.append("Late responses\n" + _indented("\n".join(lines)))
    told = [notification_line(item) for item in action.get("notifications") or []]
    if told:
        parts.append("Owner\n" + _indented("\n".join(told)))
    return "\n\n".join(parts)


def _response_title(action: Mapping[str, Any]) -> str:
    response = action.get("response")
    if not isinstance(response, Mapping):
        return "Response data"
    return f"Response data ({origin_text(response)}, {clean(response.get('who'))}, at {clean(response.get('at'))})"


def origin_text(origin: Mapping[str, Any]) -> str:
    """Which way custom data came: ``callback``, ``answer to attempt 2`` or ``by hand``."""
    match origin.get("by"):
        case "person":
            return "by hand"
        case "attempt":
            number = origin.get("attempt")
            return "answer to an attempt" if number is None else f"answer to attempt {clean(number)}"
        case way:
            return clean(way)


def notification_line(item: Mapping[str, Any]) -> str:
    """One notification, on its action's card."""
    state, owner, error = item.get("state"), clean(item.get("owner")), item.get("last_error")
    match state:
        case "delivered":
            return f"{owner} was notified at {clean(item.get('delivered_at'))}"
        case "no_owner":
            return clean(error)
    text = f"{owner} is not notified yet ({clean(item.get('tries'))} tries)"
    return text if error is None else f"{text}: {clean(error)}"


def _indented(text: str) -> str:
    # split at newlines only: every other separator is part of the words
    return "\n".join(f"    {line}".rstrip() for line in _printable(text).split("\n"))


def explanation(told: Mapping[str, Any]) -> str:
    """The answer of ``why``, which the daemon has put into words."""
    return _printable(str(told.get("text", "")))


def system_table(systems: Iterable[Mapping[str, Any]]) -> str:
    """The table of ``systems``."""
    rows = (
        (
            s.get("name"),
            s.get("adapter"),
            "paused" if s.get("paused") else s.get("state"),
            health_text(s),
            s.get("pending"),
            s.get("waiting"),
            s.get("todo"),
            flight_text(s),
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


def circuit_text(circuit: Any) -> str | None:
    """What an open or half-open circuit means for an action that is due."""
    if not isinstance(circuit, Mapping) or circuit.get("state") == "closed":
        return None
    if circuit.get("state") == "open":
        return f"open: its system is taken to be away, next trial at {clean(circuit.get('next_trial_at'))}"
    return "half-open: a few tries show whether its system is back"


def health_text(system: Mapping[str, Any]) -> str:
    """How a system is, and where its circuit is not closed, that: in the tables."""
    health, circuit = clean(system.get("health")), system.get("circuit") or {}
    if circuit.get("state") == "open":
        return f"{health}, circuit open until {_clock_time(circuit.get('next_trial_at'))}"
    return f"{health}, circuit half-open" if circuit.get("state") == "half_open" else health


def flight_text(system: Mapping[str, Any]) -> str:
    """How many attempts are under way of how many, and how many may be now where that is fewer."""
    allowed, concurrency = system.get("places_allowed"), system.get("concurrency")
    text = f"{clean(system.get('in_flight'))}/{clean(concurrency)}"
    return text if allowed in (None, concurrency) else f"{text} (now {clean(allowed)})"


def _clock_time(text: object) -> str:
    # of an RFC 3339 time, the time of day in UTC: what is meant is never far
    return f"{clean(text)[11:19]}Z"


def plan_text(result: Mapping[str, Any]) -> str:
    """What a reload changed, or would change."""
    plan = result.get("plan") or {}
    lines = _changed_settings(plan) or ["no changes"]
    lines += [f"+ {clean(plugin)}" for plugin in plan.get("plugins") or []]
    lines += [f"needs a restart: {clean(key)}" for key in plan.get("restart_required") or []]
    lines += [f"not loaded: {clean(problem)}" for problem in plan.get("plugin_problems") or []]
    version = clean(result.get("version"))
    lines.append(
        f"applied as version {version}" if result.get("applied") else f"not applied: would be version {version}"
    )
    return "\n".join(lines)


def _changed_settings(changes: Mapping[str, Any]) -> list[str]:
    """A line for every system that came or went, and for every setting that differs."""
    held, back = changes.get("held") or [], changes.get("back") or []
    lines = [f"+ {clean(name)}{'  (its actions go on)' if name in back else ''}" for name in changes.get("added") or []]
    lines += [
        f"- {clean(name)}{'  (its actions are held)' if name in held else ''}" for name in changes.get("removed") or []
    ]
    for name, keys in (changes.get("changed") or {}).items():
        lines += [f"~ {clean(name)}", *(f"    {_key_change(change)}" for change in keys)]
    return [*lines, *(f"~ {_key_change(change)}" for change in changes.get("other") or [])]


def _key_change(change: Mapping[str, Any]) -> str:
    """``retry.limit: 5 -> 7``"""
    return f"{clean(change.get('key'))}: {clean(change.get('old'))} -> {clean(change.get('new'))}"


def config_table(history: Mapping[str, Any]) -> str:
    """The table of ``config history``; a star marks the version in force."""
    rows = (
        (
            "*" if version.get("version") == history.get("running") else "",
            version.get("version"),
            version.get("at"),
            version.get("who"),
            None if version.get("back_to") is None else f"back to {version['back_to']}",
            str(version.get("digest"))[:12],
        )
        for version in history.get("versions") or []
    )
    return table(("", "VERSION", "SINCE", "BY", "NOTE", "SHA-256"), rows)


def config_diff_text(difference: Mapping[str, Any]) -> str:
    """What ``config diff`` prints: the keys with their values, then the lines of the file."""
    lines = _changed_settings(difference)
    lines += [f"cannot be read any more: {clean(problem)}" for problem in difference.get("problems") or []]
    parts = ["\n".join(lines)] if lines else ["no setting differs"]
    if difference.get("text"):
        parts.append(plain(difference["text"]))
    return "\n\n".join(parts)


def plain(text: Any) -> str:
    """A text of many lines; what would steer the terminal is shown as an escape."""
    return _printable(str(text)).rstrip("\n")


def duration_text(seconds: Any) -> str | None:
    """``1h 1m 40s``; None where it is not known."""
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
