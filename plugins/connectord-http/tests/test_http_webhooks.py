"""Standard Webhooks, held against the standard's own library."""

from __future__ import annotations

import base64
import string
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from connectord.adapters import (
    AdapterContext,
    CallbackNotAllowed,
    CallbackRequest,
    InvalidCallback,
    NotConnected,
    Succeeded,
    Taken,
)
from connectord_http.adapter import HttpAdapter
from connectord_http.settings import HttpSettings
from connectord_http.webhooks import Signer, Verifier, decode_secret
from helpers.calls import make_call
from helpers.http_adapter import NETWORK, Recorder
from helpers.http_server import Response, serve
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

OLD = "whsec_" + base64.b64encode(bytes(range(24))).decode()
NEW = "whsec_" + base64.b64encode(bytes(range(64))).decode()
OTHER = "whsec_" + base64.b64encode(b"x" * 32).decode()
BODY = b'{"status": "success", "data": {"a": 1}}'
NOW = 1_764_000_000


def adapter_with(url: str = "http://billing.internal", *, now: float = NOW, **webhooks: Any) -> HttpAdapter:
    settings = HttpSettings.model_validate({"url": url, "webhooks": webhooks})
    return HttpAdapter(settings, AdapterContext("billing", 1, NETWORK), now=lambda: now)


def signed(secret: str = OLD, *, body: bytes = BODY, at: float = NOW, message_id: str = "msg_1") -> dict[str, str]:
    moment = datetime.fromtimestamp(at, UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at)),
        "webhook-signature": Webhook(secret).sign(message_id, moment, body.decode()),
    }


def read(headers: dict[str, str], *, body: bytes = BODY, **webhooks: Any) -> Any:
    adapter = adapter_with(**{"verify_with": [OLD], **webhooks})
    return adapter.read_callback(CallbackRequest("A-1", headers, body))


def refusal(headers: dict[str, str], **changes: Any) -> str:
    with pytest.raises(CallbackNotAllowed) as refused:
        read(headers, **changes)
    return str(refused.value)


async def test_their_verify_accepts_what_we_send() -> None:
    seen = Recorder(Response(status=503), Response(status=202))
    async with serve(seen) as url:
        adapter = adapter_with(url, now=time.time(), sign_with=[OLD, NEW])
        await adapter.open()
        for attempt in (1, 2):
            call = make_call(attempt=attempt, data={"text": "ü"})
            try:
                assert await adapter.trigger(call) == Taken()
            except NotConnected:
                assert attempt == 1
        await adapter.close()
    for request in seen.requests:
        for secret in (OLD, NEW):
            assert Webhook(secret).verify(request.body, dict(request.headers)) == request.json()
        with pytest.raises(WebhookVerificationError):
            Webhook(OTHER).verify(request.body, dict(request.headers))
    # the same message, however often it is tried
    assert [request.headers["webhook-id"] for request in seen.requests] == ["A-1", "A-1"]


async def test_a_request_without_a_body_is_signed_too() -> None:
    seen = Recorder()
    async with serve(seen) as url:
        settings = HttpSettings.model_validate({"url": url, "method": "DELETE", "webhooks": {"sign_with": [OLD]}})
        adapter = HttpAdapter(settings, AdapterContext("billing", 1, NETWORK))
        await adapter.open()
        await adapter.trigger(make_call())
        await adapter.close()
    Webhook(OLD).verify(b"", dict(seen.only.headers), json_parse=False)


def test_ours_accepts_what_theirs_signs() -> None:
    assert read(signed()) == Succeeded({"a": 1})


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_either_secret_does_while_one_is_replaced(secret: str) -> None:
    assert read(signed(secret), verify_with=[OLD, NEW]) == Succeeded({"a": 1})


def test_one_good_signature_among_several_does() -> None:
    headers = signed()
    others = [signed(OTHER)["webhook-signature"], "v1a,abc", "v2,x", "v1,", "v1,###", "rubbish"]
    headers["webhook-signature"] = " ".join([*others, headers["webhook-signature"]])
    assert read(headers) == Succeeded({"a": 1})


