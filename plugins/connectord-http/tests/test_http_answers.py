"""Rule 12, one status after the other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from connectord.adapters import NotConnected, Outcome, Rejected, Succeeded, Taken
from connectord_http.answers import Answer, judge
from connectord_http.dialects import DIALECTS

NOW = 784_111_777.0


def outcome(status: int, body: Any = b"", *, dialect: str = "connectord", **headers: str) -> Outcome:
    if isinstance(body, dict):
        body = json.dumps(body).encode()
    wire = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return judge(Answer(status, wire, body), DIALECTS[dialect], now=NOW)


@pytest.mark.parametrize("body", [b"", b"no", None, b'{"status": "success"}'])
def test_every_status_falls_into_its_class(body: bytes | None) -> None:
    for status in range(100, 1000):
        if 200 <= status < 300:
            assert isinstance(outcome(status, body), Succeeded if body and b"success" in body else Taken)
        elif 300 <= status < 500 and status not in (408, 425, 429):
            assert isinstance(outcome(status, body), Rejected)
        else:
            with pytest.raises(NotConnected, match=f"^HTTP {status}"):
                outcome(status, body)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (408, "HTTP 408 Request Timeout"),
        (425, "HTTP 425 Too Early"),
        (429, "HTTP 429 Too Many Requests"),
        (500, "HTTP 500 Internal Server Error"),
        (501, "HTTP 501 Not Implemented"),
        (502, "HTTP 502 Bad Gateway"),
        (503, "HTTP 503 Service Unavailable"),
        (504, "HTTP 504 Gateway Timeout"),
        (507, "HTTP 507 Insufficient Storage"),
        (599, "HTTP 599"),
        (700, "HTTP 700"),
        (101, "HTTP 101 Switching Protocols"),
    ],
)
def test_not_now(status: int, message: str) -> None:
    with pytest.raises(NotConnected) as caught:
        outcome(status, {"detail": "never mind"})
    assert str(caught.value) == message
    assert caught.value.retry_after_seconds is None


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "120"}, 120.0),
        ({"retry_after": "Sun, 06 Nov 1994 08:51:37 GMT"}, 120.0),
        ({"retry_after": "Sun, 06 Nov 1994 07:51:37 GMT", "date": "Sun, 06 Nov 1994 07:49:37 GMT"}, 120.0),
        ({"retry_after": "rubbish"}, None),
    ],
)
def test_not_now_but_then(status: int, headers: dict[str, str], seconds: float | None) -> None:
    with pytest.raises(NotConnected) as caught:
        outcome(status, **headers)
    assert caught.value.retry_after_seconds == seconds


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("body", "reference"),
    [
        (b"", None),
        (b"OK", None),
        (b"\xff", None),
        ({}, None),
        ({"id": "job-7"}, "job-7"),
        ({"reference": "job-7"}, "job-7"),
        ({"id": 7, "reference": "job-7"}, "job-7"),
        ({"id": "", "reference": "job-7"}, "job-7"),
        ({"id": "job-7", "reference": "other"}, "job-7"),
        ({"id": 7}, None),
        ({"id": "x" * 600}, "x" * 600),  # a piece of it would be another one's
        ({"id": "x" * 4_097}, None),
        ({"status": "progress", "percent": 5, "id": "job-7"}, "job-7"),
        (None, None),
    ],
)
def test_taken(dialect: str, body: Any, reference: str | None) -> None:
    assert outcome(202, body, dialect=dialect) == Taken(reference)


def test_an_answer_may_be_the_response_at_once() -> None:
    assert outcome(200, {"status": "success", "data": {"a": 1}}) == Succeeded({"a": 1})
    assert outcome(200, {"status": "failure", "reason": "no", "data": {"a": 1}}) == Rejected("no", {"a": 1})
    assert outcome(201, {"Success": True, "DataFields": {"a": 1}}, dialect="enate") == Succeeded({"a": 1})
    assert outcome(201, {"Success": False, "RobotRejectedReason": "no"}, dialect="enate") == Rejected("no")


def test_one_dialects_response_is_nothing_to_the_other() -> None:
    assert outcome(200, {"status": "success"}, dialect="enate") == Taken()
    assert outcome(200, {"Success": True}) == Taken()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"type": "about:blank", "title": "Bad", "detail": "Vendor unknown"}, "Vendor unknown"),
        ({"reason": "Vendor unknown"}, "Vendor unknown"),
        ({"error": "Vendor unknown"}, "Vendor unknown"),
        ({"message": "Vendor unknown"}, "Vendor unknown"),
        ({"message": "4", "error": "3", "reason": "2", "detail": "1"}, "1"),
        ({"message": "4", "error": "3", "reason": "2", "detail": " "}, "2"),
        ({"message": "4", "error": {"code": 3}, "reason": None, "detail": ["x"]}, "4"),
        ({"detail": "x" * 501}, "x" * 500),
        ({"error": {"code": 3}}, '{"error": {"code": 3}}'),
        (b'["no"]', '["no"]'),
        (b"Vendor unknown\r\n", "Vendor unknown"),
        ("<p>Unbekannt: Müller</p>".encode(), "<p>Unbekannt: Müller</p>"),
        (b"x" * 501, "x" * 500),
        ("ü".encode() * 501, "ü" * 500),
        (b"caf\xe9", "caf\N{REPLACEMENT CHARACTER}"),
        (b"\x1b[31mred\x00", "[31mred"),
        (b"one\ntwo", "one\ntwo"),
        (b"", "HTTP 404 Not Found"),
        (b" \n\0 ", "HTTP 404 Not Found"),
        (None, "HTTP 404 Not Found"),
    ],
)
def test_the_reason_of_a_refusal(body: Any, reason: str) -> None:
    assert outcome(404, body) == Rejected(reason)


def test_a_refusal_without_a_name_or_a_reason() -> None:
    assert outcome(499) == Rejected("HTTP 499")


def test_enate_has_a_place_of_its_own_for_the_reason() -> None:
    body = {"Success": False, "RobotRejectedReason": "Vendor unknown", "message": "Bad Request"}
    assert outcome(400, body, dialect="enate") == Rejected("Vendor unknown")
    assert outcome(400, body) == Rejected("Bad Request")


@pytest.mark.parametrize(
    ("status", "headers", "reason"),
    [
        (302, {"location": "/elsewhere"}, "HTTP 302 Found to /elsewhere: redirects are not followed"),
        (308, {}, "HTTP 308 Permanent Redirect: redirects are not followed"),
        (304, {"location": "\x1b[0m"}, "HTTP 304 Not Modified to [0m: redirects are not followed"),
    ],
)
def test_redirects_are_refusals(status: int, headers: dict[str, str], reason: str) -> None:
    assert outcome(status, {"detail": "not this"}, **headers) == Rejected(reason)
