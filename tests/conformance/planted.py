"""A healthy adapter, and siblings with one planted fault each; test_planted_faults.py runs them in another pytest."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

import httpx
import trio
from connectord.adapters import (
    Adapter,
    AdapterSettings,
    Call,
    CallbackNotAllowed,
    CallbackRequest,
    InvalidCallback,
    NotConnected,
    Outcome,
    Rejected,
    Response,
    Succeeded,
    Taken,
)
from connectord.testing import AdapterConformance, Answer, FakeSystem, Request

SECRET = b"not a secret"
LIMIT_SECONDS = 0.2
MOST_BYTES = 100_000


class Settings(AdapterSettings):
    url: str


class Healthy(Adapter):
    """Posts a job, and takes callbacks that are signed with HMAC."""

    name = "healthy"
    Settings = Settings
    limit_seconds: float | None = LIMIT_SECONDS

    async def open(self) -> None:
        transport = self.context.network.http_transport(connect_timeout_seconds=1)
        self.client = httpx.AsyncClient(transport=transport, trust_env=False, timeout=self.limit_seconds)

    async def close(self) -> None:
        await self.client.aclose()

    async def trigger(self, call: Call) -> Outcome:
        try:
            with trio.fail_after(float("inf") if self.limit_seconds is None else self.limit_seconds):
                return await self.post(call)
        except trio.TooSlowError:
            raise NotConnected("the job was not posted in time") from None
        except httpx.TransportError as error:
            raise NotConnected(f"the job was not posted: {type(error).__name__}") from error

    async def post(self, call: Call) -> Outcome:
        headers = {"Idempotency-Key": self.key_of(call)}
        async with self.client.stream(
            "POST", self.settings.url, json={"job": call.action_id}, headers=headers
        ) as answer:
            size = 0
            with trio.CancelScope() as scope:
                async for chunk in answer.aiter_raw():
                    size += len(chunk)
                    if size > MOST_BYTES:
                        scope.cancel()
        if scope.cancelled_caught:
            raise NotConnected("the answer is too long")
        return self.judge(answer.status_code, answer.headers.get("Retry-After"))

    def key_of(self, call: Call) -> str:
        return call.idempotency_key

    def judge(self, status: int, retry_after: str | None) -> Outcome:
        if status in (408, 425, 429) or status >= 500:
            raise NotConnected(f"status {status}", retry_after_seconds=float(retry_after) if retry_after else None)
        return Rejected(f"status {status}") if status >= 400 else Taken()

    def read_callback(self, request: CallbackRequest) -> Response:
        self.check_signature(request)
        try:
            document = json.loads(request.body)
        except (ValueError, RecursionError) as error:
            raise InvalidCallback("no JSON") from error
        if not isinstance(document, dict):
            raise InvalidCallback("no object")
        return Succeeded(document)

    def check_signature(self, request: CallbackRequest) -> None:
        given = request.headers.get("x-signature", "").encode("utf-8", "replace")
        if not hmac.compare_digest(given, signature(request.body).encode()):
            raise CallbackNotAllowed("the signature is wrong")


def signature(body: bytes) -> str:
    return hmac.new(SECRET, body, hashlib.sha256).hexdigest()


class SwallowsCancellation(Healthy):
    name = "swallows"

    async def trigger(self, call: Call) -> Outcome:
        try:
            return await super().trigger(call)
        except trio.Cancelled:
            return Taken()


class LeaksConnection(Healthy):
    name = "leaks-connection"

    async def trigger(self, call: Call) -> Outcome:
        port = httpx.URL(self.settings.url).port or 80
        try:
            other = await trio.open_tcp_stream("127.0.0.1", port)
        except OSError as error:
            raise NotConnected("no connection") from error
        await trio.lowlevel.checkpoint()
        await other.aclose()
        return await super().trigger(call)


class LeaksTask(Healthy):
    name = "leaks-task"

    async def trigger(self, call: Call) -> Outcome:
        trio.lowlevel.spawn_system_task(trio.sleep_forever)
        return await super().trigger(call)


class LeaksThread(Healthy):
    name = "leaks-thread"

    async def trigger(self, call: Call) -> Outcome:
        threading.Thread(target=time.sleep, args=(60,), daemon=True, name="leaked").start()
        return await super().trigger(call)


class NewKeyEachTime(Healthy):
    name = "new-key"

    def key_of(self, call: Call) -> str:
        return str(uuid.uuid4())


class TakenWhateverComes(Healthy):
    name = "taken"

    def judge(self, status: int, retry_after: str | None) -> Outcome:
        return Rejected(f"status {status}") if 400 <= status < 500 and status != 429 else Taken()


class Hangs(Healthy):
    name = "hangs"
    limit_seconds = None


class Blocks(Healthy):
    name = "blocks"

    async def post(self, call: Call) -> Outcome:
        time.sleep(0.25)  # noqa: ASYNC251 - this is the fault
        return await super().post(call)

    limit_seconds = 0.6


class RaisesOnCallback(Healthy):
    name = "raises-on-callback"

    def read_callback(self, request: CallbackRequest) -> Response:
        self.check_signature(request)
        return Succeeded(json.loads(request.body)["data"])

    def check_signature(self, request: CallbackRequest) -> None:
        if request.headers["x-signature"] != signature(request.body):
            raise CallbackNotAllowed("the signature is wrong")


class AcceptsForged(Healthy):
    name = "accepts-forged"

    def check_signature(self, request: CallbackRequest) -> None:
        if "x-signature" not in request.headers:
            raise CallbackNotAllowed("the signature is missing")


class Sound(AdapterConformance):
    signed_callbacks = True
    time_limit_seconds = 2.0
    concurrency = 4
    callback_examples = 40

    def settings(self, system: FakeSystem) -> Mapping[str, Any]:
        return {"url": system.url}

    def answer(self, request: Request) -> Answer:
        return Answer.of_json({"id": "J-1"}, 202)

    def good_callback(self) -> CallbackRequest:
        body = b'{"data": {"document": "R-17"}}'
        return CallbackRequest("A-1", {"x-signature": signature(body)}, body)


ADAPTERS = [
    Healthy, SwallowsCancellation, LeaksConnection, LeaksTask, LeaksThread, NewKeyEachTime, TakenWhateverComes, Hangs,
    Blocks, RaisesOnCallback, AcceptsForged,
]  # fmt: skip
for _adapter in ADAPTERS:
    globals()[f"Test{_adapter.__name__}"] = type(f"Test{_adapter.__name__}", (Sound,), {"adapter": _adapter})
