"""OAuth2 client credentials against Authlib's authorization server."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import trio
from connectord.adapters import NotConnected, Outcome, Rejected, Taken
from connectord_http.adapter import HttpAdapter
from connectord_http.answers import Answer
from connectord_http.auth_settings import OAuth2Settings
from connectord_http.oauth2 import Token, TokenSource
from helpers.calls import make_call
from helpers.cancellation import cancel_after_steps
from helpers.http_adapter import Recorder, adapter_for
from helpers.http_server import Handler, Request, Response, refuse, serve
from helpers.oauth2_server import CLIENT_ID, CLIENT_SECRET, SCOPE, TokenServer


@dataclass
class World:
    adapter: HttpAdapter
    seen: list[Request]


@asynccontextmanager
async def world(
    server: TokenServer, *, endpoint: Handler | None = None, token_url: str | None = None, **changes: Any
) -> AsyncGenerator[World, None]:
    """A system that wants one of ``server``'s tokens; ``endpoint`` stands in its place at the token's address."""
    seen: list[Request] = []

    async def system(request: Request) -> Response:
        seen.append(request)
        return Response(status=202 if server.accepts(request) else 401)

    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serve(system))
        tokens = token_url or await stack.enter_async_context(serve(endpoint or server))
        values = {"token_url": f"{tokens}/token", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, **changes}
        adapter = await stack.enter_async_context(adapter_for(url, auth={"oauth2": values}))
        yield World(adapter, seen)


async def failure(adapter: HttpAdapter) -> NotConnected:
    with pytest.raises(NotConnected) as caught:
        await adapter.trigger(make_call())
    assert CLIENT_SECRET not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(("way", "method"), [("basic", "client_secret_basic"), ("body", "client_secret_post")])
async def test_a_token_is_fetched_and_used_again(way: str, method: str) -> None:
    server = TokenServer(methods=(method,))
    parameters = {"audience": "billing"}
    async with world(server, client_authentication=way, scope=SCOPE, parameters=parameters) as w:
        for number in range(3):
            assert await w.adapter.trigger(make_call(idempotency_key=f"A-{number}")) == Taken()
    [request] = server.requests
    assert request.items() >= {"grant_type": "client_credentials", "scope": SCOPE, "audience": "billing"}.items()
    assert ("client_secret" in request) == (way == "body")
    assert len(w.seen) == 3


async def test_fifty_attempts_at_once_cause_one_token_request() -> None:
    server = TokenServer()

    async def slow(request: Request) -> Response:
        await trio.sleep(0.05)
        return await server(request)

    async with world(server, endpoint=slow) as w:
        outcomes: list[Outcome] = []

        async def attempt(number: int) -> None:
            outcomes.append(await w.adapter.trigger(make_call(action_id=f"A-{number}")))

        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(attempt, number)
    assert outcomes == [Taken()] * 50
    assert len(server.requests) == 1
    assert len(w.seen) == 50


async def test_a_failure_is_shared_by_those_who_waited_for_it() -> None:
    server = TokenServer()
    requests = 0

    async def broken(request: Request) -> Response:
        nonlocal requests
        requests += 1
        await trio.sleep(0.05)
        return Response(status=503, headers={"Retry-After": "17"})

    async with world(server, endpoint=broken) as w:
        errors: list[NotConnected] = []

        async def attempt() -> None:
            errors.append(await failure(w.adapter))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(attempt)
        assert requests == 1
        assert {str(error) for error in errors} == {"no OAuth2 token from 127.0.0.1: HTTP 503 Service Unavailable"}
        assert {error.retry_after_seconds for error in errors} == {17.0}
        # whoever comes later asks anew
        await failure(w.adapter)
        assert requests == 2
    assert w.seen == []


async def test_a_token_that_was_revoked_is_refreshed_once_and_the_request_repeated_once() -> None:
    server = TokenServer()
    async with world(server) as w:
        assert await w.adapter.trigger(make_call()) == Taken()
        server.revoke()
        assert await w.adapter.trigger(make_call(action_id="A-2", idempotency_key="A-2")) == Taken()
    assert len(server.requests) == 2
    [_, refused, repeated] = w.seen
    assert refused.headers["idempotency-key"] == repeated.headers["idempotency-key"] == "A-2"
    assert refused.body == repeated.body
    assert refused.headers["authorization"] != repeated.headers["authorization"]


async def test_a_system_that_takes_no_token_at_all_is_asked_twice_and_no_more() -> None:
    server = TokenServer()
    server.save_token = lambda token, request: None  # type: ignore[method-assign]
    async with world(server) as w:
        assert await w.adapter.trigger(make_call()) == Rejected("HTTP 401 Unauthorized")
    assert len(server.requests) == 2
    assert len(w.seen) == 2


@pytest.mark.parametrize("status", [400, 403, 500, 503])
async def test_only_a_401_is_repeated(status: int) -> None:
    server = TokenServer()
    seen = Recorder(Response(status=status))
    async with serve(seen) as url, serve(server) as tokens:
        auth = {"oauth2": {"token_url": tokens, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}}
        async with adapter_for(url, auth=auth) as adapter:
            try:
                await adapter.trigger(make_call())
            except NotConnected:
                assert status >= 500
    assert len(seen.requests) == len(server.requests) == 1


async def test_many_refused_at_once_cause_one_refresh() -> None:
    server = TokenServer()
    async with world(server) as w:
        await w.adapter.trigger(make_call())
        server.revoke()
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(w.adapter.trigger, make_call(action_id=f"A-{number}"))
    assert len(server.requests) == 2


class FakeExchange:
    """Token answers without a network, for tests of time."""

    def __init__(self, *bodies: bytes) -> None:
        self.bodies = list(bodies)
        self.sent = 0

    async def send_once(self, request: Any, *, limit: int) -> Any:
        await trio.lowlevel.checkpoint()
        self.sent += 1
        return Answer(200, [], self.bodies.pop(0))


def source(*bodies: bytes) -> tuple[TokenSource, FakeExchange]:
    settings = OAuth2Settings(token_url="http://127.0.0.1/token", client_id="a", client_secret="secret")
    exchange = FakeExchange(*bodies)
    return TokenSource(settings, exchange), exchange  # type: ignore[arg-type]


@pytest.mark.parametrize(("life", "good_until"), [("3600", 3540.0), ('"600"', 540.0), ("10", 9.0), ("86400", 86340.0)])
async def test_refreshed_before_it_expires(
    autojump_clock: trio.testing.MockClock, life: str, good_until: float
) -> None:
    answer = b'{"access_token": "%s", "token_type": "bearer", "expires_in": ' + life.encode() + b"}"
    tokens, exchange = source(answer % b"one", answer % b"two")
    assert (await tokens.get(now=0)).value == "one"
    await trio.sleep(good_until - 0.1)
    assert (await tokens.get(now=0)).value == "one"
    await trio.sleep(0.2)
    assert (await tokens.get(now=0)).value == "two"
    assert exchange.sent == 2


@pytest.mark.parametrize("rest", [b"", b', "expires_in": null', b', "expires_in": "soon"'])
async def test_without_an_end_it_is_used_until_it_is_refused(
    autojump_clock: trio.testing.MockClock, rest: bytes
) -> None:
    tokens, exchange = source(b'{"access_token": "one"' + rest + b"}", b'{"access_token": "two"}')
    first = await tokens.get(now=0)
    await trio.sleep(10 * 365 * 86_400)
    assert await tokens.get(now=0) is first
    assert (await tokens.get(refused=first, now=0)).value == "two"
    # somebody else was refused with the old one, too
    assert (await tokens.get(refused=first, now=0)).value == "two"
    assert exchange.sent == 2


def test_a_token_does_not_show() -> None:
    assert "hunter2" not in repr(Token("hunter2", 0.0))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "has no access_token"),
        (b"[]", "has no access_token"),
        (b"<html>", "has no access_token"),
        (b'{"access_token": ""}', "has no access_token"),
        (b'{"access_token": 7}', "has no access_token"),
        (b'{"access_token": "a\\r\\nX: 1"}', "has no access_token"),
        (b'{"access_token": "a", "token_type": "mac"}', "its type is not Bearer"),
        (b'{"access_token": "a", "token_type": 1}', "its type is not Bearer"),
        (b'{"access_token": "' + b"a" * 70_000 + b'"}', "has no access_token"),
    ],
)
async def test_answers_without_a_token(body: bytes, says: str) -> None:
    async with world(TokenServer(), endpoint=Recorder(Response(body=body))) as w:
        assert says in str(await failure(w.adapter))
    assert w.seen == []


async def test_a_wrong_secret() -> None:
    async with world(TokenServer(), client_secret="wrong-secret") as w:
        message = str(await failure(w.adapter))
    assert message.startswith("no OAuth2 token from 127.0.0.1: HTTP 401 Unauthorized: invalid_client: ")
    assert w.seen == []


async def test_an_error_that_quotes_the_secret_is_not_believed_to_be_harmless() -> None:
    quoting = Response.of_json({"error": "invalid_client", "error_description": f"bad {CLIENT_SECRET}"}, status=400)
    async with world(TokenServer(), endpoint=Recorder(quoting)) as w:
        assert str(await failure(w.adapter)).endswith("invalid_client: bad **********")


async def test_no_connection_to_the_token_endpoint() -> None:
    async with refuse() as nowhere, world(TokenServer(), token_url=nowhere) as w:
        assert str(await failure(w.adapter)) == "no OAuth2 token from 127.0.0.1: connection refused"


async def test_a_token_that_the_system_quotes_is_hidden() -> None:
    server = TokenServer()

    async def quote(request: Request) -> Response:
        return Response(status=400, body=request.headers["authorization"].encode())

    async with serve(quote) as url, serve(server) as tokens:
        auth = {"oauth2": {"token_url": tokens, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}}
        async with adapter_for(url, auth=auth) as adapter:
            assert await adapter.trigger(make_call()) == Rejected("Bearer **********")


async def test_cancelled_at_any_await_the_next_attempt_gets_its_token() -> None:
    server = TokenServer()
    for steps in range(1, 100):
        async with world(server) as w:
            with cancel_after_steps(steps) as scope:
                await w.adapter.trigger(make_call())
            with trio.fail_after(5):
                assert await w.adapter.trigger(make_call()) == Taken()
        if not scope.cancelled_caught:
            break
    assert 5 < steps < 99
