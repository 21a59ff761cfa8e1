"""What an answer means where the configuration says it, and rule 12 where it does not."""

from __future__ import annotations

from typing import Any

import pytest
from connectord.adapters import NO_REASON_GIVEN, NotConnected, Outcome, Rejected, Succeeded, Taken
from helpers.calls import make_call
from helpers.http_adapter import adapter_for, always
from helpers.http_server import Response, serve


async def outcome_of(answer: Response, **response: Any) -> Outcome:
    async with serve(always(answer)) as url, adapter_for(url, response=response) as adapter:
        return await adapter.trigger(make_call())


async def failure_of(answer: Response, **response: Any) -> NotConnected:
    async with serve(always(answer)) as url, adapter_for(url, response=response) as adapter:
        with pytest.raises(NotConnected) as caught:
            await adapter.trigger(make_call())
    return caught.value


def json(document: Any, status: int = 200) -> Response:
    return Response.of_json(document, status=status)


async def test_success_by_a_condition() -> None:
    mapping = {"success_when": 'body.state == "DONE"', "data": {"no": {"expr": "body.result.no"}, "from": "billing"}}
    answer = json({"state": "DONE", "result": {"no": "R-17"}})
    assert await outcome_of(answer, **mapping) == Succeeded({"no": "R-17", "from": "billing"})
    # it does not hold: rule 12 for a 2xx
    assert await outcome_of(json({"state": "QUEUED", "id": "J-1"}), **mapping) == Taken("J-1")


async def test_failure_by_a_condition_whatever_the_status() -> None:
    mapping = {
        "failure_when": "status == 200 && has(body.errors) && size(body.errors) > 0",
        "reason": {"expr": "join('; ', body.errors[].text)"},
        "data": {"expr": "{codes: body.errors[].code}"},
    }
    answer = json({"errors": [{"code": 7, "text": "no vendor"}, {"code": 9, "text": "no amount"}]})
    assert await outcome_of(answer, **mapping) == Rejected("no vendor; no amount", {"codes": [7, 9]})


async def test_a_4xx_may_be_a_success() -> None:
    mapping = {"success_when": "status == 409", "data": {"expr": "body"}}
    assert await outcome_of(json({"no": 1}, 409), **mapping) == Succeeded({"no": 1})


async def test_taken_by_a_condition() -> None:
    mapping = {"taken_when": "status == 302", "reference": {"expr": "headers.location"}}
    answer = Response(status=302, headers={"Location": "/jobs/7"})
    assert await outcome_of(answer, **mapping) == Taken("/jobs/7")


async def test_not_now_by_a_condition() -> None:
    mapping = {"not_now_when": "has(body.busy) && body.busy", "reason": {"expr": "body.note"}}
    answer = Response(body=b'{"busy": true, "note": "closing the month"}', headers={"Retry-After": "30"})
    error = await failure_of(answer, **mapping)
    assert (str(error), error.retry_after_seconds) == ("closing the month", 30.0)
    error = await failure_of(json({"busy": True}), **mapping)
    assert str(error) == "HTTP 200 OK, which means 'not now' here"


async def test_the_order_of_the_conditions() -> None:
    every: dict[str, Any] = dict.fromkeys(("not_now_when", "failure_when", "success_when", "taken_when"), "true")
    answer = json({})
    await failure_of(answer, **every)
    del every["not_now_when"]
    assert await outcome_of(answer, **every) == Rejected(NO_REASON_GIVEN)
    del every["failure_when"]
    assert await outcome_of(answer, **every) == Succeeded()
    del every["success_when"]
    assert await outcome_of(answer, **every) == Taken()


async def test_values_serve_rule_12_too() -> None:
    mapping = {"reference": {"expr": "body.job.no"}, "reason": {"expr": "body.fault.text"}}
    assert await outcome_of(json({"job": {"no": 17}, "id": "other"}, 202), **mapping) == Taken("17")
    assert await outcome_of(json({"id": "other"}, 202), **mapping) == Taken("other")
    assert await outcome_of(json({"fault": {"text": "no vendor"}}, 422), **mapping) == Rejected("no vendor")
    assert await outcome_of(json({"detail": "no amount"}, 422), **mapping) == Rejected("no amount")
    assert str(await failure_of(json({}, 503), **mapping)) == "HTTP 503 Service Unavailable"


