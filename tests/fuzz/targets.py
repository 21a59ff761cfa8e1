"""What is fuzzed: each target takes any bytes, and must not raise anything but what its callers expect."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import h11
import msgspec
import trio
import trio.testing
from connectord.adapters import AdapterContext, CallbackNotAllowed, CallbackRequest, InvalidCallback
from connectord.callback_handler import read_event
from connectord.callbacks import CallbackAnswer, TokenKey
from connectord.callbacks.connection import Connection, Service
from connectord.callbacks.limits import DEFAULTS, BadTokens
from connectord.config import load_config
from connectord.control.protocol import ProtocolError, encode_result, error_reply, parse_request
from connectord.control.signatures import SIGNATURES
from connectord.errors import ConfigurationRefused, ConnectordError
from connectord.responses import read_response
from connectord_exec.adapter import ExecAdapter
from connectord_http.adapter import HttpAdapter
from connectord_http.settings import HttpSettings
from helpers.http_adapter import NETWORK
from structlog import get_logger

KEY = TokenKey(bytes(32))
TOKEN = KEY.issue("01JDEFGHJKMNPQRSTVWXYZ0123")


class _Reader:
    """Takes what connectord's own format can say."""

    async def handle_callback(self, action_id: str, headers: object, body: bytes) -> CallbackAnswer:
        await trio.lowlevel.checkpoint()
        read_response(body)
        return CallbackAnswer.TAKEN


def _adapter(**settings: object) -> HttpAdapter:
    model = HttpSettings.model_validate({"url": "http://127.0.0.1:9", **settings})
    return HttpAdapter(model, AdapterContext("fuzz", 1, NETWORK))


_ADAPTERS = (
    None,  # its system is not configured any more
    _adapter(),
    _adapter(dialect="enate"),
    _adapter(callback={"success_when": "body.ok", "failure_when": "!body.ok", "data": {"expr": "body.result"}}),
)


def request(data: bytes) -> None:
    """A connection to the callback listener: ``TOKEN`` in the bytes stands for a valid one. Every answer is HTTP."""

    async def serve() -> bytes:
        client, server = trio.testing.memory_stream_pair()
        service = Service(KEY, _Reader(), DEFAULTS.in_force, BadTokens(trio.current_time), get_logger().bind())
        answers = b""

        async def send() -> None:
            try:
                await client.send_all(data.replace(b"TOKEN", TOKEN.encode()))
                await client.send_eof()
            except trio.BrokenResourceError:
                return

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            nursery.start_soon(Connection(server, service, address="192.0.2.1").serve)
            while chunk := await client.receive_some(65536):
                answers += chunk
        return answers

    answers = trio.run(serve, clock=trio.testing.MockClock(autojump_threshold=0))
    parser = h11.Connection(h11.CLIENT)
    if answers:
        parser.send(h11.Request(method="POST", target="/", headers=[("Host", "x")]))
        parser.send(h11.EndOfMessage())
        parser.receive_data(answers)
        first = parser.next_event()
        assert isinstance(first, h11.Response | h11.InformationalResponse), first
        assert first.status_code != 500, answers


def body(data: bytes) -> None:
    """The body of a callback, as every kind of adapter reads it."""
    for adapter in _ADAPTERS:
        try:
            read_event(adapter, CallbackRequest("A", {"content-type": "application/json"}, data))
        except (InvalidCallback, CallbackNotAllowed):
            continue


def line(data: bytes) -> None:
    """A line of the control socket: parsed, its parameters checked, and answered."""
    try:
        call = parse_request(data)
    except ProtocolError as error:
        msgspec.json.decode(error_reply(error.id, error))
        return
    signature = SIGNATURES.get(call.method)
    if signature is not None:
        try:
            msgspec.convert(call.params, signature.params)
        except msgspec.ValidationError:
            return
    msgspec.json.decode(encode_result(call.id, call.params))


_FILE = Path(tempfile.gettempdir()) / "connectord-fuzz.toml"


def toml(data: bytes) -> None:
    """A configuration."""
    try:
        load_config(_FILE, adapters={"http": HttpAdapter, "exec": ExecAdapter}, environ={"A": "b"}, text=data)
    except ConfigurationRefused as error:
        problems = error.problems
    else:
        return
    assert problems
    assert all(problem.message for problem in problems)


TARGETS: dict[str, Callable[[bytes], None]] = {"request": request, "body": body, "line": line, "toml": toml}


def run(target: str, data: bytes) -> None:
    """Run one target on ``data``. Raises what it should not have raised."""
    try:
        TARGETS[target](data)
    except ConnectordError as error:
        raise AssertionError(f"not expected here: {type(error).__name__}: {error}") from error
