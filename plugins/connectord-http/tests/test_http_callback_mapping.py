"""Callbacks in a foreign format."""

from __future__ import annotations

from typing import Any

import pytest
from connectord.adapters import (
    NO_REASON_GIVEN,
    CallbackRequest,
    InvalidCallback,
    Progress,
    Rejected,
    Response,
    Succeeded,
)
from helpers.http_adapter import make_adapter

MAPPING: dict[str, Any] = {
    "success_when": 'body.state == "FINISHED"',
    "failure_when": 'body.state == "FAILED" || headers["x-event"] == "failed"',
    "progress_when": 'body.state == "RUNNING"',
    "data": {"no": {"expr": "body.result.no"}},
    "reason": {"expr": "body.fault.text"},
    "text": {"expr": "body.step"},
    "percent": {"expr": "body.percent"},
}


def read(body: bytes, *, headers: dict[str, str] | None = None, **changes: Any) -> Response:
    adapter = make_adapter("http://billing.internal", callback={**MAPPING, **changes})
    return adapter.read_callback(CallbackRequest("A-1", {"x-event": "job", **(headers or {})}, body))


def refusal(body: bytes, **changes: Any) -> str:
    with pytest.raises(InvalidCallback) as refused:
        read(body, **changes)
    return str(refused.value)


def test_success() -> None:
    assert read(b'{"state": "FINISHED", "result": {"no": "R-17"}}') == Succeeded({"no": "R-17"})


def test_failure() -> None:
    assert read(b'{"state": "FAILED", "fault": {"text": "no vendor"}}', data=None) == Rejected("no vendor")
    assert read(b'{"state": "FAILED"}') == Rejected(NO_REASON_GIVEN, {"no": None})


def test_failure_by_a_header_comes_first() -> None:
    assert isinstance(read(b'{"state": "FINISHED"}', headers={"x-event": "failed"}), Rejected)


def test_progress() -> None:
    assert read(b'{"state": "RUNNING", "step": "booking", "percent": 40}') == Progress("booking", 40.0)
    assert read(b'{"state": "RUNNING"}') == Progress(None, None)


@pytest.mark.parametrize("percent", [b'"40"', b"101", b"-1", b"true", b"[]"])
def test_a_percentage_that_is_none(percent: bytes) -> None:
    assert "percent is no number from 0 to 100" in refusal(b'{"state": "RUNNING", "percent": ' + percent + b"}")


def test_what_is_none_of_the_three() -> None:
    assert refusal(b'{"state": "QUEUED"}').startswith("the body is neither a success nor a failure nor progress")


def test_a_condition_that_fails_tells_the_developer() -> None:
    assert refusal(b"{}") == "the body does not fit: failure_when could not be evaluated: there is no 'state'"
    assert "failure_when could not be evaluated" in refusal(b"[1]")
    assert "neither true nor false" in refusal(b"{}", failure_when="body")


def test_a_value_that_fails_tells_the_developer() -> None:
    message = refusal(b'{"state": "FINISHED", "result": 1}', data={"expr": "body.result"})
    assert message == "the body does not fit: data is a number; custom data is an object"


@pytest.mark.parametrize("body", [b"", b"state=FINISHED", b"\xff", b"[" * 100_000])
def test_what_is_no_json(body: bytes) -> None:
    assert refusal(body).startswith("the body is not JSON: ")
