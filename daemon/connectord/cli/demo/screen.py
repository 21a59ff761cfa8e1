"""Where the demo shows what happens: plain lines, or a live screen on a terminal."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from connectord.cli.rendering import attempts_text, state_label

_STYLES = {"closed": "green", "todo": "yellow", "pending": "cyan", "waiting": "blue", "in_progress": "magenta"}


@dataclass(frozen=True, slots=True)
class Check:
    """One rule seen, and whether it came out as expected."""

    rule: str
    says: str
    ok: bool


class PlainScreen:
    """Prints a line as soon as something is known."""

    def __init__(self) -> None:
        self.checks: list[Check] = []
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """Tell what happens now."""
        print(f"{time.monotonic() - self._started:5.1f}s  {text}", flush=True)

    def show(self, actions: list[dict[str, Any]]) -> None:
        """The actions as they are now."""

    def check(self, rule: str, says: str, *, ok: bool) -> None:
        """Record that a rule was seen."""
        self.checks.append(Check(rule, says, ok))
        self.say(f"rule {rule:>3}  {'as expected' if ok else 'NOT AS EXPECTED'}: {says}")

    def finish(self) -> int:
        """Print the table of what happened by rule; the exit code."""
        failed = [check for check in self.checks if not check.ok]
        print(f"\n{'RULE':<6}{'OUTCOME':<17}WHAT HAPPENED")
        for check in sorted(self.checks, key=_order):
            print(f"{check.rule:<6}{'as expected' if check.ok else 'NOT AS EXPECTED':<17}{check.says}")
        print(f"\n{len(self.checks) - len(failed)} as expected, {len(failed)} not")
        return 1 if failed else 0


class LiveScreen(PlainScreen):
    """The cards change in front of one's eyes."""

    def __init__(self) -> None:
        super().__init__()
        self._console = Console()
        self._lines: list[str] = []
        self._actions: list[dict[str, Any]] = []
        self._live = Live(console=self._console, auto_refresh=False)
        self._live.start()

    def say(self, text: str) -> None:
        self._lines = [*self._lines[-7:], f"{time.monotonic() - self._started:5.1f}s  {text}"]
        self._draw()

    def show(self, actions: list[dict[str, Any]]) -> None:
        self._actions = actions
        self._draw()

    def finish(self) -> int:
        self._live.stop()
        return super().finish()

    def _draw(self) -> None:
        table = Table(title="connectord demo", expand=True)
        for column in ("action", "system", "case", "state", "attempts", "what is known"):
            table.add_column(column, no_wrap=True, overflow="ellipsis")
        for action in self._actions[:16]:
            error = action["connection_error"]
            known = action["rejected_reason"] or (error["text"].replace("\n", " ") if error else "")
            bad = action["resolution"] == "not_done_successfully"
            style = "red" if bad else _STYLES.get(action["state"], "white")
            row = [f"…{action['id'][-6:]}", action["system"], action["case"] or ""]
            table.add_row(*row, Text(state_label(action), style=style), attempts_text(action), known)
        self._live.update(Group(table, *[Text(line) for line in self._lines]), refresh=True)


def _order(check: Check) -> tuple[int, str]:
    digits = "".join(character for character in check.rule if character.isdigit())
    return (int(digits) if digits else 99, check.rule)
