"""Redirects: how far they are followed, and what does not go along."""

from __future__ import annotations

from typing import Any

import pytest
import trustme
from connectord.adapters import NotConnected, Outcome, Rejected, Succeeded, Taken
from helpers.calls import make_call
from helpers.http_adapter import Recorder, Resolver, adapter_for
from helpers.http_server import Request, Response, serve

LOOPBACK = {"allow": ["127.0.0.0/8"]}
HERE = Resolver(["127.0.0.1"])


def to(location: str, status: int = 307) -> Response:
    return Response(status=status, headers={"Location": location})


async def follow(*answers: Response, most: int = 3, **settings: Any) -> tuple[Outcome, list[Request]]:
    seen = Recorder(*answers)
    async with (
        serve(seen) as url,
        adapter_for(f"{url}/a", follow_redirects=most, **{**LOOPBACK, **settings}) as adapter,
    ):
        return await adapter.trigger(make_call()), seen.requests


@pytest.mark.parametrize("status", [307, 308])
async def test_the_request_is_repeated_as_it_was(status: int) -> None:
    done = Response.of_json({"status": "success"})
    outcome, requests = await follow(
        to("/b?c=http://x/", status), to("d", status), done, headers={"X-Token": "hunter2"}
    )
    assert outcome == Succeeded()
    assert [request.target for request in requests] == ["/a", "/b?c=http://x/", "/d"]
    first = requests[0]
    for request in requests[1:]:
        assert (request.method, request.body) == ("POST", first.body)
        for name in ("idempotency-key", "x-token", "content-type", "host"):
            assert request.headers[name] == first.headers[name]


async def test_no_further_than_allowed() -> None:
    outcome, requests = await follow(to("/b"), most=2)
    assert outcome == Rejected("nothing was sent there: there were more than 2 redirects in a row")
    assert len(requests) == 3


async def test_not_at_all_by_default() -> None:
    outcome, requests = await follow(to("/b"), most=0)
    assert outcome == Rejected("HTTP 307 Temporary Redirect to /b: redirects are not followed")
    assert len(requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_a_post_is_not_turned_into_a_get(status: int) -> None:
    outcome, requests = await follow(to("/b", status))
    assert isinstance(outcome, Rejected)
    assert outcome.reason.endswith("a POST is repeated elsewhere for 307 and 308 only")
    assert len(requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_get_is_repeated_for_all_of_them(status: int) -> None:
    outcome, requests = await follow(to("/b", status), Response(), method="GET")
    assert outcome == Taken()
    assert [request.method for request in requests] == ["GET", "GET"]


@pytest.mark.parametrize("answer", [Response(status=304), Response(status=300, headers={"Location": "/b"}),
                                    Response(status=307)])  # fmt: skip
async def test_what_is_no_redirect_is_an_answer(answer: Response) -> None:
    outcome, requests = await follow(answer)
    assert isinstance(outcome, Rejected)
    assert outcome.reason.startswith(f"HTTP {answer.status}")
    assert len(requests) == 1


@pytest.mark.parametrize(
    "auth",
    [{"bearer": "hunter2"}, {"basic": {"username": "ada", "password": "hunter2"}},
     {"api_key": {"header": "X-API-Key", "key": "hunter2"}}, {"api_key": {"query": "key", "key": "hunter2"}}],
)  # fmt: skip
@pytest.mark.parametrize("other_name", [False, True])
async def test_credentials_stay_at_their_origin(auth: dict[str, Any], other_name: bool) -> None:
    elsewhere = Recorder()
    async with serve(elsewhere) as foreign:
        # the same server by another name is another origin, and so is another port
        foreign = foreign.replace("127.0.0.1", "other.example") if other_name else foreign
        here = Recorder(to(f"{foreign}/b"))
        async with serve(here) as url:
            headers = {"X-Token": "hunter2", "X-Case": {"expr": "action.case"}, "Content-Type": "application/x-job"}
            settings = {"headers": headers, "auth": auth, **LOOPBACK}
            async with adapter_for(url, follow_redirects=2, lookup=HERE, **settings) as adapter:
                assert await adapter.trigger(make_call()) == Taken()
    assert "hunter2" in str(here.only) or "authorization" in here.only.headers
    went = elsewhere.only
    assert not went.headers.keys() & {"authorization", "x-api-key", "x-token", "x-case", "cookie"}
    assert went.target == "/b"
    assert went.body == here.only.body
    assert went.headers["idempotency-key"] == "A-1"
    assert went.headers["content-type"] == "application/x-job"
    assert went.headers["host"] == foreign.partition("://")[2]


async def test_credentials_do_not_come_back() -> None:
    here, back = Recorder(), Recorder()
    async with serve(here) as url, serve(back) as foreign:
        here._answers = [to(f"{foreign}/x"), Response(status=202)]
        back._answers = [to(f"{url}/end")]
        async with adapter_for(url, follow_redirects=2, auth={"bearer": "hunter2"}, **LOOPBACK) as adapter:
            assert await adapter.trigger(make_call()) == Taken()
    assert "authorization" in here.requests[0].headers
    assert "authorization" not in here.requests[1].headers


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("ftp://127.0.0.1/", 'must begin with "http://" or "https://"'),
        ("file:///etc/passwd", 'must begin with "http://" or "https://"'),
        ("http://ada:hunter22@127.0.0.1/", "must not hold a user name"),
        ("http://127.0.0.1\\@example.org/", "a backslash"),
        ("//127.0.0.1\\@example.org/", "a backslash"),
        ("http://127.0.0.1:0/", "no valid port"),
        ("//169.254.169.254/latest/meta-data", "169.254.169.254 is not allowed: it is the metadata service"),
        ("http://10.0.0.1/", "10.0.0.1 is not allowed: it is private"),
        ("http://2130706433/", "write an IPv4 address as four decimal numbers"),
        ("http://[::ffff:127.0.0.1]/", "an IPv4 address in disguise"),
        ("http://internal.example/", "internal.example is at 10.0.0.7, which is not allowed"),
    ],
)
async def test_where_no_redirect_leads(location: str, says: str) -> None:
    outcome, requests = await follow(to(location), lookup=Resolver(["10.0.0.7"]))
    assert isinstance(outcome, Rejected)
    assert says in outcome.reason
    assert len(requests) == 1


