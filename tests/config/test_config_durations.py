from __future__ import annotations

import pytest
from connectord.config import format_duration, parse_duration
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("0s", 0),
        ("0ms", 0),
        ("1ms", 1),
        ("250ms", 250),
        ("1s", 1_000),
        ("1.5s", 1_500),
        ("0.001s", 1),
        ("90s", 90_000),
        ("2m", 120_000),
        ("0.5m", 30_000),
        ("4h", 14_400_000),
        ("1d", 86_400_000),
        ("3650d", 315_360_000_000),
        ("007s", 7_000),
        ("0.1h", 360_000),
    ],
)
def test_a_number_and_a_unit(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize(
    ("text", "lesson"),
    [
        ("", "write a number and one of"),
        ("30", 'the unit is missing; "30s"'),
        ("1.5", 'the unit is missing; "1.5s"'),
        ("-5s", "cannot be negative"),
        ("1m30s", "use one unit only"),
        ("30 s", 'write "30s"'),
        (" 30s", 'write "30s"'),
        ("30S", 'write "30s"'),
        ("30s\n", 'write "30s"'),
        ("30 sec", "write a number and one of"),
        ("1w", "write a number and one of"),
        ("s", "write a number and one of"),
        (".5s", "write a number and one of"),
        ("1.s", "write a number and one of"),
        ("1e3s", "write a number and one of"),
        ("٣s", "write a number and one of"),
        ("inf", "write a number and one of"),
        ("1.5ms", "not a whole number of milliseconds"),
        ("0.0001s", "not a whole number of milliseconds"),
        ("9" * 5_000 + "s", "write a number and one of"),
    ],
)
def test_anything_else_is_refused_with_how_to_write_it(text: str, lesson: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_duration(text)
    assert lesson in str(refused.value)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0s"),
        (1, "1ms"),
        (100, "100ms"),
        (1_000, "1s"),
        (1_500, "1.5s"),
        (10_001, "10001ms"),
        (60_000, "1m"),
        (90_000, "90s"),
        (5_400_000, "90m"),
        (14_400_000, "4h"),
        (86_400_000, "1d"),
        (129_600_000, "36h"),
        (315_360_000_000, "3650d"),
    ],
)
def test_the_shortest_exact_form(milliseconds: int, text: str) -> None:
    assert format_duration(milliseconds) == text


def test_no_negative_duration_is_formatted() -> None:
    with pytest.raises(ValueError, match="0 or more, not -1"):
        format_duration(-1)


@given(st.integers(min_value=0, max_value=10**15))
def test_what_is_formatted_is_read_back_exactly(milliseconds: int) -> None:
    text = format_duration(milliseconds)
    assert parse_duration(text) == milliseconds
    assert len(text) <= len(f"{milliseconds}ms")