def test_only_one_spelling_of_a_signature_is_valid() -> None:
    headers = signed()
    version, _, encoded = headers["webhook-signature"].partition(",")
    assert encoded.endswith("=")
    # two bits of the last character say nothing
    spare = next(one for one in string.ascii_letters + string.digits if one != encoded[-2] and same_bytes(encoded, one))
    for spelled in (encoded[:-2] + spare + "=", encoded.rstrip("="), encoded + "=", encoded + "===="):
        assert "valid for this body" in refusal({**headers, "webhook-signature": f"{version},{spelled}"})


def same_bytes(encoded: str, last: str) -> bool:
    return base64.b64decode(encoded[:-2] + last + "=") == base64.b64decode(encoded)


def test_the_same_callback_twice_passes_twice() -> None:
    # rule 15 makes it harmless
    assert read(signed()) == read(signed()) == Succeeded({"a": 1})


def test_a_wrong_secret() -> None:
    assert refusal(signed(OTHER)) == "no signature in Webhook-Signature is valid for this body"


def test_another_body() -> None:
    assert "valid for this body" in refusal(signed(), body=BODY + b" ")


def test_another_id() -> None:
    assert "valid for this body" in refusal({**signed(), "webhook-id": "msg_2"})


def test_another_time() -> None:
    assert "valid for this body" in refusal({**signed(), "webhook-timestamp": str(NOW + 1)})


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_header_that_is_missing(name: str) -> None:
    headers = signed()
    del headers[name]
    assert "one is missing" in refusal(headers)
    assert "one is missing" in refusal({**headers, name: ""})


@pytest.mark.parametrize("value", ["now", "-1", "1.5", "9" * 13, "٣"])
def test_a_timestamp_that_is_none(value: str) -> None:
    assert "number of seconds" in refusal({**signed(), "webhook-timestamp": value})


@pytest.mark.parametrize(("seconds", "passes"), [(-301, False), (-300, True), (0, True), (300, True), (301, False)])
def test_the_tolerance(seconds: int, passes: bool) -> None:
    headers = signed(at=NOW + seconds)
    if passes:
        assert read(headers) == Succeeded({"a": 1})
    else:
        assert "too far from this machine's time" in refusal(headers)
    assert read(headers, tolerance="10m") == Succeeded({"a": 1})


def test_the_signature_is_checked_before_the_body_is_read() -> None:
    assert "one is missing" in refusal({}, body=b"not json")
    with pytest.raises(InvalidCallback):
        read(signed(body=b"not json"), body=b"not json")


def test_no_secret_no_signature() -> None:
    assert read({}, verify_with=[]) == Succeeded({"a": 1})


@given(
    body=st.text(max_size=50).map(str.encode),
    key=st.binary(min_size=24, max_size=64),
    seconds=st.integers(0, 4_000_000_000),
)
def test_signed_by_one_verified_by_the_other(body: bytes, key: bytes, seconds: int) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    ours = Signer([decode_secret(secret)], lambda: seconds).sign("msg_1", body)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    assert ours["Webhook-Signature"] == Webhook(secret).sign("msg_1", moment, body.decode())
    Verifier([key], lambda: seconds, 0).verify({name.lower(): value for name, value in ours.items()}, body)


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        ("whsec_", "24 to 64 bytes long; this one has 0"),
        ("whsec_" + base64.b64encode(b"x" * 23).decode(), "this one has 23"),
        ("whsec_" + base64.b64encode(b"x" * 65).decode(), "this one has 65"),
        ("hunter2 hunter2 hunter2", "must be a secret of Standard Webhooks: whsec_ and base64"),
        ("whsec_ü", "and base64"),
        ("whpk_abc", "and base64"),
    ],
)
def test_what_is_no_secret(secret: str, says: str) -> None:
    with pytest.raises(ValueError, match="must be a secret of Standard Webhooks") as refused:
        decode_secret(secret)
    assert says in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_secret_may_lack_its_prefix_and_its_padding() -> None:
    assert decode_secret(base64.b64encode(b"x" * 25).decode().rstrip("=")) == b"x" * 25
