"""docs/testing-adapters.md has every public name, every section of the kit, and everything that can be set."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import connectord.testing
import pytest
from connectord.testing.conformance.base import ConformanceBase
from connectord.testing.conformance.report import SECTIONS, grade

PAGE = (Path(__file__).parents[2] / "docs" / "testing-adapters.md").read_text(encoding="utf-8")
CODE = " ".join(re.findall(r"`([^`\n]+)`", PAGE)) + " ".join(re.findall(r"```python\n(.*?)```", PAGE, re.S))


@pytest.mark.parametrize("name", connectord.testing.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    assert getattr(connectord.testing, name) is not None
    assert re.search(rf"\b{name}\b", CODE), name


def test_names_that_do_not_exist_are_told() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = connectord.testing.nothing
    assert dir(connectord.testing) == connectord.testing.__all__


def test_every_section_and_everything_that_can_be_set_is_documented() -> None:
    for words in SECTIONS.values():
        assert f"| {words} |" in PAGE
    public = [name for name in vars(ConformanceBase) if not name.startswith("_")]
    for name in [*public, *ConformanceBase.__annotations__]:
        assert re.search(rf"\b{name}\b", CODE), name


def test_the_examples_are_python() -> None:
    for source in re.findall(r"```python\n(.*?)```", PAGE, re.S):
        ast.parse(source)


def test_a_fake_system_does_not_load_pytest() -> None:
    check = "import sys, connectord.testing; connectord.testing.FakeSystem; assert 'pytest' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("failed", "expected"),
    [
        ([], "A"),
        (["secrets"], "B"),
        (["secrets", "settings"], "C"),
        (["broken peers"], "D"),
        (["broken peers", "secrets"], "D"),
        (["broken peers", "cancellation"], "F"),
    ],
)
def test_grades(failed: list[str], expected: str) -> None:
    counts = {name: {"failed": 1} if name in failed else {"passed": 1, "skipped": 2} for name in SECTIONS}
    assert grade(counts)[0] == expected


def test_what_was_not_run_is_no_grade() -> None:
    assert grade({"settings": {"passed": 1}})[0] == "incomplete"
