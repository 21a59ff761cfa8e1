"""docs/lifecycle.md says what the code does: its generated part is fresh, and every rule stands on it."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from connectord.lifecycle.action import State
from connectord.lifecycle.description import (
    BEGIN,
    END,
    PICTURE,
    MarkersMissing,
    changes,
    event_words,
    label,
    main,
    picture,
    replace_generated,
    table_markdown,
)
from connectord.lifecycle.diagram import ROUTES
from connectord.lifecycle.events import EVENTS, ConnectionFailed
from connectord.lifecycle.policy import RetryPolicy
from connectord.lifecycle.retry import retry_delay_ms
from connectord.lifecycle.transitions import REFUSALS, TABLE

PAGE = Path(__file__).parents[2] / "docs" / "lifecycle.md"


def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_generated_part_is_fresh() -> None:
    assert replace_generated(page()) == page(), (
        f"run: python -m connectord.lifecycle.description {PAGE.relative_to(PAGE.parents[1])}"
    )


@pytest.mark.parametrize("number", range(1, 22))
def test_each_rule_stands_on_the_page(number: int) -> None:
    by_hand = page().partition(BEGIN)[0]
    assert re.search(rf'^{number}\. <a id="rule-{number}"></a>\*\*', by_hand, re.MULTILINE)


@pytest.mark.parametrize("part", ["10a", "10b", "10c"])
def test_each_part_of_rule_10_stands_on_the_page(part: str) -> None:
    assert f'<a id="rule-{part}"></a>**{part}.**' in page()


def test_every_link_has_its_anchor_once() -> None:
    anchors = re.findall(r'<a id="([^"]+)"></a>', page())
    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r"\(#(rule-[^)]+)\)", page())) <= set(anchors)


def test_the_example_schedule_is_the_one_of_the_defaults() -> None:
    delays = [int(found) for found in re.findall(r"^\| \d \| 12:0\d:\d\d \| (\d+) s \|$", page(), re.MULTILINE)]
    policy = RetryPolicy()
    assert delays == [retry_delay_ms(policy, step, 0.0) // 1000 for step in range(policy.limit - 1)]


def test_every_row_and_refusal_is_in_the_tables() -> None:
    tables = table_markdown()
    cells = [line.split(" | ") for line in tables.splitlines() if line.startswith("|")]
    content = [line for line in cells if line[0] not in ("| on", "| ---")]
    assert len(content) == len(TABLE) + len(REFUSALS)
    for why in {row.why for row in TABLE} | set(REFUSALS.values()):
        assert why in tables
    for event in EVENTS:
        assert f"| {event_words(event)} |" in tables


def test_the_picture_is_fresh() -> None:
    assert (PAGE.parent / PICTURE).read_text(encoding="utf-8") == picture()
    assert f"]({PICTURE})" in page()


def test_the_picture_has_every_change_of_state_once_and_is_xml() -> None:
    assert set(ROUTES) == set(changes()) == {(row.state, row.to) for row in TABLE if row.state is not row.to}
    lines = ElementTree.fromstring(picture()).findall("{*}path[@marker-end]")  # noqa: S314 - our own
    assert len({line.get("d") for line in lines}) == len(lines) == len(ROUTES) + 1


def test_labels_and_event_names_are_words() -> None:
    assert [label(state) for state in State] == [
        "Pending / Retrying",
        "Connecting",
        "Waiting",
        "To Do",
        "In Progress",
        "Closed",
    ]
    assert event_words(ConnectionFailed) == "connection failed"


def test_the_command_checks_and_rewrites(tmp_path: Path) -> None:
    copy = tmp_path / "page.md"
    copy.write_text(f"before\n{BEGIN}\nstale\n{END}\nafter\n", encoding="utf-8")
    assert main([str(copy), "--check"]) == 1
    assert "stale" in copy.read_text(encoding="utf-8")
    assert main([str(copy)]) == 0
    assert main([str(copy), "--check"]) == 0
    (tmp_path / PICTURE).write_text("<svg/>")
    assert main([str(copy), "--check"]) == 1
    text = copy.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert table_markdown() in text


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}", f"{BEGIN}{END}{END}"])
def test_a_page_without_its_markers_is_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MarkersMissing):
        replace_generated(text)
    copy = tmp_path / "page.md"
    copy.write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit, match="2"):
        main([str(copy)])
    assert "once each" in capsys.readouterr().err
    assert copy.read_text(encoding="utf-8") == text
