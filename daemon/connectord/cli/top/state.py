"""What is on the screen, and what an answer of the daemon makes of it. Pure: no clock, no terminal, no socket."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, TypeAlias

from rich.cells import chop_cells

from connectord.cli import rendering
from connectord.cli.top.layout import Layout, lay_out

Record: TypeAlias = Mapping[str, Any]
"""A system or an action, as the control socket gives it."""

_SHORTEST_RATE_SECONDS = 0.2


class Pane(Enum):
    """Which table has the keys."""

    SYSTEMS = "systems"
    ACTIONS = "actions"


class Mode(Enum):
    """What is shown, and where keys go."""

    TABLES = "tables"
    TYPING = "typing"
    CARD = "card"
    HELP = "help"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the daemon said: ``status``, ``systems``, and some actions in the order in which they are shown."""

    status: Record
    systems: Sequence[Record]
    actions: Sequence[Record]


@dataclass(frozen=True, slots=True)
class State:
    """All that is on the screen."""

    size: tuple[int, int] = (80, 24)
    """columns and rows"""
    snapshot: Snapshot | None = None
    commits_per_second: float | None = None
    offline: str | None = None
    """why the daemon does not answer, while it does not"""
    pane: Pane = Pane.SYSTEMS
    mode: Mode = Mode.TABLES
    system: str | None = None
    system_row: int = 0
    action: str | None = None
    action_row: int = 0
    only_system: str | None = None
    """show actions of this system only"""
    text: str = ""
    """show actions that have this text only"""
    card: Record | None = None
    scroll: int = 0
    message: str = ""
    is_refusal: bool = False


# -- what is seen


def layout(state: State) -> Layout:
    """How the screen is shared now."""
    return lay_out(state.size[1], len(systems(state)), on_systems=state.pane is Pane.SYSTEMS)


def systems(state: State) -> Sequence[Record]:
    """The rows of the upper table."""
    return state.snapshot.systems if state.snapshot else ()


def actions(state: State) -> Sequence[Record]:
    """The rows of the lower table."""
    if state.snapshot is None:
        return ()
    wanted = state.text.casefold()
    return [
        action
        for action in state.snapshot.actions
        if state.only_system in (None, action.get("system")) and wanted in _searchable(action)
    ]


def card_lines(state: State) -> Sequence[str]:
    """The lines of the open card, none wider than the screen."""
    if state.card is None:
        return ()
    return _wrapped(rendering.card(state.card), state.size[0])


def sorted_actions(found: Sequence[Record]) -> Sequence[Record]:
    """What needs attention first: retrying, To Do, waiting, then the rest; the newest first among equals."""
    unique = {str(action.get("id")): action for action in found}
    newest_first = sorted(unique.values(), key=lambda action: str(action.get("id")), reverse=True)
    return sorted(newest_first, key=_urgency)


def _urgency(action: Record) -> int:
    match action.get("state"):
        case "pending" | "attempting" if action.get("connection_error"):
            return 0
        case "todo" | "in_progress":
            return 1
        case "waiting":
            return 2
        case _:
            return 3


def detail(action: Record) -> str | None:
    """What there is to say of an action in a few words."""
    if action.get("rejected_reason"):
        return str(action["rejected_reason"])
    error = action.get("connection_error")
    if isinstance(error, Mapping) and action.get("state") != "waiting":
        return str(error.get("message") or "")
    progress = action.get("progress")
    if isinstance(progress, Mapping) and progress.get("text"):
        return str(progress["text"])
    return rendering.assigned_text(action.get("assigned_to"))


def _searchable(action: Record) -> str:
    words = [action.get(name) for name in ("id", "system", "case", "owner", "key")]
    return " ".join(str(word) for word in [*words, rendering.state_label(action), detail(action)] if word).casefold()


def _wrapped(text: str, width: int) -> list[str]:
    lines: list[str] = []
    for line in text.split("\n"):
        indent = " " * (len(line) - len(line.lstrip(" ")))
        if len(indent) * 2 > width:
            indent = ""
        pieces = textwrap.wrap(line, width, subsequent_indent=indent, replace_whitespace=False) or [""]
        for piece in pieces:
            # wrap() counts characters, the screen counts cells
            lines += chop_cells(piece, width) or [""]
    return lines


# -- what the daemon says


def arrived(state: State, snapshot: Snapshot) -> State:
    """The daemon answered."""
    return reselect(
        replace(
            state,
            snapshot=snapshot,
            offline=None,
            commits_per_second=_rate(state.snapshot, snapshot, state.commits_per_second),
        )
    )


def _rate(before: Snapshot | None, now: Snapshot, last: float | None) -> float | None:
    if before is None or before.status.get("pid") != now.status.get("pid"):
        return None
    seconds = float(now.status.get("uptime_seconds", 0)) - float(before.status.get("uptime_seconds", 0))
    if seconds < _SHORTEST_RATE_SECONDS:
        return last
    commits = int(now.status.get("commits", 0)) - int(before.status.get("commits", 0))
    return max(0.0, commits / seconds)


def failed(state: State, reason: str) -> State:
    """The daemon does not answer."""
    return replace(state, offline=reason, commits_per_second=None)


def told(state: State, message: str, *, refusal: bool = False) -> State:
    """Something to say in the last line."""
    return replace(state, message=message, is_refusal=refusal)


def opened(state: State, action: Record) -> State:
    """A card came, for the first time or anew."""
    shown = state.card if state.mode is Mode.CARD else None
    if shown is not None and shown.get("id") == action.get("id"):
        return scrolled(replace(state, card=action), 0)
    return replace(state, mode=Mode.CARD, card=action, scroll=0)


def refreshed(state: State, action: Record) -> State:
    """The open card came anew; one that was closed meanwhile stays closed."""
    if state.mode is not Mode.CARD or state.card is None or state.card.get("id") != action.get("id"):
        return state
    return opened(state, action)


def resized(state: State, size: tuple[int, int]) -> State:
    """The terminal has another size."""
    return scrolled(replace(state, size=(max(1, size[0]), max(1, size[1]))), 0)


def scrolled(state: State, by: int) -> State:
    """The open card, ``by`` lines further on."""
    last = max(0, len(card_lines(state)) - layout(state).page)
    return replace(state, scroll=max(0, min(state.scroll + by, last)))


def reselect(state: State) -> State:
    """Keep the selected ones selected wherever they are now; where one is gone, its place is selected."""
    system, system_row = _found(systems(state), "name", state.system, state.system_row)
    action, action_row = _found(actions(state), "id", state.action, state.action_row)
    return replace(state, system=system, system_row=system_row, action=action, action_row=action_row)


def _found(rows: Sequence[Record], name: str, wanted: str | None, row: int) -> tuple[str | None, int]:
    if not rows:
        return None, 0
    names = [str(item.get(name)) for item in rows]
    if wanted in names:
        row = names.index(wanted)
    row = clamped(row, len(rows))
    return names[row], row


def clamped(row: int, total: int) -> int:
    """``row``, or the nearest one that there is."""
    return max(0, min(row, total - 1))