async def test_headers_and_text_can_be_asked_for() -> None:
    xml = Response(body=b"<fault>closed</fault>", headers={"X-Fault": "closed"})
    found = await outcome_of(xml, failure_when='headers["x-fault"] == "closed" && body.contains("<fault>")',
                             reason={"expr": "body"})  # fmt: skip
    assert found == Rejected("<fault>closed</fault>")


async def test_no_body_is_null() -> None:
    assert await outcome_of(Response(status=204), success_when="body == null") == Succeeded()


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("body.done", "success_when could not be evaluated: there is no 'done'"),
        ("body.n > 'a'", "success_when could not be evaluated: "),
        ("body.n", "success_when could not be evaluated: it is 1, neither true nor false"),
        ("body.n / 0 == 1", "success_when could not be evaluated: "),
        ("body.l[5] == 1", "success_when could not be evaluated: "),
    ],
)
async def test_a_condition_that_fails_leaves_rule_12_and_says_so(condition: str, says: str) -> None:
    body = {"n": 1, "l": [], "detail": "Vendor unknown"}
    refused = await outcome_of(json(body, 422), success_when=condition)
    assert isinstance(refused, Rejected)
    assert refused.reason.startswith(f"Vendor unknown ({says}")
    error = await failure_of(Response(status=503, body=b'{"n": 1, "l": []}', headers={"Retry-After": "9"}),
                             success_when=condition)  # fmt: skip
    assert str(error).startswith(f"HTTP 503 Service Unavailable ({says}")
    assert error.retry_after_seconds == 9.0
    assert await outcome_of(json(body, 202), success_when=condition, taken_when="true") == Taken()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"expr": "body.list"}, "data is an array; custom data is an object"),
        ({"expr": "body.text"}, "data is a string"),
        ({"sum": {"expr": "sum(body.text)"}}, "data: 'sum(body.text)' failed"),
    ],
)
async def test_a_value_that_does_not_fit_leaves_rule_12(data: Any, says: str) -> None:
    answer = json({"list": [1], "text": "a", "detail": "Vendor unknown"}, 400)
    refused = await outcome_of(answer, failure_when="true", data=data)
    assert isinstance(refused, Rejected)
    assert refused.reason.startswith("Vendor unknown (")
    assert says in refused.reason


async def test_null_data_are_none() -> None:
    assert await outcome_of(json({}), success_when="true", data={"expr": "body.nothing"}) == Succeeded({})


async def test_a_reason_may_have_any_shape() -> None:
    outcome = await outcome_of(json({"why": [{"a": 1}]}), failure_when="true", reason={"expr": "body.why"})
    assert outcome == Rejected('[{"a":1}]')
    long = await outcome_of(json({"why": "x" * 900}), failure_when="true", reason={"expr": "body.why"})
    assert long == Rejected("x" * 500)


async def test_a_body_that_is_too_long_is_null_to_the_conditions() -> None:
    answer = json({"state": "DONE", "fill": "x" * 1_000})
    async with (
        serve(always(answer)) as url,
        adapter_for(url, max_response_bytes=100, response={"success_when": "body == null"}) as adapter,
    ):
        assert await adapter.trigger(make_call()) == Succeeded()


async def test_the_enate_dialect_under_a_mapping() -> None:
    answer = json({"Success": True, "DataFields": {"a": 1}})
    async with (
        serve(always(answer)) as url,
        adapter_for(url, dialect="enate", response={"failure_when": "status == 299"}) as adapter,
    ):
        assert await adapter.trigger(make_call()) == Succeeded({"a": 1})


async def test_a_reference_is_kept_whole_or_not_at_all() -> None:
    mapping = {"reference": {"expr": "headers.location"}, "taken_when": "true"}
    long = "/jobs/" + "7" * 1_000
    assert await outcome_of(Response(status=201, headers={"Location": long}), **mapping) == Taken(long)
    assert await outcome_of(json({"id": "x" * 4_096}, 202), reference=None) == Taken("x" * 4_096)
    assert await outcome_of(json({"id": "x" * 4_097, "reference": "r"}, 202), reference=None) == Taken("r")
    for job in ("x" * 4_097, "a\nb", ["a"]):
        # it cannot be kept: rule 12's own
        found = await outcome_of(json({"job": job, "id": "J-1"}), taken_when="true", reference={"expr": "body.job"})
        assert found == Taken("J-1")
