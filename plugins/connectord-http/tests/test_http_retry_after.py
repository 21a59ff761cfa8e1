"""Retry-After in both its forms, and what else may stand there."""

from __future__ import annotations

import pytest
from connectord_http.retry_after import LONGEST_SECONDS, parse_retry_after

NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT
EARLIER_BY_AN_HOUR = "Sun, 06 Nov 1994 07:49:37 GMT"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("604800", LONGEST_SECONDS),
        ("604801", LONGEST_SECONDS),
        ("9" * 64, LONGEST_SECONDS),
        ("Sun, 06 Nov 1994 08:51:37 GMT", 120.0),
        ("Sunday, 06-Nov-94 08:51:37 GMT", 120.0),
        ("Sun Nov  6 08:51:37 1994", 120.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
        ("Sun, 06 Nov 1994 08:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_SECONDS),
    ],
)
def test_wishes(value: str, seconds: float) -> None:
    assert parse_retry_after(value, date=None, now=NOW) == seconds


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "soon",
        "-5",
        "+5",
        "1.5",
        "1e3",
        "120, 120",
        "12 0",
        "0x10",
        "١٢",
        "9" * 65,
        "9" * 5_000,
        "nan",
        "inf",
        "Sun, 99 Nov 1994 08:51:37 GMT",
        "Sun, 06 Nov 99999 08:51:37 GMT",
        "Sun, 06 Nov 1994 08:51:37 +9999999",
    ],
)
def test_rubbish_is_ignored(value: str | None) -> None:
    assert parse_retry_after(value, date=None, now=NOW) is None


def test_a_date_counts_from_the_date_of_the_same_answer() -> None:
    assert parse_retry_after("Sun, 06 Nov 1994 07:51:37 GMT", date=EARLIER_BY_AN_HOUR, now=NOW) == 120.0


@pytest.mark.parametrize("date", ["", "yesterday", "9" * 100])
def test_a_date_counts_from_now_where_the_answers_own_is_rubbish(date: str) -> None:
    assert parse_retry_after("Sun, 06 Nov 1994 08:51:37 GMT", date=date, now=NOW) == 120.0


def test_seconds_need_no_clock() -> None:
    assert parse_retry_after("7", date=EARLIER_BY_AN_HOUR, now=0.0) == 7.0
