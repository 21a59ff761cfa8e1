"""How ``top`` looks: it fits any screen, and no data steer the terminal."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from connectord.cli.top import state as on_screen
from connectord.cli.top import view
from connectord.cli.top.keyboard import Key
from connectord.cli.top.pressing import press
from connectord.cli.top.state import Snapshot, State, arrived, opened, resized
from helpers.screens import STATUS, action, pressed, retrying, snapshot, system
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.screen import Screen

DOCS = Path(__file__).parent.parent.parent / "docs"
SHOWN = arrived(
    State(),
    snapshot(
        retrying("01M86PTPG04TFF59TXT1SH3RQ8", attempts=4, system="depot"),
        action("01M86PTPG04TFF59TXT1SH3RQ7", "todo", label="To Do", rejected_reason="Vendor unknown"),
        action("01M86PTPG04TFF59TXT1SH3RQ6", "waiting", label="Waiting", deadline="2026-11-24T17:01:40.000Z"),
    ),
)


def drawn(state: State, **options: object) -> str:
    width, height = state.size
    file = io.StringIO()
    console = Console(file=file, width=width, height=height, highlight=False, force_terminal=True, **options)
    console.print(Screen(view.frame(state)), end="")
    return file.getvalue()


def plain(state: State) -> list[str]:
    return re.sub(r"\x1b\[[0-9;]*m", "", drawn(state)).split("\n")


def test_the_tables() -> None:
    assert view.as_text(resized(SHOWN, (120, 12))).splitlines() == [
        "connectord 0.1.0  up 1h 1m 40s  config 3  pending 12  waiting 3  in flight 4",
        "  SYSTEM  STATE    HEALTH  PENDING  WAITING  TO DO  IN FLIGHT  LIMIT  LAST ERROR",
        "> erp     running  ok            3        2      1       4/16      5",
        "  depot   running  ok            3        2      1       4/16      5",
        "",
        "  ACTION                      SYSTEM  CASE  STATE     TRIES   NEXT        WHAT",
        "  01M86PTPG04TFF59TXT1SH3RQ8  depot   C-1   Retrying  4 of 5  in 1m 30s   connection refused",
        "  01M86PTPG04TFF59TXT1SH3RQ7  erp     C-1   To Do     1 of 5              Vendor unknown",
        "  01M86PTPG04TFF59TXT1SH3RQ6  erp     C-1   Waiting   1 of 5  4h 0s left",
        "",
        "",
        view.HINTS,
    ]


def test_the_screen_in_the_docs_is_what_is_drawn() -> None:
    systems = [
        system("erp", waiting=2, todo=1),
        system("depot", health="failing", pending=9, waiting=1, todo=0, in_flight=0, last_error="connection refused"),
    ]
    actions = [
        retrying("01M86PTPG04TFF59TXT1SH3RQ8", attempts=4, system="depot", case="C-1001"),
        action("01M86PTPG04TFF59TXT1SH3RQ7", "todo", label="To Do", case="C-1002", rejected_reason="Vendor unknown"),
        action(
            "01M86PTPG04TFF59TXT1SH3RQ6", "waiting", label="Waiting", case="C-1003", deadline="2026-11-24T17:01:40.000Z"
        ),
    ]
    shown = arrived(State(), Snapshot(STATUS | {"commits": 75, "uptime_seconds": 3699.0}, systems, []))
    shown = resized(arrived(shown, Snapshot(STATUS, systems, on_screen.sorted_actions(actions))), (100, 11))
    page = (DOCS / "operations" / "command-line.md").read_text(encoding="utf-8")
    assert "\n".join(f"    {line}".rstrip() for line in view.as_text(shown).splitlines()) in page
    for key, _ in view.KEYS:
        assert f"| {key}" in page


def test_a_narrow_screen_keeps_what_matters_most() -> None:
    lines = view.as_text(resized(SHOWN, (46, 10))).splitlines()
    assert lines[1].split() == ["SYSTEM", "STATE", "HEALTH", "PENDING", "TO", "DO"]
    assert lines[4].split() == ["ACTION", "SYSTEM", "STATE", "TRIES"]
    assert lines[5].split() == ["..T1SH3RQ8", "depot", "Retrying", "4", "of", "5"]


def test_a_low_screen_shows_the_table_that_has_the_keys() -> None:
    low = resized(SHOWN, (80, 5))
    assert "SYSTEM" in plain(low)[1]
    assert "ACTION" in plain(pressed(low, "tab")[0])[1]


def test_the_selected_row_is_seen_and_marked_without_colour() -> None:
    many = arrived(State(), snapshot(*[action(f"A{number:03}") for number in range(99)]))
    for state in (pressed(many, "tab", "end")[0], pressed(many, "tab", *["j"] * 50)[0]):
        marked = [line for line in plain(state) if line.startswith("> ")]
        assert len(marked) == 1
        assert state.action in marked[0]


def test_what_is_said_stands_in_the_last_line() -> None:
    assert plain(pressed(SHOWN, "/", *"ve")[0])[-1].startswith("/ve_")
    assert plain(on_screen.told(SHOWN, "it is closed", refusal=True))[-1].startswith("it is closed")
    assert plain(on_screen.failed(SHOWN, "no daemon answers"))[0].startswith(
        "trying again every second: no daemon answers"
    )
    assert plain(pressed(SHOWN, "?")[0])[-1].startswith("any key")
    assert any("retry the selected action" in line for line in plain(pressed(SHOWN, "?")[0]))
    empty = pressed(SHOWN, "/", *"nothing has this", "enter")[0]
    assert 'no actions with "nothing has this"' in "\n".join(plain(empty))


def test_the_card_is_what_show_prints() -> None:
    card = opened(SHOWN, retrying("01M86PTPG04TFF59TXT1SH3RQ8"))
    assert plain(card)[1].rstrip() == "Action    01M86PTPG04TFF59TXT1SH3RQ8"
    low = resized(card, (60, 8))
    assert plain(low)[-1].rstrip().endswith(f"lines 1-6 of {len(on_screen.card_lines(low))}")
    assert plain(pressed(low, "end")[0])[-2].rstrip() == on_screen.card_lines(low)[-1]


@pytest.mark.parametrize("options", [{"no_color": True}, {"color_system": None}])
def test_without_colour_there_is_none(options: dict[str, object]) -> None:
    codes = {code for found in re.findall(r"\x1b\[([0-9;]*)m", drawn(SHOWN, **options)) for code in found.split(";")}
    assert not {code for code in codes if code not in ("", "0", "1", "2", "7")}
    assert {"31", "33"} <= {
        code
        for found in re.findall(r"\x1b\[([0-9;]*)m", drawn(SHOWN, color_system="standard"))
        for code in found.split(";")
    }


text = st.text(max_size=60) | st.sampled_from(
    ["\x1b[2J\x1b]0;x\x07", "[red]x[/red]", "界" * 40, "a\nb\rc\td", "\u202e"]
)
value = st.none() | st.integers() | text | st.dictionaries(text, text, max_size=2)
states = st.sampled_from(["pending", "attempting", "waiting", "todo", "in_progress", "closed", "?"])
some_actions = st.lists(
    st.builds(
        lambda id_, state, other: action(id_, state, **other),
        text,
        states,
        st.fixed_dictionaries(
            {},
            optional={
                "system": text, "case": value, "label": value, "attempts": value, "retry_limit": value,
                "rejected_reason": value, "due_at": value, "deadline": value, "data": st.dictionaries(text, value),
                "connection_error": st.none() | st.fixed_dictionaries({"message": value, "text": value}),
                "assigned_to": value, "progress": value, "late_responses": st.lists(value, max_size=2),
                "resolution": value,
            },
        ),
    ),
    max_size=30,
)  # fmt: skip
some_systems = st.lists(
    st.builds(lambda name, error, n: system(name, last_error=error, pending=n), text, value, value), max_size=20
)
names = st.sampled_from(
    ["up", "down", "pagedown", "end", "tab", "enter", "escape", "/", "?", "r", "p", "backspace", "a", "\u754c", "card"]
)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 160), st.integers(1, 50)), min_size=1, max_size=4),
    systems=some_systems,
    actions=some_actions,
    keys=st.lists(names, max_size=12),
    said=text,
)
def test_whatever_is_said_and_typed_the_screen_is_filled_and_nothing_else(
    sizes: list[tuple[int, int]], systems: list[object], actions: list[object], keys: list[str], said: str
) -> None:
    state = arrived(State(), Snapshot(STATUS | {"version": said}, systems, on_screen.sorted_actions(actions)))
    for key in keys:
        shown = on_screen.actions(state)
        state = opened(state, shown[0]) if key == "card" and shown else press(state, Key(key))[0]
    for size in sizes:
        state = resized(on_screen.told(state, said), size)
        lines = plain(state)
        assert len(lines) == size[1]
        for line in lines:
            assert cell_len(line) == size[0]
            assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", line)
