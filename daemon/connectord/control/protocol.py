"""JSON-RPC 2.0, one message a line, as pure functions on bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from connectord.errors import (
    ConfigurationRefused,
    ConnectordError,
    InvalidRequest,
    KeyConflict,
    NotAllowed,
    NotFound,
    Overloaded,
    Refused,
    RequestError,
    StoreError,
)

MAX_LINE_BYTES = 1024 * 1024

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
UNKNOWN_METHOD = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
NOT_FOUND = -32001
REFUSED = -32002
NOT_ALLOWED = -32003
CONFIGURATION_REFUSED = -32004
OVERLOADED = -32005
KEY_CONFLICT = -32006

RequestId: TypeAlias = str | int | float | None


class UnknownMethod(RequestError):
    """There is no such method; the message names the nearest."""


class ProtocolError(ConnectordError):
    """A line that is no request. ``request_id`` is the id to answer to, where one could be read."""

    def __init__(self, code: int, message: str, request_id: RequestId = None) -> None:
        self.code = code
        self.request_id = request_id
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Request:
    """A request; one without an id is a notification and gets no answer."""

    id: RequestId
    method: str
    params: dict[str, Any]
    wants_answer: bool


def parse_request(line: bytes) -> Request:
    """The request in one line. Raises :class:`ProtocolError`."""
    try:
        message = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(PARSE_ERROR, f"the line is not JSON: {error}") from error
    except RecursionError as error:
        raise ProtocolError(PARSE_ERROR, "the line is nested too deeply") from error
    if isinstance(message, list):
        raise ProtocolError(INVALID_REQUEST, "batches are not supported; send one request a line, or use submit_many")
    if not isinstance(message, dict):
        raise ProtocolError(INVALID_REQUEST, "a request is an object with jsonrpc, id, method and params")
    request_id = message.get("id")
    if isinstance(request_id, bool) or not isinstance(request_id, str | int | float | None):
        raise ProtocolError(INVALID_REQUEST, "id must be a string or a number")
    if message.get("jsonrpc") != "2.0":
        raise ProtocolError(INVALID_REQUEST, 'jsonrpc must be "2.0"', request_id)
    method = message.get("method")
    if not isinstance(method, str):
        raise ProtocolError(INVALID_REQUEST, "method must be a string", request_id)
    params = message.get("params", {})
    if not isinstance(params, dict):
        raise ProtocolError(INVALID_PARAMS, "params must be an object: parameters have names", request_id)
    return Request(request_id, method, params, "id" in message)


def encode_result(request_id: RequestId, result: Any) -> bytes:
    """The line that answers a request."""
    return msgspec.json.encode({"jsonrpc": "2.0", "id": request_id, "result": result}) + b"\n"


def encode_error(request_id: RequestId, code: int, message: str, data: dict[str, Any] | None = None) -> bytes:
    """The line that refuses a request."""
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return msgspec.json.encode({"jsonrpc": "2.0", "id": request_id, "error": error}) + b"\n"


def encode_notification(method: str, params: dict[str, Any]) -> bytes:
    """A line that tells something without being asked."""
    return msgspec.json.encode({"jsonrpc": "2.0", "method": method, "params": params}) + b"\n"


def error_reply(request_id: RequestId, error: ConnectordError) -> bytes:
    """The line that says what ``error`` says."""
    data: dict[str, Any] | None = None
    match error:
        case ProtocolError():
            code = error.code
        case UnknownMethod():
            code = UNKNOWN_METHOD
        case InvalidRequest():
            code = INVALID_PARAMS
        case NotFound():
            code = NOT_FOUND
        case Refused():
            code, data = REFUSED, {"state": error.state, "reason": error.reason}
        case NotAllowed():
            code = NOT_ALLOWED
        case KeyConflict():
            code = KEY_CONFLICT
        case Overloaded() | StoreError():
            code = OVERLOADED
        case ConfigurationRefused():
            problems = [
                {"file": item.file, "line": item.line, "key": item.key, "message": item.message}
                for item in error.problems
            ]
            code, data = CONFIGURATION_REFUSED, {"errors": problems}
        case _:
            code = INTERNAL_ERROR
    return encode_error(request_id, code, str(error), data)
