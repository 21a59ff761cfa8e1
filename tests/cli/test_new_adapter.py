"""``connectord new-adapter``: what it writes is good at once, and bad names are refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from connectord.cli.daemon import main
from connectord.cli.new_adapter.names import LONGEST_NAME

LONGEST = "a" + "-1" * ((LONGEST_NAME - 1) // 2)


def new_adapter(name: str, parent: Path) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["new-adapter", name, "--directory", str(parent)])
    return result.exit_code, result.output


def run(directory: Path, *command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=directory, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_tests_pass_at_once_and_ruff_and_mypy_are_content(tmp_path: Path) -> None:
    code, output = new_adapter("parcel-desk", tmp_path)
    assert (code, output.splitlines()[0]) == (0, str(tmp_path / "connectord-parcel-desk"))
    directory = tmp_path / "connectord-parcel-desk"
    run(directory, "ruff", "check", ".")
    run(directory, "ruff", "format", "--check", ".")
    run(directory, "mypy")
    run(directory, "pytest", "-q")


@pytest.mark.parametrize("name", ["x", LONGEST, "a" * LONGEST_NAME])
def test_names_of_any_length_fit_the_templates(tmp_path: Path, name: str) -> None:
    assert new_adapter(name, tmp_path)[0] == 0
    left = [file for file in tmp_path.rglob("*") if file.is_file() and "@NAME@" in file.read_text()]
    assert left == []
    run(tmp_path, "ruff", "check", ".")
    run(tmp_path, "ruff", "format", "--check", ".")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "is no name for an adapter"),
        ("Parcel", "small letters"),
        ("parcel_desk", "single hyphens"),
        ("parcel--desk", "single hyphens"),
        ("-parcel", "beginning with a letter"),
        ("9lives", "beginning with a letter"),
        ("../parcel", "is no name"),
        ("päckchen", "is no name"),
        ("a" * (LONGEST_NAME + 1), "at most 30 characters"),
        ("http", "is taken by connectord's own adapter connectord-http"),
        ("poll", "is reserved"),
        ("attempt-timeout", "is reserved"),
        ("schema", "is reserved"),
        ("connectord-parcel", "leave connectord- out: connectord new-adapter parcel"),
    ],
)
def test_bad_names_are_refused_and_nothing_is_written(tmp_path: Path, name: str, words: str) -> None:
    runner = CliRunner()
    result = runner.invoke(main, ["new-adapter", "--directory", str(tmp_path), "--", name])
    assert result.exit_code == 1
    assert words in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "connectord-parcel").mkdir()
    code, output = new_adapter("parcel", tmp_path)
    assert code == 1
    assert "is there already" in output
    assert list((tmp_path / "connectord-parcel").iterdir()) == []


def test_a_place_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, output = new_adapter("parcel", tmp_path / "file" / "below")
    assert code == 1
    assert "cannot be made" in output
