"""The http adapter's mappings and signatures through a real daemon."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import trio
from connectord.testing.daemon_process import DaemonProcess
from connectord.testing.fake_system import FakeSystem
from standardwebhooks import Webhook

Configure = Callable[..., None]
SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


async def test_rule_15_a_callback_without_a_valid_signature_changes_nothing(
    daemon: DaemonProcess, configure: Configure, fake: FakeSystem
) -> None:
    configure(
        erp_http=f'webhooks = {{ sign_with = ["{SECRET}"], verify_with = ["{SECRET}"] }}\n'
        "callback = { success_when = \"body.state == 'DONE'\", failure_when = \"body.state == 'FAILED'\", "
        'data = { number = { expr = "body.no" } } }\n'
    )
    await daemon.start()
    action = await daemon.call("submit", system="erp", data={"play": "silent"})
    await daemon.until(action["id"], "waiting")
    url = fake.seen[0].body["callback_url"]
    body = json.dumps({"state": "DONE", "no": "R-17"})
    now = datetime.now(UTC)
    signature = {"webhook-id": "m1", "webhook-timestamp": str(int(now.timestamp()))}
    signed = {**signature, "webhook-signature": Webhook(SECRET).sign("m1", now, body)}
    kind = {"content-type": "application/json"}
    async with httpx.AsyncClient(trust_env=False) as client:
        for headers in ({}, {**signed, "webhook-id": "m2"}, {**signed, "webhook-signature": "v1,AAAA"}):
            answer = await client.post(url, content=body, headers={**kind, **headers})
            assert answer.status_code == 401
            assert "Webhook-Signature" in answer.json()["detail"]
            assert answer.headers["www-authenticate"] == "Signature"
        assert (await daemon.call("show", id=action["id"]))["state"] == "waiting"
        foreign = json.dumps({"state": "QUEUED"})
        good = {**signature, "webhook-signature": Webhook(SECRET).sign("m1", now, foreign)}
        answer = await client.post(url, content=foreign, headers={**kind, **good})
        assert answer.status_code == 400
        for _ in range(2):
            answer = await client.post(url, content=body, headers={**kind, **signed})
            assert answer.status_code == 200
    with trio.fail_after(10):
        closed = await daemon.until(action["id"], "closed")
    assert (closed["resolution"], closed["response_data"]) == ("done_successfully", {"number": "R-17"})
    assert closed["late_responses"] == []


async def test_a_target_that_is_not_allowed_is_for_a_person(daemon: DaemonProcess, configure: Configure) -> None:
    configure(
        extra='[systems.hooks]\nadapter = "http"\n[systems.hooks.http]\nurl = { expr = "action.data.endpoint" }\n'
    )
    await daemon.start()
    endpoint = "http://169.254.169.254/latest/meta-data"
    action = await daemon.call("submit", system="hooks", data={"endpoint": endpoint})
    refused = await daemon.until(action["id"], "todo")
    assert refused["reason"] == "updated_by_integration"
    assert refused["rejected_reason"] == (
        "nothing was sent there: 169.254.169.254 is not allowed: it is the metadata service of a cloud"
    )
    assert refused["attempts"] == 1
