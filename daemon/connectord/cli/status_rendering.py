"""What ``connectorctl status`` prints: is it well, and if not, why; then the rest on one screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from connectord.cli.colours import alarming, fine, warning
from connectord.cli.rendering import clean, duration_text, facts, system_table
from connectord.sizes import bytes_text

SHOWN_BLOCK_SECONDS = 0.1
"""Blocks of the event loop that are shorter are not shown."""

SHOWN_TROUBLES = 8
"""More are only counted, for all of it should fit on a screen."""

_STATES = ("pending", "attempting", "waiting", "todo", "in_progress")
_LABELS = {"todo": "to do", "in_progress": "in progress"}


def status_screen(status: Mapping[str, Any]) -> str:
    """The screen. The first line is the answer; members that an older daemon does not have are left out."""
    parts = ["\n".join([_verdict(status), *_trouble_lines(status)])]
    if systems := status.get("by_system"):
        parts.append(system_table(systems))
    if actions := _actions(status):
        parts.append(f"Actions\n{actions}")
    parts.append(
        facts(
            [
                ("Due", _since("the longest since", (status.get("oldest") or {}).get("due_since"), status)),
                ("Owners", _owners_text(status.get("notifications"))),
                ("Store", _store_text(status)),
                ("Callbacks", status.get("callbacks")),
                ("Configuration", _configuration_text(status)),
                ("Process", _process_text(status)),
                ("Versions", _versions_text(status)),
                ("Longest block", _block_text(status.get("longest_block"))),
            ]
        )
    )
    return "\n\n".join(parts)


def _verdict(status: Mapping[str, Any]) -> str:
    troubles = status.get("troubles") or []
    if not troubles:
        count = status.get("systems")
        systems = f", {clean(count)} {'system' if count == 1 else 'systems'}"
        return fine(f"well: up {duration_text(status.get('uptime_seconds')) or '-'}{systems}")
    first = troubles[0]
    why = f"{clean(first.get('about'))}: {clean(first.get('words'))}"
    if status.get("verdict") == "not_well":
        return alarming(f"not well: {why}")
    return warning(f"degraded: {why}")


def _trouble_lines(status: Mapping[str, Any]) -> Iterator[str]:
    troubles = status.get("troubles") or []
    for number, trouble in enumerate(troubles[:SHOWN_TROUBLES]):
        if number:
            yield f"  {clean(trouble.get('about'))}: {clean(trouble.get('words'))}"
        if trouble.get("command"):
            yield f"    {clean(trouble['command'])}"
    if len(troubles) > SHOWN_TROUBLES:
        yield f"  ... and {len(troubles) - SHOWN_TROUBLES} more (connectorctl status --json has all)"


def _actions(status: Mapping[str, Any]) -> str:
    counts, oldest = status.get("counts") or {}, status.get("oldest") or {}
    return facts(
        (
            (_LABELS.get(state, state), f"{clean(counts[state])}{_age(oldest.get(state), status)}")
            for state in (*_STATES, *(state for state in counts if state not in _STATES))
            if counts.get(state)
        ),
        indent="    ",
    )


def _age(at: Any, status: Mapping[str, Any]) -> str:
    words = _since("the oldest submitted", at, status)
    return "" if words is None else f"  ({words})"


def _since(what: str, at: Any, status: Mapping[str, Any]) -> str | None:
    """``what 2026-11-24T12:00:00.000Z, 3m 2s ago``, by the daemon's own clock; None without a moment."""
    if at is None:
        return None
    try:
        started = datetime.fromisoformat(str(status["started_at"]))
        seconds = float(status["uptime_seconds"]) + (started - datetime.fromisoformat(str(at))).total_seconds()
    except (KeyError, TypeError, ValueError):
        return f"{what} {clean(at)}"
    return f"{what} {clean(at)}, {duration_text(max(seconds, 0))} ago"


def _block_text(block: Any) -> str | None:
    """How long the event loop did not come round at most, and who it was; None where that is not worth a line."""
    if not isinstance(block, Mapping) or (block.get("seconds") or 0) < SHOWN_BLOCK_SECONDS:
        return None
    by = f" by {clean(block['by'])} ({clean(block.get('place'))})" if block.get("by") else ""
    return f"{block['seconds']:.3g} s at {clean(block.get('at'))}{by}"


def _owners_text(backlog: Any) -> str | None:
    if not isinstance(backlog, Mapping):
        return None
    channel = backlog.get("channel") or {}
    down = f"; {clean(channel.get('last_error'))}" if channel.get("state") == "down" else ""
    count = backlog.get("undelivered")
    if not count:
        return f"all notified{down}"
    return f"{clean(count)} notifications not delivered, the oldest since {clean(backlog.get('since'))}{down}"


def _store_text(status: Mapping[str, Any]) -> str | None:
    store, directory = status.get("store"), status.get("state_directory")
    if not isinstance(store, Mapping):
        return None if directory is None else clean(directory)
    sizes = [bytes_text(store.get(key) or 0) for key in ("database_bytes", "wal_bytes", "free_bytes")]
    return f"{clean(directory)}: {sizes[0]}, log {sizes[1]}; {sizes[2]} free"


def _configuration_text(status: Mapping[str, Any]) -> str | None:
    if status.get("config_version") is None:
        return None
    return f"version {status['config_version']} of {status.get('config_file')}"


def _process_text(status: Mapping[str, Any]) -> str | None:
    if status.get("pid") is None:
        return None
    up = duration_text(status.get("uptime_seconds"))
    return f"{clean(status['pid'])}, since {clean(status.get('started_at'))} ({up})"


def _versions_text(status: Mapping[str, Any]) -> str:
    own = f"connectord {clean(status.get('version'))}"
    return "; ".join([own, *map(clean, status.get("plugins") or [])])
