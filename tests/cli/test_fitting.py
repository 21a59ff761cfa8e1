"""Tables fit the terminal, whatever stands in them; into a pipe nothing is cut."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest
from connectord.cli.fitting import cell_width, cut, pad
from connectord.cli.rendering import action_table, system_table, table
from hypothesis import given
from hypothesis import strategies as st

ID = "01M86QD5A8YA61ZCBW4E8C34PF"
ACTION = {
    "id": ID, "system": "billing", "case": "C-1001-" + "x" * 60, "state": "closed", "attempts": 4, "retry_limit": 5,
    "resolution": "not_done_successfully", "due_at": "2026-11-24T12:08:11.120Z",
}  # fmt: skip
SYSTEM = {
    "name": "請求書発行システム", "adapter": "http", "state": "running", "health": "failing", "pending": 12,
    "waiting": 3, "todo": 1, "in_flight": 4, "concurrency": 16, "retry_limit": 5,
    "last_error": "接続が拒否されました " * 8,
}  # fmt: skip


@pytest.mark.parametrize("columns", [80, 120, 200])
def test_tables_fit(columns: int) -> None:
    from connectord.cli import fitting

    for text in (
        table(("ID", "SYSTEM", "CASE", "STATE", "ATTEMPTS", "DUE"), [_cells(ACTION)], columns),
        table(("SYSTEM", "HEALTH", "PENDING", "LAST ERROR"), [("請求書" * 9, "failing", 3, "接続 " * 40)], columns),
    ):
        for line in text.splitlines():
            assert fitting.cell_width(line) <= columns, line


def _cells(action: dict[str, object]) -> list[object]:
    closed = "Closed - Not Done Successfully"
    return [action["id"], action["system"], action["case"], closed, "4 of 5", action["due_at"]]


def test_ids_stay_whole_and_times_lose_their_fractions_first() -> None:
    heading, line = table(("ID", "CASE", "DUE"), [(ID, "C-1", "2026-11-24T12:08:11.120Z")], 55).splitlines()
    assert line == f"{ID}  C-1   2026-11-24 12:08:11"
    assert len(heading) < len(line)
    _, line = table(("ID", "CASE", "DUE"), [(ID, "C" * 80, "2026-11-24T12:08:11.120Z")], 60).splitlines()
    assert line == f"{ID}  CCCCCCCCCC…  2026-11-24 12:08:11"
    _, line = table(("ID", "CASE", "DUE"), [(ID, "C" * 80, "2026-11-24T12:08:11.120Z")], 54).splitlines()
    assert line == f"{ID}  CCCCCCC…  11-24 12:08:11"
    # nothing useful is left out even where a line is too long then
    _, line = table(("ID", "CASE", "DUE"), [(ID, "C" * 80, "2026-11-24T12:08:11.120Z")], 20).splitlines()
    assert ID in line


def test_without_a_terminal_nothing_is_cut() -> None:
    assert str(ACTION["case"]) in action_table([ACTION])
    assert str(SYSTEM["last_error"]).strip() in system_table([SYSTEM])


def test_wide_characters_take_two_columns_and_combining_ones_none() -> None:
    assert [cell_width(text) for text in ("abc", "請求", "e\u0301", "")] == [3, 4, 1, 0]
    assert pad("請求", 6) == "請求  "
    assert cut("請求書", 5) == "請求…"
    assert cut("請求書", 4) == "請…"
    assert cut("請求書", 6) == "請求書"


@given(st.lists(st.tuples(st.text(), st.text(), st.text()), max_size=5), st.integers(50, 200))
def test_any_text_fits(rows: list[tuple[str, str, str]], columns: int) -> None:
    text = table(("ONE", "TWO", "THREE"), rows, columns)
    assert len(text.split("\n")) == len(rows) + 1
    assert all(cell_width(line) <= columns for line in text.split("\n"))


@pytest.mark.parametrize(("columns", "whole"), [(60, False), (200, True)])
def test_the_terminal_is_asked(columns: int, whole: bool) -> None:
    program = "from connectord.cli.rendering import table; print(table(('ID', 'B'), [('i' * 20, 'b' * 90)]))"
    assert _on_a_terminal(program, columns).count("b") == (90 if whole else 37)


def _on_a_terminal(program: str, columns: int) -> str:
    """What a Python program prints on a terminal of that width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environ = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run([sys.executable, "-c", program], stdout=theirs, env=environ, check=True, timeout=30)
    os.close(theirs)
    told = b""
    while True:
        try:
            chunk = os.read(ours, 4096)
        except OSError:
            break  # the other end is closed
        if not chunk:
            break
        told += chunk
    os.close(ours)
    assert done.returncode == 0
    return told.decode()
