"""The adapter passes the kit: plain, with signatures both ways, and polling."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from connectord.adapters import CallbackRequest
from connectord.testing import AdapterConformance, Answer, FakeSystem, Request
from connectord_http.adapter import HttpAdapter
from connectord_http.webhooks import Signer, decode_secret

SECRET = "whsec_bm90IGEgc2VjcmV0LCBqdXN0IGZvciB0ZXN0cyE="


class TestHttp(AdapterConformance):
    adapter = HttpAdapter

    def settings(self, system: FakeSystem) -> Mapping[str, Any]:
        return {"url": system.url, "connect_timeout": "500ms", "read_timeout": "500ms"}


class TestSignedAndPolled(TestHttp):
    signed_callbacks = True

    def settings(self, system: FakeSystem) -> Mapping[str, Any]:
        webhooks = {"sign_with": [SECRET], "verify_with": [SECRET]}
        poll = {"url": f"{system.base_url}/jobs/{{reference}}"}
        auth = {"bearer": "hunter2-hunter2"}
        return {**super().settings(system), "webhooks": webhooks, "poll": poll, "auth": auth}

    def hands_over(self, request: Request) -> bool:
        return request.method == "POST"

    def answer(self, request: Request) -> Answer:
        return Answer(204) if request.method == "GET" else Answer.of_json({"id": "J-1"}, 202)

    def good_callback(self) -> CallbackRequest:
        body = json.dumps({"status": "success", "data": {"document": "R-17"}}).encode()
        headers = Signer([decode_secret(SECRET)], time.time).sign("msg_1", body)
        return CallbackRequest("A-1", {name.lower(): value for name, value in headers.items()}, body)
