"""What keys and answers make of the screen of ``top``."""

from __future__ import annotations

from dataclasses import replace

import pytest
from connectord.cli.top import pressing as do
from connectord.cli.top import state as on_screen
from connectord.cli.top.keyboard import Key
from connectord.cli.top.layout import first_row, lay_out
from connectord.cli.top.state import Mode, Pane, State, arrived, opened, refreshed, resized, told
from helpers.screens import action, pressed, retrying, snapshot, system
from hypothesis import given
from hypothesis import strategies as st

ACTIONS = [action("A3", "waiting"), retrying("A1"), action("A4", "todo", system="depot"), action("A2", "closed")]


@pytest.fixture
def state() -> State:
    return arrived(resized(State(), (100, 20)), snapshot(*ACTIONS))


def ids(state: State) -> list[str]:
    return [item["id"] for item in on_screen.actions(state)]


def test_what_needs_attention_comes_first_and_only_once() -> None:
    others = [retrying("A9"), action("A8", "attempting"), action("A7"), action("A6", "in_progress"), ACTIONS[0]]
    shown = on_screen.sorted_actions([*ACTIONS, *others])
    assert [item["id"] for item in shown] == ["A9", "A1", "A6", "A4", "A3", "A8", "A7", "A2"]


def test_moving_stays_within_the_table(state: State) -> None:
    assert (state.pane, state.system) == (Pane.SYSTEMS, "erp")
    assert pressed(state, "k", "up", "pageup", "home")[0].system == "erp"
    assert pressed(state, "j")[0].system == "depot"
    assert pressed(state, "down", "down", "pagedown", "end")[0].system == "depot"
    on_actions, _ = pressed(state, "tab", "down", "j", " ", "k")
    assert (on_actions.pane, on_actions.action, on_actions.system) == (Pane.ACTIONS, "A3", "erp")
    assert pressed(on_actions, "backtab")[0].pane is Pane.SYSTEMS


def test_what_is_selected_stays_selected_wherever_it_goes(state: State) -> None:
    on_a3, _ = pressed(state, "tab", "j", "j")
    assert (on_a3.action, on_a3.action_row) == ("A3", 2)
    moved = arrived(on_a3, snapshot(*ACTIONS, retrying("A5"), action("A6", "todo")))
    assert (moved.action, moved.action_row) == ("A3", 4)
    gone = arrived(moved, snapshot(*ACTIONS[1:]))
    assert (gone.action, gone.action_row) == ("A2", 2)
    assert arrived(gone, snapshot()).action is None
    assert arrived(arrived(gone, snapshot()), snapshot(*ACTIONS)).action == "A1"


def test_enter_and_r_act_on_the_selected_action(state: State) -> None:
    _, commands = pressed(state, "tab", "j", "enter", "r")
    assert commands == [do.Open("A4"), do.Retry("A4")]


def test_p_pauses_what_runs_and_resumes_what_is_paused(state: State) -> None:
    assert pressed(state, "j", "p")[1] == [do.SetPaused("depot", paused=True)]
    paused = replace(snapshot(), systems=[system("erp", paused=True, state="paused")])
    assert pressed(arrived(state, paused), "p")[1] == [do.SetPaused("erp", paused=False)]


def test_keys_of_the_other_table_do_nothing_and_say_so(state: State) -> None:
    for keys in (["r"], ["tab", "p"]):
        after, commands = pressed(state, *keys)
        assert commands == []
        assert "Tab goes to" in after.message
    assert pressed(after, "j")[0].message == ""


def test_nothing_selected_is_no_error() -> None:
    for keys in (["enter"], ["p"], ["tab", "r"], ["tab", "enter"], ["j", "k", "end"]):
        for empty in (State(), arrived(State(), snapshot(names=()))):
            assert pressed(empty, *keys)[1] == []


def test_enter_on_a_system_shows_its_actions_until_escape(state: State) -> None:
    only, commands = pressed(state, "j", "enter")
    assert (only.pane, only.only_system, ids(only), commands) == (Pane.ACTIONS, "depot", ["A4"], [do.Refresh()])
    back, commands = pressed(only, "escape")
    assert (back.only_system, len(ids(back)), commands) == (None, 4, [do.Refresh()])
    assert pressed(back, "escape")[1] == []


