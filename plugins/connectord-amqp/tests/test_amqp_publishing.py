"""Publishing to a real broker: what arrives there, and what each refusal means."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from connectord.adapters import Call, NotConnected, Rejected, Taken, call_document
from connectord_amqp.adapter import AmqpAdapter
from connectord_amqp.settings import AmqpSettings
from helpers.calls import make_call
from helpers.cancellation import cancel_after_steps
from helpers.rabbitmq import Broker

MakeAdapter = Callable[..., AbstractAsyncContextManager[AmqpAdapter]]


def call_of(number: int, **changes: Any) -> Call:
    return make_call(action_id=f"A-{number}", idempotency_key=f"A-{number}", **changes)


async def failure(adapter: AmqpAdapter, call: Call | None = None) -> NotConnected:
    with pytest.raises(NotConnected) as caught:
        await adapter.trigger(call or make_call())
    return caught.value


async def test_rule_1_the_broker_has_the_whole_message_when_the_action_is_taken(
    broker: Broker, opened: MakeAdapter
) -> None:
    call = make_call(attempt=3)
    async with opened(headers={"origin": "erp"}, replies={"queue": "answers"}) as adapter:
        assert await adapter.trigger(call) == Taken()
        method, properties, body = broker.get("jobs")
    assert json.loads(body) == call_document(call)
    assert (method.exchange, method.routing_key) == ("", "jobs")
    assert properties.headers == {"attempt": 3, "system": "billing", "case": "C-1001", "origin": "erp"}
    assert properties.delivery_mode == 2
    assert properties.content_type == "application/json"
    assert properties.message_id == properties.correlation_id == "A-1"
    assert properties.reply_to == "answers"
    assert properties.app_id == "connectord"


async def test_an_action_without_a_case_and_without_a_reply_queue(broker: Broker, opened: MakeAdapter) -> None:
    async with opened(content_type="application/vnd.job+json") as adapter:
        await adapter.trigger(make_call(case_id=None))
    _, properties, _ = broker.get("jobs")
    assert properties.headers == {"attempt": 1, "system": "billing"}
    assert properties.reply_to is None
    assert properties.content_type == "application/vnd.job+json"


@pytest.mark.parametrize("size", [0, 1, 131_064, 131_065, 1_000_000], ids=str)
async def test_a_message_is_whole_whatever_its_size(broker: Broker, opened: MakeAdapter, size: int) -> None:
    call = make_call(data={"text": "x" * size})
    async with opened() as adapter:
        assert await adapter.trigger(call) == Taken()
    assert json.loads(broker.get("jobs")[2]) == call_document(call)


async def test_the_routing_key_can_come_from_the_action(broker: Broker, opened: MakeAdapter) -> None:
    broker.make_queue("jobs.de")
    async with opened(routing_key_from="action.data.queue") as adapter:
        assert await adapter.trigger(make_call(data={"queue": "jobs.de"})) == Taken()
        assert await adapter.trigger(make_call(data={})) == Taken()
        refused = await adapter.trigger(make_call(data={"queue": 5}))
    assert broker.get("jobs.de")[0].routing_key == "jobs.de"
    assert broker.get("jobs")[0].routing_key == "jobs"
    assert refused == Rejected("no routing key: 'action.data.queue' gives int, not a text")


async def test_an_exchange_routes_it(broker: Broker, opened: MakeAdapter) -> None:
    with broker.channel() as channel:
        channel.exchange_declare("work", "topic", durable=True)
        channel.queue_bind("jobs", "work", "invoice.*")
    async with opened(exchange="work", routing_key="invoice.new") as adapter:
        assert await adapter.trigger(make_call()) == Taken()
    assert broker.get("jobs")[0].exchange == "work"


async def test_an_action_that_is_too_long_is_rejected_and_disturbs_nobody(opened: MakeAdapter) -> None:
    async with opened(max_message_bytes=1000) as adapter:
        refused = await adapter.trigger(make_call(data={"text": "x" * 1000}))
        assert isinstance(refused, Rejected)
        assert "max_message_bytes allows 1000" in refused.reason
        assert await adapter.trigger(make_call()) == Taken()


async def test_rule_12_a_message_that_no_queue_takes_is_not_taken(opened: MakeAdapter) -> None:
    async with opened(routing_key_from="action.data.queue") as adapter:
        error = await failure(adapter, make_call(data={"queue": "nobody"}))
        assert str(error) == (
            "the broker gave the message back: 312 NO_ROUTE (exchange '', routing key 'nobody'); "
            "no queue is bound there"
        )
        assert not error.outcome_unknown
        # the connection is as good as before
        assert await adapter.trigger(make_call()) == Taken()


async def test_rule_12_a_message_that_the_queue_refuses_is_not_taken(broker: Broker, opened: MakeAdapter) -> None:
    broker.make_queue("full", x_max_length=1, x_overflow="reject-publish")
    async with opened(routing_key="full") as adapter:
        assert await adapter.trigger(call_of(1)) == Taken()
        assert str(await failure(adapter, call_of(2))) == "the broker could not take the message (nack)"
        broker.get("full")
        assert await adapter.trigger(call_of(2)) == Taken()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"password": "wrong"}, "cannot log in at 127.0.0.1:PORT: the broker closed the connection: 403 ACC"),
        ({"vhost": "nowhere"}, "the broker closed the connection: 530 NOT_ALLOWED - vhost nowhere not found"),
        ({"vhost": "other"}, "530 NOT_ALLOWED - access to vhost 'other' refused for user 'guest'"),
        ({"exchange": "nowhere"}, "the broker refused: 404 NOT_FOUND - no exchange 'nowhere' in vhost '/'"),
        ({"port": 1}, "cannot connect to 127.0.0.1:1: connection refused"),
        ({"host": "nowhere.invalid"}, "cannot connect to nowhere.invalid:PORT: name lookup failed"),
    ],
)  # fmt: skip
async def test_rule_12_a_broker_that_does_not_let_us_is_no_connection_and_says_why(
    broker: Broker, opened: MakeAdapter, changes: dict[str, Any], words: str
) -> None:
    async with opened(**changes) as adapter:
        words = words.replace("PORT", str(broker.port))
        assert words in str(await failure(adapter))
        with pytest.raises(NotConnected) as caught:
            await adapter.healthcheck()
        assert words in str(caught.value)


async def test_rule_12_a_user_who_may_not_publish(opened: MakeAdapter) -> None:
    async with opened(username="reader", password="reader") as adapter:
        error = await failure(adapter)
        # newer brokers say which access
        assert str(error).startswith("the broker refused: 403 ACCESS_REFUSED - ")
        assert str(error).endswith("refused for user 'reader', before the message was confirmed")
        await adapter.healthcheck()


async def test_a_broker_that_is_there_is_healthy(opened: MakeAdapter) -> None:
    async with opened() as adapter:
        await adapter.healthcheck()
        await adapter.healthcheck()
        assert await adapter.trigger(make_call()) == Taken()


async def test_many_at_once_share_one_connection_and_each_waits_for_its_own_confirm(
    broker: Broker, opened: MakeAdapter
) -> None:
    seen: dict[str, object] = {}

    async def trigger(adapter: AmqpAdapter, number: int) -> None:
        key = "jobs" if number % 10 else "nobody"
        try:
            seen[f"A-{number}"] = await adapter.trigger(call_of(number, data={"queue": key}))
        except NotConnected as error:
            seen[f"A-{number}"] = str(error)[:31]

    async with opened(routing_key_from="action.data.queue") as adapter:
        async with trio.open_nursery() as nursery:
            for number in range(300):
                nursery.start_soon(trigger, adapter, number)
        session = await adapter._publisher.session()
        assert session._next_tag == 301
        assert session._unconfirmed == {}
    assert [seen[f"A-{number}"] for number in range(300)] == [
        Taken() if number % 10 else "the broker gave the message bac" for number in range(300)
    ]
    assert {broker.get("jobs")[1].message_id for _ in range(270)} == {f"A-{n}" for n in range(300) if n % 10}


async def test_cancelled_at_any_await_it_can_be_used_on(opened: MakeAdapter) -> None:
    for steps in range(1, 50):
        async with opened() as adapter:
            with cancel_after_steps(steps) as scope:
                await adapter.trigger(make_call())
            assert await adapter.trigger(call_of(2)) == Taken()
        if not scope.cancelled_caught:
            break
    else:
        raise AssertionError("it never ended")
    assert steps > 3


async def test_closing_leaves_nothing_behind_whatever_it_was_at(broker: Broker, opened: MakeAdapter) -> None:
    tasks, files = _tasks(), _open_files()
    for steps in range(1, 50):
        with cancel_after_steps(steps) as scope:
            async with opened() as adapter:
                await adapter.trigger(make_call())
        await trio.testing.wait_all_tasks_blocked()
        assert (_tasks(), _open_files()) == (tasks, files)
        if not scope.cancelled_caught:
            return
    raise AssertionError("it never ended")


def _tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_tls_with_the_systems_own_roots_and_a_certificate_that_says_who_connects(
    broker: Broker, opened: MakeAdapter, tmp_path: Path
) -> None:
    ours = broker.authority.issue_cert("connectord@example.org", common_name="connectord")
    ours.private_key_and_cert_chain_pem.write_to_path(tmp_path / "ours.pem")
    roots = broker.directory / "roots.pem"
    ours_in_tls = {"roots": roots, "certificate": tmp_path / "ours.pem"}
    plain = {"host": "localhost", "port": broker.tls_port, "username": None, "password": None}
    for changes in (
        {**plain, "username": "guest", "password": "guest", "tls": {"roots": roots}},
        {**plain, "username": "guest", "password": "guest", "tls": {"verify": False}},
        {**plain, "tls": ours_in_tls},
        {**plain, "host": "127.0.0.1", "tls": {**ours_in_tls, "server_name": "localhost"}},
    ):
        async with opened(**changes) as adapter:
            assert await adapter.trigger(make_call()) == Taken()


@pytest.mark.parametrize(
    ("tls", "words"),
    [
        ({}, "no TLS with localhost:PORT: certificate verify failed"),
        ({"roots": "ROOTS", "server_name": "elsewhere"}, "certificate verify failed: Hostname mismatch"),
        ({"roots": "/nowhere/roots.pem"}, "tls.roots /nowhere/roots.pem cannot be used: no such file or directory"),
        ({"certificate": "/nowhere/ours.pem"}, "tls.certificate /nowhere/ours.pem cannot be used: no such file"),
    ],
)  # fmt: skip
async def test_rule_12_tls_that_cannot_be_had_says_why(
    broker: Broker, opened: MakeAdapter, tls: dict[str, Any], words: str
) -> None:
    tls = {name: str(broker.directory / "roots.pem") if value == "ROOTS" else value for name, value in tls.items()}
    async with opened(host="localhost", port=broker.tls_port, tls=tls) as adapter:
        assert words.replace("PORT", str(broker.tls_port)) in str(await failure(adapter))


async def test_tls_to_a_port_that_has_none(broker: Broker, opened: MakeAdapter) -> None:
    async with opened(tls={"verify": False}) as adapter:
        assert f"no TLS with 127.0.0.1:{broker.port}: " in str(await failure(adapter))


def test_the_settings_show_no_secret(settings: Callable[..., AmqpSettings]) -> None:
    made = settings(password="canary-4711", headers={"token": "canary-4711"})
    assert "canary" not in repr(made) + made.model_dump_json()
