"""Static credentials: who sees them, and who does not."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from connectord.adapters import NotConnected, Rejected, Taken
from helpers.calls import make_call
from helpers.http_adapter import Recorder, adapter_for, always
from helpers.http_server import Request, Response, serve


async def sent_with(path: str = "/jobs", **settings: Any) -> Request:
    seen = Recorder()
    async with serve(seen) as url, adapter_for(f"{url}{path}", **settings) as adapter:
        assert await adapter.trigger(make_call()) == Taken()
    return seen.only


async def test_bearer() -> None:
    request = await sent_with(auth={"bearer": "hunter2"})
    assert request.headers["authorization"] == "Bearer hunter2"


async def test_basic() -> None:
    request = await sent_with(auth={"basic": {"username": "ada", "password": "hünter:2"}})
    scheme, _, value = request.headers["authorization"].partition(" ")
    assert (scheme, base64.b64decode(value).decode()) == ("Basic", "ada:hünter:2")


async def test_a_key_in_a_header() -> None:
    request = await sent_with(auth={"api_key": {"header": "X-API-Key", "key": "hunter2"}})
    assert request.headers["x-api-key"] == "hunter2"


@pytest.mark.parametrize(
    ("path", "target"),
    [("/jobs", "/jobs?key=hunter2%26%3D"), ("/jobs?a=1", "/jobs?a=1&key=hunter2%26%3D"),
     ("/{action.id}?a=1", "/A-1?a=1&key=hunter2%26%3D")],
)  # fmt: skip
async def test_a_key_in_the_query(path: str, target: str) -> None:
    request = await sent_with(path, auth={"api_key": {"query": "key", "key": "hunter2&="}})
    assert request.target == target


async def test_polls_bear_them_too() -> None:
    seen = Recorder(Response())
    async with serve(seen) as url:
        key = {"api_key": {"query": "key", "key": "hunter2"}}
        for auth in ({"bearer": "hunter2"}, key):
            async with adapter_for(url, auth=auth, poll={"url": url}) as adapter:
                await adapter.poll(make_call())
    assert seen.requests[0].headers["authorization"] == "Bearer hunter2"
    assert seen.requests[1].target == "/?key=hunter2"


SECRET = "s3cret/with+more"
BASIC = base64.b64encode(f"ada:{SECRET}".encode()).decode()


@pytest.mark.parametrize(
    "settings",
    [
        {"auth": {"bearer": SECRET}},
        {"auth": {"basic": {"username": "ada", "password": SECRET}}},
        {"auth": {"api_key": {"header": "X-API-Key", "key": SECRET}}},
        {"auth": {"api_key": {"query": "key", "key": SECRET}}},
        {"headers": {"X-Token": SECRET}},
    ],
)
@pytest.mark.parametrize("status", [400, 302, 503])
async def test_a_system_that_quotes_a_secret_does_not_make_it_public(settings: dict[str, Any], status: int) -> None:
    async def quote(request: Request) -> Response:
        heads = " ".join(request.headers.values())
        return Response(status=status, body=f"{request.target} {heads} {SECRET}".encode(),
                        headers={"Location": request.target})  # fmt: skip

    response = {"reason": {"expr": "body"}, "not_now_when": "status == 503"}
    async with serve(quote) as url, adapter_for(url, response=response, **settings) as adapter:
        try:
            outcome = await adapter.trigger(make_call())
        except NotConnected as error:
            text = str(error)
        else:
            assert isinstance(outcome, Rejected)
            text = outcome.reason
    for spelling in (SECRET, BASIC, "s3cret%2Fwith%2Bmore"):
        assert spelling not in text
    if status != 302 or "query" in str(settings):
        assert "**********" in text


async def test_nothing_shows_in_a_repr() -> None:
    async with (
        serve(always(Response())) as url,
        adapter_for(url, auth={"basic": {"username": "ada", "password": SECRET}}, proxy=None) as adapter,
    ):
        assert SECRET not in repr(adapter.settings)
        assert SECRET not in adapter.settings.model_dump_json()
