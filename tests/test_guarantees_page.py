"""Every test that the page of guarantees names is there."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "guarantees.md").read_text(encoding="utf-8")
MAKEFILE = (TESTS.parent / "Makefile").read_text(encoding="utf-8")
NAMED = re.findall(r"`([\w/.-]+\.py)::(\w+)`", PAGE)


def test_every_test_that_is_named_exists() -> None:
    assert len(NAMED) > 20
    for file, name in NAMED:
        text = (TESTS / file).read_text(encoding="utf-8")
        assert re.search(rf"^(async )?def {name}\(", text, re.M), f"{file} has no {name}"


def test_every_file_of_tests_that_is_named_exists() -> None:
    files = re.findall(r"`tests/([\w/.-]+\.py)`", PAGE)
    assert files
    assert [file for file in files if not (TESTS / file).exists()] == []


def test_every_promise_names_a_test() -> None:
    promises = PAGE.partition("## How it is proved")[0]
    for line in promises.splitlines():
        if line.startswith("| ") and line.count("|") == 3 and not line.startswith(("| promise", "| ---")):
            assert re.search(r"`[\w/.-]+\.py::\w+`", line), line


def test_every_make_target_that_is_named_exists() -> None:
    for target in set(re.findall(r"`make ([\w-]+)", PAGE)):
        assert re.search(rf"^{target}:", MAKEFILE, re.M), target
