"""Both formats, in both directions."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest
from connectord.adapters import NO_REASON_GIVEN, Progress, Rejected, Response, Succeeded, call_document
from connectord.errors import InvalidCallback
from connectord_http import connectord_format, enate
from connectord_http.dialects import DIALECTS
from helpers.calls import make_call


def test_connectord_out() -> None:
    call = make_call(attempt=4, data=MappingProxyType({"amount": 12}))
    assert call_document(call) == {
        "action": {
            "id": "A-1",
            "system": "billing",
            "case": "C-1001",
            "owner": "ada",
            "attempt": 4,
            "submitted_at": "2026-11-24T12:00:00.000Z",
            "data": {"amount": 12},
            "case_data": {"vendor": "ACME"},
        },
        "callback_url": "https://connectord.example/callback/token",
    }


def test_connectord_out_without_a_callback_or_a_case() -> None:
    payload = call_document(make_call(callback_url=None, case_id=None, owner=None, case_data={}))
    assert payload["callback_url"] is None
    assert payload["action"]["case"] is None
    assert payload["action"]["owner"] is None
    assert payload["action"]["case_data"] == {}


@pytest.mark.parametrize(
    ("document", "response"),
    [
        ({"status": "success", "data": {"invoice_no": "R-17"}}, Succeeded({"invoice_no": "R-17"})),
        ({"status": "success"}, Succeeded({})),
        (
            {"status": "failure", "reason": "Vendor unknown", "data": {"a": 1}},
            Rejected("Vendor unknown", {"a": 1}),
        ),
        ({"status": "failure"}, Rejected(NO_REASON_GIVEN, {})),
    ],
)
def test_connectord_back(document: Any, response: Response) -> None:
    body = json.dumps(document).encode()
    assert connectord_format.read_callback(body) == response
    assert connectord_format.read_answer(body) == response


def test_a_heartbeat_is_a_callback_but_no_answer() -> None:
    body = b'{"status": "progress", "text": "halfway", "percent": 50}'
    assert connectord_format.read_callback(body) == Progress("halfway", 50.0)
    assert connectord_format.read_answer(body) is None


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"OK",
        b"<html>",
        b"{}",
        b"[]",
        b"null",
        b'"success"',
        b"\xff\xfe",
        b'{"status": "\xff"}',
        b'{"status": "accepted"}',
        b'{"status": "success", "data": []}',
        b'{"Success": "yes"}',
        b'{"Success": true, "DataFields": 1}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_response(dialect: Any, body: bytes) -> None:
    assert dialect.read_answer(body) is None
    with pytest.raises(InvalidCallback):
        dialect.read_callback(body)


STANDARD = {
    "GUID": "A-1",
    "Reference": "A-1",
    "Title": "billing",
    "ProcessType": "Action",
    "Status": "In Progress",
    "ResolutionMethod": None,
    "DueDate": None,
    "OwnerUser": "ada",
    "CurrentQueueName": None,
    "AssignedToUser": None,
    "RobotRejectedReason": None,
}


def test_enate_out() -> None:
    assert enate.build_payload(make_call()) == {
        "Action": {"vendor": "ACME", "amount": 12, **STANDARD},
        "CallBackURL": "https://connectord.example/callback/token",
    }


def test_enate_out_without_a_callback() -> None:
    assert enate.build_payload(make_call(callback_url=None))["CallBackURL"] is None


def test_enate_the_actions_data_wins_over_the_cases_and_the_standard_over_both() -> None:
    call = make_call(
        case_data={"amount": 1, "GUID": "case", "vendor": {"name": "ACME"}},
        data={"amount": 2, "Status": "Lost", "OwnerUser": "eve"},
    )
    assert enate.build_payload(call)["Action"] == {"amount": 2, "vendor": {"name": "ACME"}, **STANDARD}


@pytest.mark.parametrize(
    ("title", "shown"), [("Pay ACME", "Pay ACME"), ("", "billing"), (7, "billing"), (None, "billing")]
)
def test_enate_the_title_is_the_actions_or_the_systems(title: Any, shown: str) -> None:
    assert enate.build_payload(make_call(data={"title": title}))["Action"]["Title"] == shown


@pytest.mark.parametrize(
    ("document", "response"),
    [
        ({"Success": True, "DataFields": {"InvoiceNo": "R-17"}}, Succeeded({"InvoiceNo": "R-17"})),
        ({"Success": True}, Succeeded({})),
        ({"Success": True, "DataFields": None, "RobotRejectedReason": None, "More": 1}, Succeeded({})),
        (
            {"Success": False, "RobotRejectedReason": "Vendor unknown", "DataFields": {"a": 1}},
            Rejected("Vendor unknown", {"a": 1}),
        ),
        ({"Success": False}, Rejected(NO_REASON_GIVEN, {})),
        ({"Success": False, "RobotRejectedReason": ""}, Rejected(NO_REASON_GIVEN, {})),
        ({"Success": False, "RobotRejectedReason": None}, Rejected(NO_REASON_GIVEN, {})),
    ],
)
def test_enate_back(document: Any, response: Response) -> None:
    body = json.dumps(document).encode()
    assert enate.read_callback(body) == response
    assert enate.read_answer(body) == response
    assert enate.read_callback(b"\xef\xbb\xbf" + body) == response


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not JSON: Input data was truncated"),
        (b"{'Success': True}", "the body is not JSON: "),
        (b'{"Success": "\xff"}', "the body is not JSON: "),
        (b"[" * 100_000, "the body is not JSON: it is nested too deeply"),
        (b"[]", 'the body must be an object such as {"Success": true}, not an array'),
        (b"null", 'the body must be an object such as {"Success": true}, not null'),
        (b"{}", '"Success" is missing: true if the work was done, false if not'),
        (b'{"success": true}', '"Success" is missing'),
        (b'{"Success": "true"}', '"Success" must be true or false, not a string ("true")'),
        (b'{"Success": 1}', '"Success" must be true or false, not a number'),
        (b'{"Success": null}', '"Success" must be true or false, not null'),
        (b'{"Success": true, "DataFields": []}', '"DataFields" must be an object of names and values, not an array'),
        (b'{"Success": false, "DataFields": false}', '"DataFields" must be an object of names and values, not false'),
        (b'{"Success": false, "RobotRejectedReason": {}}', '"RobotRejectedReason" must be a string, not an object'),
    ],
)
def test_enate_says_what_is_wrong(body: bytes, message: str) -> None:
    with pytest.raises(InvalidCallback) as caught:
        enate.read_callback(body)
    assert message in str(caught.value)
