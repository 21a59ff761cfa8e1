"""Traces of a real daemon, taken by a receiver that decodes them with OpenTelemetry's own messages."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
import trio
from connectord.errors import RequestFailed
from connectord.testing.daemon_process import DaemonProcess
from connectord.testing.fake_system import FakeSystem
from connectord.trace_context import attempt_span_id, trace_of
from helpers.ctl import Ctl
from helpers.otlp_receiver import OtlpReceiver
from helpers.ports import lasting_port
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture
async def receiver() -> AsyncIterator[OtlpReceiver]:
    receiver = OtlpReceiver()
    async with receiver.serve():
        yield receiver


def tracing(receiver: OtlpReceiver, more: str = "") -> str:
    return f'[tracing]\nendpoint = "http://127.0.0.1:{receiver.port}"\n{more}\n'


def attribute(span: Span, key: str) -> str | int | None:
    for each in span.attributes:
        if each.key == key:
            return each.value.string_value or each.value.int_value
    return None


async def test_one_trace_an_action_from_its_id(
    daemon: DaemonProcess, fake: FakeSystem, receiver: OtlpReceiver, configure: Callable[..., None]
) -> None:
    configure(extra=tracing(receiver, 'headers = { X-Team = "finance" }\nservice_name = "billing-connectord"'))
    await daemon.start()
    action = await daemon.call("submit", system="erp", case="C-1")
    await daemon.until(action["id"], "closed")
    spans = {span.name: span for span in await receiver.until(6)}
    assert set(spans) == {"submit", "attempt 1", "wait", "callback", "close", "action erp"}

    trace_id, parent = trace_of(action["id"], None)
    assert parent is None
    assert {span.trace_id.hex() for span in spans.values()} == {trace_id}
    root = spans["action erp"]
    assert root.parent_span_id == b""
    assert {span.parent_span_id for span in spans.values() if span is not root} == {root.span_id}
    assert root.start_time_unix_nano <= spans["attempt 1"].start_time_unix_nano <= root.end_time_unix_nano
    assert root.status.code == Status.STATUS_CODE_UNSET
    assert attribute(root, "connectord.resolution") == "done_successfully"
    assert attribute(spans["wait"], "connectord.event") == "SuccessReceived"
    assert [event.name for event in root.events] == ["Submitted", "AttemptStarted", "TakenBySystem", "SuccessReceived"]

    # what the system was told: its own spans hang on the attempt
    (request,) = fake.requests
    assert request.headers["traceparent"] == f"00-{trace_id}-{spans['attempt 1'].span_id.hex()}-01"
    assert receiver.headers[0]["content-type"] == "application/x-protobuf"
    assert receiver.headers[0]["x-team"] == "finance"
    resource = {
        each.key: each.value.string_value for each in receiver.requests[0].resource_spans[0].resource.attributes
    }
    assert resource["service.name"] == "billing-connectord"


async def test_failed_attempts_and_the_submitters_own_trace(
    daemon: DaemonProcess, fake: FakeSystem, receiver: OtlpReceiver, configure: Callable[..., None]
) -> None:
    configure(extra=tracing(receiver))
    await daemon.start()
    action_id = (await Ctl(daemon)("submit", "depot", "--traceparent", TRACEPARENT)).strip()
    await daemon.until(action_id, "closed")
    spans = await receiver.until(6)
    assert Counter(span.name for span in spans) == Counter(
        ["submit", "attempt 1", "attempt 2", "attempt 3", "close", "action depot"]
    )
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    (root,) = [span for span in spans if span.name == "action depot"]
    assert root.parent_span_id.hex() == PARENT
    assert root.status.code == Status.STATUS_CODE_ERROR
    failed = [span for span in spans if span.name.startswith("attempt")]
    assert {span.span_id.hex() for span in failed} == {attempt_span_id(action_id, number) for number in (1, 2, 3)}
    assert all(span.status.code == Status.STATUS_CODE_ERROR for span in failed)
    assert all("refused" in span.status.message for span in failed)


async def test_a_crash_and_a_receiver_that_is_away_lose_no_span(
    daemon: DaemonProcess, fake: FakeSystem, configure: Callable[..., None]
) -> None:
    receiver = OtlpReceiver(lasting_port())
    metrics = lasting_port()
    configure(extra=tracing(receiver) + f'[metrics]\nbind = "127.0.0.1:{metrics}"\n')
    await daemon.start()
    ids = [(await daemon.call("submit", system="erp"))["id"] for _ in range(20)]
    for action_id in ids:
        await daemon.until(action_id, "closed")
    async with httpx.AsyncClient(trust_env=False) as client:
        with trio.fail_after(20):
            while "connectord_tracing_failures_total 0.0" in (
                scrape := (await client.get(f"http://127.0.0.1:{metrics}/metrics")).text
            ):
                await trio.sleep(0.1)
    assert "connectord_tracing_spans_total 0.0" in scrape
    assert "connectord_tracing_behind 80.0" in scrape
    assert "traces not taken" in daemon.log()
    daemon.kill()
    async with receiver.serve():
        await daemon.start()
        await receiver.until(6 * len(ids))
        roots = {span.trace_id.hex() for span in receiver.spans if span.name == "action erp"}
        assert roots == {trace_of(action_id, None)[0] for action_id in ids}
        assert await daemon.stop() == 0


async def test_what_the_receiver_refuses_is_dropped_and_counted(
    daemon: DaemonProcess, fake: FakeSystem, receiver: OtlpReceiver, configure: Callable[..., None]
) -> None:
    configure(extra=tracing(receiver))
    receiver.answers.extend([(503, b""), (400, b"")])
    await daemon.start()
    first = await daemon.call("submit", system="erp")
    await daemon.until(first["id"], "closed")
    with trio.fail_after(20):
        while "traces refused" not in daemon.log():
            await trio.sleep(0.1)
    second = await daemon.call("submit", system="erp")
    await daemon.until(second["id"], "closed")
    with trio.fail_after(20):
        while not [span for span in receiver.spans if span.trace_id.hex() == trace_of(second["id"], None)[0]]:
            await trio.sleep(0.1)


async def test_a_submitter_decides_whether_its_trace_is_recorded_and_nonsense_is_refused(
    daemon: DaemonProcess, fake: FakeSystem, receiver: OtlpReceiver, configure: Callable[..., None]
) -> None:
    configure(extra=tracing(receiver, "sample = 0.0"))
    await daemon.start()
    unsampled = f"{TRACEPARENT[:-2]}00"
    for traceparent in (None, unsampled, TRACEPARENT):
        params = {} if traceparent is None else {"traceparent": traceparent}
        action = await daemon.call("submit", system="erp", **params)
        await daemon.until(action["id"], "closed")
    spans = await receiver.until(6)
    assert len(spans) == 6
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    told = [request.headers["traceparent"] for request in fake.requests]
    assert [text[-2:] for text in told] == ["00", "00", "01"]
    with pytest.raises(RequestFailed, match="traceparent must be 00-TRACE-SPAN-FLAGS"):
        await daemon.call("submit", system="erp", traceparent="nonsense")


async def test_without_tracing_what_the_submitter_gave_is_passed_on_as_it_is(
    daemon: DaemonProcess, fake: FakeSystem, configure: Callable[..., None]
) -> None:
    await daemon.start()
    for params in ({"traceparent": TRACEPARENT}, {}):
        action = await daemon.call("submit", system="erp", **params)
        await daemon.until(action["id"], "closed")
    assert [request.headers.get("traceparent") for request in fake.requests] == [TRACEPARENT, None]
    with sqlite3.connect(daemon.directory / "state" / "connectord.db") as database:
        assert database.execute("SELECT traceparent FROM actions ORDER BY id").fetchall() == [(TRACEPARENT,), (None,)]


async def test_a_reload_turns_traces_on_and_off(
    daemon: DaemonProcess, fake: FakeSystem, receiver: OtlpReceiver, configure: Callable[..., None]
) -> None:
    await daemon.start()
    before = await daemon.call("submit", system="erp")
    await daemon.until(before["id"], "closed")
    configure(extra=tracing(receiver))
    plan = (await daemon.call("reload"))["plan"]
    assert "tracing.endpoint" in [change["key"] for change in plan["other"]]
    action = await daemon.call("submit", system="erp")
    await daemon.until(action["id"], "closed")
    spans = await receiver.until(6)
    assert {span.trace_id.hex() for span in spans} == {trace_of(action["id"], None)[0]}
    configure()
    await daemon.call("reload")
    assert not (daemon.directory / "state" / "traces.position").exists()
