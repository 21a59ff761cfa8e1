"""What a request is made of, as a real server sees it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from connectord.adapters import Outcome, Rejected, Taken
from helpers.calls import make_call
from helpers.http_adapter import Recorder, adapter_for
from helpers.http_server import Request, serve


async def send(path: str = "/jobs", *, call: dict[str, Any] | None = None, **settings: Any) -> tuple[Request, Outcome]:
    seen = Recorder()
    async with serve(seen) as url, adapter_for(f"{url}{path}", **settings) as adapter:
        outcome = await adapter.trigger(make_call(**(call or {})))
    return seen.only, outcome


async def refused(path: str = "/jobs", *, call: dict[str, Any] | None = None, **settings: Any) -> str:
    seen = Recorder()
    async with serve(seen) as url, adapter_for(f"{url}{path}", **settings) as adapter:
        outcome = await adapter.trigger(make_call(**(call or {})))
    assert seen.requests == []
    assert isinstance(outcome, Rejected)
    assert outcome.reason.startswith("no request could be made of the action: ")
    return outcome.reason.partition(": ")[2]


async def test_everything_mapped_at_once() -> None:
    request, outcome = await send(
        "/tenants/{action.data.tenant}/jobs/{action.id}?v=1",
        call={"data": {"tenant": "a/b ü?#&=+", "lines": [1, 2], "net": 1.5, "urgent": True}},
        method="PUT",
        query={
            "lang": "de",
            "net": {"expr": "action.data.net"},
            "line": {"expr": "action.data.lines"},
            "urgent": {"expr": "action.data.urgent"},
            "none": {"expr": "action.data.nothing"},
            "a&b": "c=d",
        },
        headers={"X-Case": {"expr": "action.case"}, "X-None": {"expr": "action.data.nothing"}, "X-Fixed": "1"},
        body={
            "number": {"expr": "action.id"},
            "kind": "invoice",
            "callback": {"expr": "callback_url"},
            "lines": [{"expr": "action.data.lines[0]"}, {"deep": {"expr": "action.case_data.vendor"}}, True, 7],
        },
    )
    assert outcome == Taken()
    assert request.method == "PUT"
    target = urlsplit(request.target)
    assert target.path == "/tenants/a%2Fb%20%C3%BC%3F%23%26%3D%2B/jobs/A-1"
    assert parse_qs(target.query, strict_parsing=True) == {
        "v": ["1"], "lang": ["de"], "net": ["1.5"], "line": ["1", "2"], "urgent": ["true"], "a&b": ["c=d"],
    }  # fmt: skip
    assert request.headers["x-case"] == "C-1001"
    assert request.headers["x-fixed"] == "1"
    assert "x-none" not in request.headers
    assert request.headers["idempotency-key"] == "A-1"
    assert request.headers["content-type"] == "application/json"
    assert request.json() == {
        "number": "A-1",
        "kind": "invoice",
        "callback": "https://connectord.example/callback/token",
        "lines": [1, {"deep": "ACME"}, True, 7],
    }


async def test_without_a_mapping_the_format_is_connectords_own() -> None:
    request, _ = await send("/jobs/{action.id}", method="PATCH", headers={"X-Owner": {"expr": "action.owner"}})
    assert request.json()["action"] == {
        "id": "A-1", "system": "billing", "case": "C-1001", "owner": "ada", "attempt": 1,
        "submitted_at": "2026-11-24T12:00:00.000Z", "data": {"amount": 12}, "case_data": {"vendor": "ACME"},
    }  # fmt: skip
    assert (request.method, request.target, request.headers["x-owner"]) == ("PATCH", "/jobs/A-1", "ada")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_get_and_delete_have_no_body_of_their_own(method: str) -> None:
    request, _ = await send("/jobs/{action.id}", method=method)
    assert (request.method, request.body) == (method, b"")
    assert "content-type" not in request.headers


async def test_the_body_may_be_one_expression() -> None:
    request, _ = await send(body={"expr": "{id: action.id, sum: action.data.amount}"})
    assert request.json() == {"id": "A-1", "sum": 12}


async def test_a_form() -> None:
    request, _ = await send(
        body={"id": {"expr": "action.id"}, "text": "a b&c=ü", "line": [1, 2], "none": {"expr": "action.data.no"}},
        body_format="form",
    )
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.body == b"id=A-1&text=a+b%26c%3D%C3%BC&line=1&line=2"


async def test_text() -> None:
    request, _ = await send(
        body={"expr": "join('', ['<job id=\"', action.id, '\">ü</job>'])"},
        body_format="text",
        headers={"Content-Type": "application/xml"},
    )
    assert request.headers["content-type"] == "application/xml"
    assert request.body == '<job id="A-1">ü</job>'.encode()


async def test_a_string_is_a_literal_whatever_stands_in_it() -> None:
    request, _ = await send(
        body={"a": "action.id", "b": "{action.id}", "c": "{ expr = 'x' }"}, query={"q": "action.id"}
    )
    assert request.json() == {"a": "action.id", "b": "{action.id}", "c": "{ expr = 'x' }"}
    assert request.target == "/jobs?q=action.id"


async def test_a_literal_that_looks_like_an_expression_is_written_as_one() -> None:
    request, _ = await send(body={"rule": {"expr": '`{"expr": "x", "env": "y"}`'}})
    assert request.json() == {"rule": {"expr": "x", "env": "y"}}


@pytest.mark.parametrize(
    ("path", "data", "says"),
    [
        ("/{action.data.x}", {}, "{action.data.x} in the url is null"),
        ("/{action.data.x}", {"x": ""}, "{action.data.x} in the url is empty"),
        ("/{action.data.x}", {"x": [1]}, "must be a string, a number or a boolean, not an array"),
        ("/{action.data.x}", {"x": {"a": 1}}, "not an object"),
        ("/{action.data.x}", {"x": ".."}, '".." in its path'),
        ("/a/{action.data.x}/b", {"x": "."}, '".." in its path'),
        ("/a/.{action.data.x}/b", {"x": "."}, '".." in its path'),
        ("/{action.data.x}", {"x": "..;a"}, '".." in its path'),
        ("/{action.data.x}", {"x": "%2e%2e"}, '".." in its path'),
        ("/{action.data.x}", {"x": "a/../b"}, '".." in its path'),
        ("/{action.data.x}", {"x": "a\\..\\b"}, '".." in its path'),
        ("/{action.data.x}", {"x": "\ud800"}, "no valid text"),
        ("/{abs(action.data.x)}", {"x": "a"}, "failed"),
        ("/{action.data.x}", {"x": "a" * 9_000}, "too long"),
    ],
)
async def test_data_that_do_not_fit_into_the_url(path: str, data: dict[str, Any], says: str) -> None:
    assert says in await refused(path, call={"data": data})


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("a\r\nX-Evil: 1", "the header X-A would have a line break"),
        ("a\nb", "a line break"),
        ("ü", "not printable ASCII"),
        ("a\0", "not printable ASCII"),
        ({"a": 1}, "the header X-A must be a string, a number or a boolean, not an object"),
        ([1], "not an array"),
    ],
)
async def test_data_that_do_not_fit_into_a_header(value: object, says: str) -> None:
    assert says in await refused(headers={"X-A": {"expr": "action.data.x"}}, call={"data": {"x": value}})


@pytest.mark.parametrize(
    ("settings", "value", "says"),
    [
        ({"query": {"q": {"expr": "action.data.x"}}}, {"a": 1}, "the query 'q' must be"),
        ({"query": {"q": {"expr": "action.data.x"}}}, [[1]], "the query 'q' must be"),
        ({"query": {"q": {"expr": "action.data.x"}}}, "\ud800", "no valid text"),
        ({"body": {"q": {"expr": "action.data.x"}}, "body_format": "form"}, {"a": 1}, "the body 'q' must be"),
        ({"body": {"expr": "action.data.x"}, "body_format": "form"}, "a", "no table of fields"),
        ({"body": {"expr": "action.data.x"}, "body_format": "text"}, [1], "the body must be"),
        ({"body": {"q": {"expr": "sum(action.data.x)"}}}, "a", "failed"),
    ],
)
async def test_data_that_do_not_fit_elsewhere(settings: dict[str, Any], value: object, says: str) -> None:
    assert says in await refused(call={"data": {"x": value}}, **settings)


async def test_every_attempt_maps_its_own_action() -> None:
    seen = Recorder()
    async with serve(seen) as url, adapter_for(f"{url}/{{action.id}}", body={"expr": "action.data"}) as adapter:
        for number in range(3):
            await adapter.trigger(make_call(action_id=f"A-{number}", data={"n": number}))
    assert [(r.target, json.loads(r.body)) for r in seen.requests] == [(f"/A-{n}", {"n": n}) for n in range(3)]
