"""What a key does: the next state, and what it asks of the world outside. Pure, as the state is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from connectord.cli.top.keyboard import Key
from connectord.cli.top.state import Mode, Pane, State, actions, clamped, layout, reselect, scrolled, systems, told

FILTER_LIMIT = 100
"""The longest text to filter by."""


@dataclass(frozen=True, slots=True)
class Quit:
    """Leave."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Try an action again now."""

    id: str


@dataclass(frozen=True, slots=True)
class SetPaused:
    """Stop a system, or let it go on."""

    system: str
    paused: bool


@dataclass(frozen=True, slots=True)
class Open:
    """Fetch an action's card."""

    id: str


@dataclass(frozen=True, slots=True)
class Refresh:
    """Ask the daemon at once: other actions are wanted now."""


@dataclass(frozen=True, slots=True)
class Redraw:
    """Draw everything anew."""


Command: TypeAlias = Quit | Retry | SetPaused | Open | Refresh | Redraw
"""What a key asks of the world outside."""


def press(state: State, key: Key) -> tuple[State, Command | None]:
    """What a key does: the new state, and what it asks for."""
    if key.name == "ctrl-c":
        return state, Quit()
    if key.name == "ctrl-l":
        return state, Redraw()
    match state.mode:
        case Mode.TYPING:
            return _type(state, key)
        case Mode.CARD:
            return _in_card(state, key)
        case Mode.HELP:
            return (state, Quit()) if key.name == "q" else (replace(state, mode=Mode.TABLES), None)
        case Mode.TABLES:
            return _in_tables(replace(state, message="", is_refusal=False), key)


_MOVES: Mapping[str, Callable[[int], int]] = {
    "up": lambda page: -1,
    "k": lambda page: -1,
    "down": lambda page: 1,
    "j": lambda page: 1,
    "pageup": lambda page: -page,
    "pagedown": lambda page: page,
    " ": lambda page: page,
    "home": lambda page: -1_000_000,
    "end": lambda page: 1_000_000,
}


def _in_tables(state: State, key: Key) -> tuple[State, Command | None]:
    if key.name in _MOVES:
        return _moved(state, _MOVES[key.name](_page(state))), None
    match key.name:
        case "q":
            return state, Quit()
        case "?":
            return replace(state, mode=Mode.HELP), None
        case "/":
            return replace(state, mode=Mode.TYPING, pane=Pane.ACTIONS), None
        case "tab" | "backtab":
            return replace(state, pane=Pane.ACTIONS if state.pane is Pane.SYSTEMS else Pane.SYSTEMS), None
        case "escape" if state.text or state.only_system:
            return reselect(replace(state, text="", only_system=None)), Refresh()
        case "enter" | "r" | "p":
            return _on_selected(state, key.name)
        case _:
            return state, None


def _on_selected(state: State, name: str) -> tuple[State, Command | None]:
    on_systems = state.pane is Pane.SYSTEMS
    chosen = state.system if on_systems else state.action
    if chosen is None:
        return told(state, "nothing is selected"), None
    match name, on_systems:
        case "enter", True:
            shown = reselect(replace(state, only_system=chosen, pane=Pane.ACTIONS))
            return told(shown, f"actions of {chosen} only; Esc shows all"), Refresh()
        case "enter", False:
            return state, Open(chosen)
        case "r", False:
            return told(state, f"retrying {chosen} ..."), Retry(chosen)
        case "p", True:
            return state, SetPaused(chosen, paused=not systems(state)[state.system_row].get("paused"))
        case "r", True:
            return told(state, "r works on an action: Tab goes to the actions"), None
        case _:
            return told(state, "p works on a system: Tab goes to the systems"), None


def _type(state: State, key: Key) -> tuple[State, Command | None]:
    match key.name:
        case "enter":
            return replace(state, mode=Mode.TABLES), Refresh()
        case "escape":
            return reselect(replace(state, mode=Mode.TABLES, text="")), Refresh()
        case "backspace":
            text = state.text[:-1]
        case "ctrl-u":
            text = ""
        case "paste":
            text = state.text + " ".join(key.text.split())
        case name if len(name) == 1:
            text = state.text + name
        case _:
            return state, None
    return reselect(replace(state, text=text[:FILTER_LIMIT])), None


def _in_card(state: State, key: Key) -> tuple[State, Command | None]:
    if key.name in _MOVES:
        return scrolled(state, _MOVES[key.name](layout(state).page)), None
    match key.name:
        case "q":
            return state, Quit()
        case "escape" | "enter" | "left":
            return replace(state, mode=Mode.TABLES, card=None, scroll=0), None
        case "r" if state.card is not None:
            action_id = str(state.card.get("id"))
            return told(state, f"retrying {action_id} ..."), Retry(action_id)
        case _:
            return state, None


def _page(state: State) -> int:
    shared = layout(state)
    return max(1, shared.systems if state.pane is Pane.SYSTEMS else shared.actions)


def _moved(state: State, by: int) -> State:
    if state.pane is Pane.SYSTEMS:
        row = clamped(state.system_row + by, len(systems(state)))
        return reselect(replace(state, system_row=row, system=None))
    row = clamped(state.action_row + by, len(actions(state)))
    return reselect(replace(state, action_row=row, action=None))