@pytest.mark.parametrize("follow_redirects", [0, 1])
async def test_a_location_that_is_no_url_is_a_broken_answer(follow_redirects: int) -> None:
    seen = Recorder(to("http://[::1/"))
    async with serve(seen) as url, adapter_for(url, follow_redirects=follow_redirects) as adapter:
        with pytest.raises(NotConnected, match="broken HTTP answer: Invalid URL in location header"):
            await adapter.trigger(make_call())


async def test_a_redirect_to_its_own_loopback_address_needs_to_be_allowed() -> None:
    outcome, requests = await follow(to("/b"), allow=[])
    assert outcome == Rejected("nothing was sent there: 127.0.0.1 is not allowed: it is loopback")
    assert len(requests) == 1


async def test_never_from_https_to_http() -> None:
    async with serve(Recorder()) as plain:
        seen = Recorder(to(f"{plain}/b"))
        async with (
            serve(seen, tls=True) as url,
            adapter_for(url, follow_redirects=1, verify_tls=False, **LOOPBACK) as adapter,
        ):
            outcome = await adapter.trigger(make_call())
    assert isinstance(outcome, Rejected)
    assert outcome.reason.endswith("it leads from https to http")


async def test_a_client_certificate_is_shown_to_its_origin_only(tmp_path: Any) -> None:
    file = tmp_path / "both.pem"
    trustme.CA().issue_cert("connectord@example.org").private_key_and_cert_chain_pem.write_to_path(str(file))
    elsewhere = Recorder()
    async with serve(elsewhere, tls=True) as foreign:
        seen = Recorder(to(f"{foreign}/b"))
        settings = {"verify_tls": False, "client_certificate": str(file), **LOOPBACK}
        async with serve(seen, tls=True) as url, adapter_for(url, follow_redirects=1, **settings) as adapter:
            outcome = await adapter.trigger(make_call())
            assert isinstance(outcome, Rejected)
            assert outcome.reason.endswith("the client certificate is not for another origin")
            seen._answers = [to("/b"), Response(status=202)]
            assert await adapter.trigger(make_call()) == Taken()
    assert elsewhere.requests == []
