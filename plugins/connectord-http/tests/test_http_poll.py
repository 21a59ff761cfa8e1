"""Asking a system for the response to an action that it took."""

from __future__ import annotations

from typing import Any

import pytest
from connectord.adapters import Call, NotConnected, Progress, Rejected, Response, Succeeded
from helpers.calls import make_call
from helpers.http_adapter import Recorder, Resolver, adapter_for, always, make_adapter
from helpers.http_server import Response as Answer
from helpers.http_server import refuse, serve

MAPPING: dict[str, Any] = {
    "success_when": 'body.state == "DONE"',
    "failure_when": 'status == 404 || body.state == "FAILED"',
    "progress_when": 'body.state == "RUNNING"',
    "not_now_when": 'status == 200 && body.state == "PAUSED"',
    "data": {"no": {"expr": "body.no"}},
    "reason": {"expr": "body.text"},
    "text": {"expr": "body.step"},
    "percent": {"expr": "body.percent"},
}


def taken(reference: str | None = "J/7", **changes: Any) -> Call:
    """A call whose action the system has taken."""
    return make_call(reference=reference, **changes)


async def polled(answer: Answer, **poll: Any) -> Response | None:
    async with serve(always(answer)) as url, adapter_for(url, poll={"url": url, **poll}) as adapter:
        return await adapter.poll(taken())


async def failure(answer: Answer, **poll: Any) -> NotConnected:
    async with serve(always(answer)) as url, adapter_for(url, poll={"url": url, **poll}) as adapter:
        with pytest.raises(NotConnected) as caught:
            await adapter.poll(taken())
    return caught.value


def json(document: Any, status: int = 200) -> Answer:
    return Answer.of_json(document, status=status)


def test_only_where_it_is_configured() -> None:
    adapters = (
        make_adapter("http://a.example"),
        make_adapter("http://a.example", poll={"url": "http://a.example/{reference}"}),
    )
    assert [adapter.offers("poll", adapter.settings) for adapter in adapters] == [False, True]
    assert not adapters[1].offers("probe", adapters[1].settings)


async def test_without_a_table_there_is_no_poll() -> None:
    async with adapter_for("http://a.example") as adapter:
        with pytest.raises(RuntimeError, match="no table poll"):
            await adapter.poll(taken())


async def test_what_goes_over_the_wire() -> None:
    seen = Recorder(Answer())
    poll = {
        "query": {"id": {"expr": "action.id"}},
        "headers": {"X-Poll": "1", "X-Ref": {"expr": "reference"}},
    }
    async with serve(seen) as url:
        poll["url"] = f"{url}/jobs/{{reference}}/state"
        async with adapter_for("http://elsewhere.example", headers={"X-Key": "k"}, poll=poll) as adapter:
            assert await adapter.poll(taken()) is None
    request = seen.only
    assert (request.method, request.target, request.body) == ("GET", "/jobs/J%2F7/state?id=A-1", b"")
    assert (request.headers["x-key"], request.headers["x-poll"], request.headers["x-ref"]) == ("k", "1", "J/7")
    assert "idempotency-key" not in request.headers
    assert "content-type" not in request.headers


async def test_a_system_that_is_asked_by_post() -> None:
    seen = Recorder(Answer())
    async with serve(seen) as url:
        poll = {"url": url, "method": "POST", "body": {"query": {"job": {"expr": "reference"}}}}
        async with adapter_for(url, poll=poll) as adapter:
            assert await adapter.poll(taken()) is None
    assert seen.only.json() == {"query": {"job": "J/7"}}


async def test_the_conditions() -> None:
    assert await polled(json({"state": "DONE", "no": 1}), **MAPPING) == Succeeded({"no": 1})
    assert await polled(json({"state": "FAILED", "text": "no vendor"}), **MAPPING) == Rejected(
        "no vendor", {"no": None}
    )
    assert await polled(json({"state": "RUNNING", "step": "a", "percent": 5}), **MAPPING) == Progress("a", 5.0)
    assert await polled(json({}, 404), **MAPPING) == Rejected("the system gave no reason", {"no": None})
    assert await polled(json({"state": "QUEUED"}), **MAPPING) is None
    error = await failure(Answer(body=b'{"state": "PAUSED"}', headers={"Retry-After": "7"}), **MAPPING)
    assert (str(error), error.retry_after_seconds) == ("HTTP 200 OK, which means 'not now' here", 7.0)


async def test_without_conditions_the_dialect_is_read() -> None:
    assert await polled(json({"status": "success", "data": {"a": 1}})) == Succeeded({"a": 1})
    assert await polled(json({"status": "failure", "reason": "no"})) == Rejected("no")
    assert await polled(json({"status": "progress", "percent": 50})) == Progress(None, 50.0)
    assert await polled(json({"state": "QUEUED"}, 202)) is None
    assert await polled(Answer(status=204)) is None


@pytest.mark.parametrize("status", [302, 400, 401, 404, 410, 429, 500, 503])
async def test_a_question_that_is_refused_decides_nothing(status: int) -> None:
    error = await failure(Answer(status=status, headers={"Retry-After": "3"}))
    assert str(error).startswith(f"the poll was answered with HTTP {status} ")
    assert error.retry_after_seconds == 3.0


async def test_a_condition_that_fails_decides_nothing() -> None:
    assert await polled(json({}), success_when="body.done") is None
    error = await failure(json({}, 500), success_when="body.done")
    assert str(error).endswith("(success_when could not be evaluated: there is no 'done')")


async def test_no_connection() -> None:
    async with refuse() as url, adapter_for(url, poll={"url": url}) as adapter:
        with pytest.raises(NotConnected, match="connection refused"):
            await adapter.poll(taken())


async def test_a_reference_that_is_missing() -> None:
    async with adapter_for("http://a.example", poll={"url": "http://a.example/{reference}"}) as adapter:
        with pytest.raises(NotConnected, match="no poll could be made of the action: {reference} in the url is null"):
            await adapter.poll(taken(None))


async def test_a_target_that_is_not_allowed() -> None:
    poll = {"url": "http://{action.data.host}/"}
    async with adapter_for("http://a.example", poll=poll, lookup=Resolver(["10.0.0.1"])) as adapter:
        with pytest.raises(NotConnected, match="the poll was not sent: h.example is at 10.0.0.1"):
            await adapter.poll(taken(data={"host": "h.example"}))
