"""docs/people.md says what is so: its examples load, its commands exist, its screens are what is printed."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from connectord.cli.queues import queues_text
from connectord.config import load_config
from connectord.config.conditions import compile_expression
from connectord.lifecycle.action import Reason
from connectord.lifecycle.wording import reason_label
from connectord_http.adapter import HttpAdapter

PAGE = (Path(__file__).parent.parent / "docs" / "people.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (connectorctl .*|connectord .*)$", PAGE, re.MULTILINE)
EXAMPLES = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def queue(name: str, todo: int, in_progress: int, *oldest: object, description: str | None = None) -> dict[str, object]:
    at, seconds = oldest or (None, None)
    return {
        "name": name,
        "known": True,
        "description": description,
        "todo": todo,
        "in_progress": in_progress,
        "oldest_at": at,
        "oldest_seconds": seconds,
    }


@pytest.mark.parametrize("number", range(3))
def test_the_configurations_load(number: int, tmp_path: Path) -> None:
    assert len(EXAMPLES) == 3
    file = tmp_path / "connectord.toml"
    file.write_text(EXAMPLES[number], encoding="utf-8")
    config = load_config(file, adapters={"http": HttpAdapter}, environ={})
    # an example that says nothing about people would be a mistake of the page
    assert len(config.queues) > 1


def test_every_way_to_match_and_to_assign_is_shown() -> None:
    whole = "\n".join(EXAMPLES)
    for key in ("reason", "system", "owner", "when", "queue", "group", "to_owner"):
        assert re.search(rf"^{key} = ", whole, re.MULTILINE), key
    for key in ("queue", "user", "to_owner", "group", "reason", "system", "owner", "when"):
        assert re.search(rf"^\| `{key}\b", PAGE, re.MULTILINE), key
    for reason in Reason:
        assert f"| {reason_label(reason)}" in PAGE


def test_every_command_for_people_is_shown() -> None:
    shown = {shlex.split(line, comments=True)[1] for line in COMMANDS}
    assert {"queues", "list", "show", "take", "release", "assign", "complete", "cancel", "rerun"} <= shown


def test_the_conditions_match_the_document_that_is_shown() -> None:
    (document,) = [json.loads(text) for text in re.findall(r"^```json\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)]
    table = PAGE[PAGE.index("| expression |") :].split("\n\n", 1)[0].splitlines()[2:]
    expressions = [re.split(r"`` \||` \|", line.lstrip("| `"))[0].strip() for line in table]
    assert len(expressions) == 6
    for expression in expressions:
        assert compile_expression(expression, "the page").matches(document), expression


def test_the_screen_of_queues_is_what_is_printed() -> None:
    result = {
        "queues": [
            queue("default", 0, 0),
            queue(
                "billing-exceptions",
                3,
                1,
                "2026-11-24T09:55:00.000Z",
                7_500.2,
                description="what billing would not take",
            ),
            queue("seniors", 2, 1, "2026-11-24T11:59:20.000Z", 40),
        ],
        "people": [
            {
                "user": "anna",
                "todo": 1,
                "in_progress": 0,
                "oldest_at": "2026-11-24T11:59:20.000Z",
                "oldest_seconds": 40,
            },
            {"user": "ben", "todo": 1, "in_progress": 2, "oldest_at": "2026-11-24T11:59:30.000Z", "oldest_seconds": 30},
        ],
    }
    screen = "\n".join(f"    {line}".rstrip() for line in queues_text(result).splitlines())
    assert f"<!-- queues -->\n{screen}\n" in PAGE
