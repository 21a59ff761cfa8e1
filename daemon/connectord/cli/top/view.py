"""How the state looks: rich renderables that fit the screen, whatever its size and whatever the data say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import StringIO
from itertools import islice
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.screen import Screen
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from connectord.cli import rendering
from connectord.cli.top.layout import first_row
from connectord.cli.top.state import Mode, Pane, Record, State, actions, card_lines, detail, layout, systems

HINTS = "q quit  Tab other table  Enter open  r retry  p pause/resume  / filter  ? keys"
KEYS = (
    ("Up Down, k j", "move; PgUp PgDn, Home End too"),
    ("Tab", "between systems and actions"),
    ("Enter", "on a system: only its actions; on an action: its card"),
    ("Esc", "close the card; show all actions again"),
    ("r", "retry the selected action now"),
    ("p", "pause the selected system, or let it go on"),
    ("/", "show only actions that have a text; Enter keeps it, Esc drops it"),
    ("Ctrl-L", "draw everything anew"),
    ("q, Ctrl-C", "quit"),
)
_STATE_STYLES = {"todo": "yellow", "in_progress": "yellow", "waiting": "cyan", "attempting": "blue"}
_GAP = 2
_COLUMN_MOST = 40
_NARROW = 90
_ID_END = 8


@dataclass(frozen=True, slots=True)
class _Column:
    """``weight``: the columns with the smallest are left out where the screen is too narrow for all."""

    heading: str
    weight: int
    right: bool = False


_SYSTEM_COLUMNS = (
    _Column("SYSTEM", 9),
    _Column("STATE", 8),
    _Column("HEALTH", 5),
    _Column("PENDING", 7, right=True),
    _Column("WAITING", 4, right=True),
    _Column("TO DO", 6, right=True),
    _Column("IN FLIGHT", 3, right=True),
    _Column("LIMIT", 1, right=True),
    _Column("LAST ERROR", 2),
)
_ACTION_COLUMNS = (
    _Column("ACTION", 9),
    _Column("SYSTEM", 6),
    _Column("CASE", 3),
    _Column("STATE", 8),
    _Column("TRIES", 5),
    _Column("NEXT", 4),
    _Column("WHAT", 2),
)


def frame(state: State) -> RenderableType:
    """The whole screen."""
    height = state.size[1]
    match state.mode:
        case Mode.CARD:
            shown: list[RenderableType] = [
                Text(line, no_wrap=True) for line in islice(card_lines(state), state.scroll, None)
            ]
        case Mode.HELP:
            shown = [Text(f"{rendering.clean(key):<14}{what}", no_wrap=True) for key, what in KEYS]
        case _:
            shown = _tables(state)
    # the last line stays where it is, so what is above it is cut or filled up
    return Group(_Exactly(height - 1, Group(_header(state), *shown)), _footer(state))


def as_text(state: State) -> str:
    """The screen as plain text, as a page of the documentation shows it."""
    file = StringIO()
    width, height = state.size
    Console(file=file, width=width, height=height, highlight=False, color_system=None).print(Screen(frame(state)))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


class _Exactly:
    """A renderable in exactly ``height`` lines: cut, or filled up."""

    def __init__(self, height: int, renderable: RenderableType) -> None:
        self._height = height
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self._renderable, options.update(height=None), pad=True)
        for line in Segment.set_shape(lines, options.max_width, self._height)[: self._height]:
            yield from line
            yield Segment.line()


def _header(state: State) -> Text:
    if state.offline is not None:
        return _line(f"trying again every second: {state.offline}", "bold red")
    if state.snapshot is None:
        return _line("connectord", "bold")
    status = state.snapshot.status
    counts = status.get("counts") or {}
    rate = state.commits_per_second
    parts = [
        f"connectord {rendering.clean(status.get('version'))}",
        "stopping" if status.get("stopping") else f"up {rendering.duration_text(status.get('uptime_seconds'))}",
        f"config {rendering.clean(status.get('config_version'))}",
        *(f"{rendering.clean(name)} {rendering.clean(count)}" for name, count in counts.items() if count),
        f"in flight {rendering.clean(status.get('in_flight'))}",
        "" if rate is None else f"{rate:.1f} commits/s",
    ]
    return _line("  ".join(part for part in parts if part), "bold")


def _footer(state: State) -> Text:
    if state.mode is Mode.TYPING:
        return _line(f"/{state.text}_", "bold")
    if state.message:
        return _line(state.message, "bold red" if state.is_refusal else "bold")
    match state.mode:
        case Mode.CARD:
            total, page = len(card_lines(state)), layout(state).page
            place = f"  lines {state.scroll + 1}-{min(total, state.scroll + page)} of {total}" if total > page else ""
            return _line(f"Esc close  r retry  q quit{place}", "dim")
        case Mode.HELP:
            return _line("any key goes back", "dim")
        case _:
            return _line(HINTS, "dim")


def _line(text: str, style: str) -> Text:
    return Text(rendering.clean(text), style=style, no_wrap=True, overflow="ellipsis")


def _tables(state: State) -> list[RenderableType]:
    shared = layout(state)
    shown: list[RenderableType] = []
    if shared.systems or (shared.is_full or state.pane is Pane.SYSTEMS):
        rows = [_system_row(item) for item in systems(state)]
        on = state.pane is Pane.SYSTEMS
        shown.append(_table(_SYSTEM_COLUMNS, rows, shared.systems, state.system_row, on=on, width=state.size[0]))
    if shared.is_full:
        shown.append(_between(state))
    if shared.actions or (shared.is_full or state.pane is Pane.ACTIONS):
        now = _daemon_time(state)
        rows = [_action_row(item, now, is_narrow=state.size[0] < _NARROW) for item in actions(state)]
        on = state.pane is Pane.ACTIONS
        shown.append(_table(_ACTION_COLUMNS, rows, shared.actions, state.action_row, on=on, width=state.size[0]))
    return shown


def _between(state: State) -> Text:
    chosen = [f"of {state.only_system}"] if state.only_system else []
    chosen += [f'with "{state.text}"'] if state.text else []
    if not chosen and actions(state):
        return Text("")
    return _line(f"{'no ' if not actions(state) else ''}actions {' '.join(chosen)}".strip(), "dim")


def _table(
    columns: Sequence[_Column], rows: Sequence[Sequence[Text]], room: int, selected: int, *, on: bool, width: int
) -> Table:
    first = first_row(selected, len(rows), room)
    seen = rows[first : first + room]
    chosen = _that_fit(columns, seen, width)
    table = Table(
        box=None,
        expand=chosen[-1] == len(columns) - 1,
        padding=(0, _GAP, 0, 0),
        pad_edge=False,
        header_style="bold reverse" if on else "bold",
    )
    for index in chosen:
        column = columns[index]
        is_last = index == len(columns) - 1
        table.add_column(
            Text(f"  {column.heading}" if index == 0 else column.heading, no_wrap=True, overflow="crop"),
            no_wrap=True,
            overflow="ellipsis",
            justify="right" if column.right else "left",
            ratio=1 if is_last else None,
            width=None if is_last else _width(column, seen, index),
        )
    for number, row in enumerate(seen, first):
        is_selected = number == selected
        cells = [row[index] for index in chosen]
        cells[0] = Text.assemble("> " if is_selected and on else "  ", cells[0])
        table.add_row(*cells, style="reverse" if is_selected and on else "")
    for _ in range(room - len(seen)):
        table.add_row()
    return table


def _that_fit(columns: Sequence[_Column], rows: Sequence[Sequence[Text]], width: int) -> list[int]:
    """Which columns to show: all, or without those of the smallest weight until the rest fits."""
    chosen = list(range(len(columns)))
    while len(chosen) > 1:
        if sum(_width(columns[index], rows, index) + _GAP for index in chosen) - _GAP <= width:
            break
        if (
            columns[chosen[-1]].weight == 2
            and sum(  # the last one takes what is left, if that is worth it
                _width(columns[index], rows, index) + _GAP for index in chosen[:-1]
            )
            <= width - 12
        ):
            break
        chosen.remove(min(chosen, key=lambda index: columns[index].weight))
    return chosen


def _width(column: _Column, rows: Sequence[Sequence[Text]], index: int) -> int:
    marker = 2 if index == 0 else 0
    longest = max((cell_len(row[index].plain) for row in rows), default=0)
    return marker + min(_COLUMN_MOST, max(longest, len(column.heading)))


def _system_row(system: Record) -> list[Text]:
    paused = bool(system.get("paused"))
    name = "paused" if paused else system.get("state")
    style = {"running": "green", "paused": "yellow"}.get(str(name), "red")
    error = system.get("last_error")
    return [
        _cell(system.get("name")),
        _cell(name, style),
        _cell(rendering.health_text(system)),
        _cell(system.get("pending")),
        _cell(system.get("waiting")),
        _cell(system.get("todo"), "yellow" if system.get("todo") else ""),
        Text(rendering.flight_text(system)),
        _cell(system.get("retry_limit")),
        _cell("" if error is None else error, "red"),
    ]


def _action_row(action: Record, now: datetime | None, *, is_narrow: bool) -> list[Text]:
    id_ = rendering.clean(action.get("id"))
    return [
        Text(f"..{id_[-_ID_END:]}" if is_narrow else id_),
        _cell(action.get("system")),
        _cell(action.get("case") or ""),
        Text(rendering.state_label(action), style=_style(action)),
        Text(rendering.attempts_text(action)),
        _cell(_next(action, now)),
        _cell(detail(action) or ""),
    ]


def _style(action: Record) -> str:
    if action.get("highlighted") or (action.get("state") == "pending" and action.get("connection_error")):
        return "red"
    return _STATE_STYLES.get(str(action.get("state")), "")


def _next(action: Record, now: datetime | None) -> str:
    due, deadline = action.get("due_at"), action.get("deadline")
    at = _time(due or deadline)
    if at is None or now is None:
        return ""
    left = max(timedelta(), at - now)
    if due:
        return f"in {rendering.duration_text(left.total_seconds())}" if left else "now"
    return f"{rendering.duration_text(left.total_seconds())} left"


def _daemon_time(state: State) -> datetime | None:
    """The daemon's own clock, as of the last answer: ours may be another."""
    if state.snapshot is None:
        return None
    started = _time(state.snapshot.status.get("started_at"))
    up = state.snapshot.status.get("uptime_seconds")
    return None if started is None or not isinstance(up, int | float) else started + timedelta(seconds=up)


def _time(text: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    # no zone: not a time of the daemon's
    return None if at is None or at.tzinfo is None else at


def _cell(value: Any, style: str = "") -> Text:
    return Text(rendering.clean(value), style=style)