def test_a_text_filters_while_it_is_typed(state: State) -> None:
    typing, _ = pressed(state, "/", "A")
    assert (typing.mode, len(ids(typing))) == (Mode.TYPING, 4)
    typing, commands = pressed(typing, "4", "q", "backspace", "up")
    assert (ids(typing), typing.action, commands) == (["A4"], "A4", [])
    kept, commands = pressed(typing, "enter")
    assert (kept.mode, kept.text, commands) == (Mode.TABLES, "A4", [do.Refresh()])
    assert ids(pressed(kept, "escape")[0]) == ids(state)
    dropped, _ = pressed(typing, "escape")
    assert (dropped.text, len(ids(dropped))) == ("", 4)
    assert ids(pressed(state, "/", *"REFUSED")[0]) == ["A1"]
    assert ids(pressed(state, "/", *"c-1 nothing")[0]) == []
    assert len(pressed(state, "/", *("x" * 500))[0].text) == do.FILTER_LIMIT


def test_what_is_pasted_is_text_and_never_keys(state: State) -> None:
    pasted = Key("paste", "a4\nrp")
    assert do.press(state, pasted) == (state, None)
    typing, _ = do.press(pressed(state, "/")[0], pasted)
    assert (typing.mode, typing.text) == (Mode.TYPING, "a4 rp")


def test_a_card_opens_scrolls_refreshes_and_closes(state: State) -> None:
    long = action("A3", data={str(number): number for number in range(100)})
    card = opened(pressed(state, "tab")[0], long)
    assert (card.mode, card.scroll) == (Mode.CARD, 0)
    down, commands = pressed(card, "j", "pagedown", "r")
    assert (down.scroll, commands) == (1 + 18, [do.Retry("A3")])
    end, _ = pressed(down, "end", "j")
    assert end.scroll == len(on_screen.card_lines(end)) - 18
    short = refreshed(end, action("A3"))
    assert (short.scroll, short.mode) == (0, Mode.CARD)
    assert refreshed(end, action("A4")) == end
    closed, _ = pressed(down, "escape")
    assert (closed.mode, closed.card, refreshed(closed, long)) == (Mode.TABLES, None, closed)
    assert pressed(down, "q")[1] == [do.Quit()]


def test_a_card_is_no_wider_than_the_screen_and_loses_nothing(state: State) -> None:
    words = "Vendor " * 40 + "界" * 60
    card = opened(state, action("A3", "todo", rejected_reason=words))
    for width in (1, 2, 7, 40, 300):
        lines = on_screen.card_lines(resized(card, (width, 10)))
        assert "".join("".join(lines).split()).count("界") == 60
        assert "".join("".join(lines).split()).count("Vendor") == 40


def test_help_is_shown_until_any_key(state: State) -> None:
    helping, _ = pressed(state, "?")
    assert helping.mode is Mode.HELP
    assert pressed(helping, "r") == (state, [])


@pytest.mark.parametrize("keys", [[], ["/"], ["?"], ["tab", "/", "x", "enter"]])
def test_ctrl_c_quits_and_ctrl_l_redraws_everywhere(state: State, keys: list[str]) -> None:
    state, _ = pressed(state, *keys)
    assert pressed(state, "ctrl-c")[1] == [do.Quit()]
    assert pressed(state, "ctrl-l") == (state, [do.Redraw()])


def test_the_rate_is_of_the_daemon_s_own_time(state: State) -> None:
    assert state.commits_per_second is None
    state = arrived(state, snapshot(commits=150, uptime_seconds=3702.0))
    assert state.commits_per_second == 25.0
    assert arrived(state, snapshot(commits=160, uptime_seconds=3702.1)).commits_per_second == 25.0
    assert arrived(state, snapshot(commits=9, uptime_seconds=9000.0, pid=6)).commits_per_second is None
    gone = on_screen.failed(state, "no daemon answers")
    assert (gone.offline, gone.commits_per_second) == ("no daemon answers", None)
    assert arrived(gone, snapshot()).offline is None


@given(st.integers(1, 200), st.integers(0, 50), st.booleans())
def test_the_layout_fills_the_screen_and_no_more(height: int, count: int, on_systems: bool) -> None:
    shared = lay_out(height, count, on_systems=on_systems)
    assert min(shared.systems, shared.actions, shared.page) >= 0
    assert shared.page == max(0, height - 2)
    if shared.is_full:
        assert shared.systems + shared.actions == height - 5
        assert min(shared.systems, shared.actions) >= 1
    else:
        assert shared.systems + shared.actions == max(0, height - 3)


@given(st.integers(0, 50), st.integers(1, 50), st.integers(1, 30))
def test_the_selected_row_is_seen(selected: int, total: int, rows: int) -> None:
    selected = min(selected, total - 1)
    first = first_row(selected, total, rows)
    assert first <= selected < first + rows
    assert 0 <= first <= max(0, total - rows)


def test_a_refusal_is_told_apart() -> None:
    refused = told(State(), "it is closed", refusal=True)
    assert (refused.is_refusal, pressed(refused, "j")[0].is_refusal) == (True, False)
