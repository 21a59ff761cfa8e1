"""The picture of the states. Where each stands and how the lines run is drawn by hand; what they say is the table's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from connectord.lifecycle.action import State


class Route(NamedTuple):
    """How the line of one change of state runs, and where its words stand."""

    path: str
    x: int
    y: int
    anchor: str = "middle"


_BOXES = {
    State.PENDING: (115, 85, "#2f6f9f"),
    State.ATTEMPTING: (380, 85, "#2f6f9f"),
    State.WAITING: (645, 85, "#2f6f9f"),
    State.TODO: (380, 250, "#a8581a"),
    State.IN_PROGRESS: (115, 250, "#a8581a"),
    State.CLOSED: (380, 410, "#4b6e51"),
}
"""The middle of each box, and its colour: the daemon's work, people's work, the end."""

_WIDTH, _HEIGHT = 150, 50

ROUTES = {
    (State.PENDING, State.ATTEMPTING): Route("M190,75 H303", 247, 66),
    (State.ATTEMPTING, State.PENDING): Route("M305,96 H192", 247, 113),
    (State.ATTEMPTING, State.WAITING): Route("M455,85 H568", 512, 76),
    (State.PENDING, State.WAITING): Route("M115,60 C115,0 645,0 645,58", 380, 9),
    (State.PENDING, State.TODO): Route("M160,110 C190,180 240,215 303,230", 228, 165, "start"),
    (State.ATTEMPTING, State.TODO): Route("M380,110 V223", 388, 172, "start"),
    (State.WAITING, State.TODO): Route("M610,110 C590,180 520,225 457,235", 590, 180, "start"),
    (State.TODO, State.IN_PROGRESS): Route("M305,240 H192", 247, 256),
    (State.IN_PROGRESS, State.TODO): Route("M190,264 H303", 247, 281),
    (State.TODO, State.CLOSED): Route("M380,275 V383", 388, 335, "start"),
    (State.IN_PROGRESS, State.CLOSED): Route("M130,275 C140,350 220,385 303,400", 190, 335, "start"),
    (State.PENDING, State.CLOSED): Route("M40,98 C-30,180 -30,428 303,424", 60, 448, "start"),
    (State.ATTEMPTING, State.CLOSED): Route("M455,104 C560,190 545,350 457,400", 540, 262, "start"),
    (State.WAITING, State.CLOSED): Route("M665,110 C680,330 570,425 457,420", 662, 305, "start"),
}
"""One for every change of state that the table has; a test compares them."""


def diagram_svg(labels: Mapping[State, str], rules: Mapping[tuple[State, State], str]) -> str:
    """The picture, in colours that can be read on light and on dark paper. ``rules`` are what each line says.

    Raises :class:`KeyError` for a change of state that no route was drawn for.
    """
    head = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="-50 -12 790 475" role="img" font-size="12"'
        ' font-family="system-ui, sans-serif"><title>The states of an action</title>'
        '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#7d858f"/></marker></defs>'
        '<circle cx="-30" cy="75" r="6" fill="#7d858f"/>'
    )
    parts = [head, _line(Route("M-24,75 H38", 2, 66), "submitted")]
    parts += [_line(ROUTES[change], words) for change, words in rules.items()]
    parts += [_box(state, labels[state]) for state in State]
    return "\n".join((*parts, "</svg>\n"))


def _line(route: Route, words: str) -> str:
    return (
        f'<path d="{route.path}" fill="none" stroke="#7d858f" stroke-width="1.6" marker-end="url(#end)"/>'
        f'<text x="{route.x}" y="{route.y}" text-anchor="{route.anchor}" fill="#7d858f">{words}</text>'
    )


def _box(state: State, label: str) -> str:
    x, y, colour = _BOXES[state]
    left, top = x - _WIDTH // 2, y - _HEIGHT // 2
    return (
        f'<rect x="{left}" y="{top}" width="{_WIDTH}" height="{_HEIGHT}" rx="8" fill="{colour}"/>'
        f'<text x="{x}" y="{y + 5}" text-anchor="middle" fill="#fff" font-size="14" font-weight="600">{label}</text>'
    )
