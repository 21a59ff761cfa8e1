"""The lifecycle in words, made from the table that decides it: the generated part of docs/lifecycle.md.

``python -m connectord.lifecycle.description docs/lifecycle.md`` rewrites that part and the picture beside the page;
with ``--check`` it only says, by exit code 1, that one of them is out of date.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from connectord.lifecycle.action import Action, State
from connectord.lifecycle.diagram import diagram_svg
from connectord.lifecycle.events import EVENTS, Event
from connectord.lifecycle.transitions import REFUSALS, TABLE, Row
from connectord.lifecycle.wording import state_label

BEGIN = "<!-- generated: connectord.lifecycle.description -->"
END = "<!-- end generated -->"
PICTURE = "assets/lifecycle.svg"
"""Where the picture lies, seen from the page."""


class MarkersMissing(ValueError):
    """The page has no generated part: the two marker comments are not there, once each and in order."""


def label(state: State) -> str:
    """The state as people see it; both labels where it has two."""
    plain, failed = (state_label(Action("", "", 0, state=state, error_at=at)) for at in (None, 0))
    return plain if plain == failed else f"{plain} / {failed}"


def event_words(event: type[Event]) -> str:
    """The event's name in words: ``ConnectionFailed`` is 'connection failed'."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", event.__name__).lower()


def changes() -> dict[tuple[State, State], list[Row]]:
    """Every change of state, with the rows of the table that make it."""
    found: dict[tuple[State, State], list[Row]] = {}
    for row in TABLE:
        if row.state is not row.to:
            found.setdefault((row.state, row.to), []).append(row)
    return found


def picture() -> str:
    """The states and their changes as SVG; each line says by which rules."""
    numbers = {change: _numbers(rows) for change, rows in changes().items()}
    words = {change: f"rule{'s' if len(rules) > 1 else ''} {', '.join(rules)}" for change, rules in numbers.items()}
    return diagram_svg({state: label(state) for state in State}, words)


def changes_markdown() -> str:
    """What the lines of the picture stand for, as a table."""
    rows = [
        (
            f"{label(start)} → {label(end)}",
            ", ".join(dict.fromkeys(event_words(row.event) for row in rows)),
            ", ".join(f"[{number}](#rule-{number})" for number in _numbers(rows)),
        )
        for (start, end), rows in changes().items()
    ]
    return _table(("change", "on", "rules"), rows)


def table_markdown() -> str:
    """Per state: a table of what can happen and what it comes to, and one of what is refused and why."""
    return "\n\n".join(_section(state) for state in State)


def render_page() -> str:
    """The whole generated part of docs/lifecycle.md, without its markers."""
    return f"{changes_markdown()}\n\n{table_markdown()}"


def replace_generated(page: str) -> str:
    """``page`` with its generated part made anew."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise MarkersMissing(f"the page needs '{BEGIN}' and, after it, '{END}', once each")
    return f"{before}{BEGIN}\n\n{render_page()}\n\n{END}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrite the page, or check it; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m connectord.lifecycle.description", description=__doc__)
    parser.add_argument("page", type=Path, help="the page with the generated part")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the page is out of date")
    options = parser.parse_args(arguments)
    try:
        page = options.page.read_text(encoding="utf-8")
        fresh = replace_generated(page)
        image = options.page.parent / PICTURE
        if options.check:
            drawn = image.read_text(encoding="utf-8") if image.exists() else ""
            return int((fresh, picture()) != (page, drawn))
        options.page.write_text(fresh, encoding="utf-8")
        image.parent.mkdir(exist_ok=True)
        image.write_text(picture(), encoding="utf-8")
    except (OSError, MarkersMissing) as error:
        parser.error(f"{options.page}: {error}")
    return 0


def _section(state: State) -> str:
    rows = [row for row in TABLE if row.state is state]
    possible = [
        (event_words(row.event), _condition(row, rows), _becomes(row), _rules(row.rules), _history(row))
        for event in EVENTS
        for row in rows
        if row.event is event
    ]
    refused = [(event_words(event), REFUSALS[state, event]) for event in EVENTS if (state, event) in REFUSALS]
    return "\n\n".join(
        (
            f"### {label(state)} (`{state}`)",
            _table(("on", "if", "becomes", "rule", "history"), possible),
            f"Refused while {label(state)}:",
            _table(("on", "because"), refused),
        )
    )


def _condition(row: Row, rows: Sequence[Row]) -> str:
    if row.when is not None:
        return " ".join((row.when.__doc__ or "").split())
    return "otherwise" if any(other.event is row.event and other.when is not None for other in rows) else ""


def _becomes(row: Row) -> str:
    return f"stays {label(row.to)}" if row.to is row.state else label(row.to)


def _numbers(rows: Sequence[Row]) -> list[str]:
    """The rules of the rows, each once, in their order."""
    numbers = {number for row in rows for number in row.rules.split(",")}
    return sorted(numbers, key=lambda number: (int(number.rstrip("abc")), number))


def _rules(rules: str) -> str:
    return ", ".join(f"[{number}](#rule-{number})" for number in rules.split(","))


def _history(row: Row) -> str:
    return row.why if row.history else f"- ({row.why})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    raise SystemExit(main())
