"""JSON-RPC 2.0, one message a line: reading requests, writing replies and notifications."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from connectord.errors import (
    ConfigurationRefused,
    InvalidRequest,
    KeyConflict,
    NotAllowed,
    NotFound,
    NotInHistory,
    Overloaded,
    PluginFault,
    Refused,
    StoreFailed,
    StoreFull,
    WatcherTooSlow,
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

RequestId = str | int | None

_MEMBERS = frozenset({"jsonrpc", "id", "method", "params"})


@dataclass(frozen=True, slots=True)
class Request:
    """One request. A notification has no id and gets no reply."""

    id: RequestId
    method: str
    params: dict[str, Any] = field(default_factory=dict)
    is_notification: bool = False


class Notify(Protocol):
    """Sends notifications of one method, one for each of ``params``, in one piece: a few dozen at most."""

    async def __call__(self, method: str, *params: Any) -> None: ...


class ProtocolError(Exception):
    """A line is not a request that can be answered; ``id`` is the request's id as far as it could be read."""

    def __init__(self, code: int, message: str, id: RequestId = None) -> None:  # noqa: A002
        self.code = code
        self.message = message
        self.id = id
        super().__init__(message)


def parse_request(line: bytes) -> Request:
    """The request in ``line``, or ProtocolError with the code and the text to answer."""
    try:
        message = msgspec.json.decode(line)
    except RecursionError:
        raise ProtocolError(PARSE_ERROR, "the line is nested too deeply") from None
    except UnicodeDecodeError:
        raise ProtocolError(PARSE_ERROR, "the line is not UTF-8") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise ProtocolError(PARSE_ERROR, f"the line is not JSON: {error}") from None
    if isinstance(message, list):
        raise ProtocolError(INVALID_REQUEST, "batches are not taken: send one request a line, without the array")
    if not isinstance(message, dict):
        raise ProtocolError(INVALID_REQUEST, "a request is a JSON object")
    request_id = message.get("id")
    # bool is an int in Python, but not an id in JSON-RPC
    if isinstance(request_id, bool) or not isinstance(request_id, str | int | None):
        raise ProtocolError(INVALID_REQUEST, "id must be a string, an integer or null")
    if message.get("jsonrpc") != "2.0":
        raise ProtocolError(INVALID_REQUEST, 'jsonrpc must be "2.0"', request_id)
    method = message.get("method")
    if not isinstance(method, str):
        raise ProtocolError(INVALID_REQUEST, "method must be a string", request_id)
    unknown = sorted(message.keys() - _MEMBERS)
    if unknown:
        text = f"unknown member {unknown[0]!r}: a request has jsonrpc, id, method and params"
        raise ProtocolError(INVALID_REQUEST, text, request_id)
    params = message.get("params", {})
    if not isinstance(params, dict):
        raise ProtocolError(INVALID_PARAMS, "params must be an object: parameters are named", request_id)
    return Request(request_id, method, params, "id" not in message)


def unknown_method(method: str, known: Collection[str], request_id: RequestId = None) -> ProtocolError:
    """The error for a method that does not exist; names the nearest one that does."""
    text = f"there is no method {method[:100]!r}"
    nearest = difflib.get_close_matches(method[:100], known, n=1)
    if nearest:
        text += f"; did you mean {nearest[0]!r}?"
    return ProtocolError(UNKNOWN_METHOD, text, request_id)


def encode_result(request_id: RequestId, result: Any) -> bytes:
    """The line that answers a request with its result."""
    return msgspec.json.encode({"jsonrpc": "2.0", "id": request_id, "result": result}) + b"\n"


def encode_error(request_id: RequestId, code: int, message: str, data: dict[str, Any] | None = None) -> bytes:
    """The line that answers a request with an error."""
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return msgspec.json.encode({"jsonrpc": "2.0", "id": request_id, "error": error}) + b"\n"


def encode_notification(method: str, params: Any) -> bytes:
    """The line of a notification."""
    return msgspec.json.encode({"jsonrpc": "2.0", "method": method, "params": params}) + b"\n"


_CODES: tuple[tuple[type[Exception], int], ...] = (
    (NotFound, NOT_FOUND),
    (NotAllowed, NOT_ALLOWED),
    (InvalidRequest, INVALID_PARAMS),
    (Overloaded, OVERLOADED),
    (StoreFull, OVERLOADED),
    (KeyConflict, KEY_CONFLICT),
    (PluginFault, INTERNAL_ERROR),
)


def is_expected(error: Exception) -> bool:
    """Whether the caller is told what ``error`` says; anything else is an internal error."""
    told = (ProtocolError, Refused, ConfigurationRefused, *(kind for kind, _ in _CODES))
    return isinstance(error, told)


def error_reply(request_id: RequestId, error: Exception) -> bytes:
    """The line that answers a request with ``error``; what is not meant for callers is not shown to them."""
    if isinstance(error, ProtocolError):
        return encode_error(request_id, error.code, error.message)
    if isinstance(error, Refused):
        data: dict[str, Any] = {"state": error.state, "reason": error.reason}
        if isinstance(error, NotInHistory):
            data["resume_after"] = error.resume_after
        return encode_error(request_id, REFUSED, error.reason, data)
    if isinstance(error, WatcherTooSlow):
        return encode_error(request_id, OVERLOADED, str(error), {"resume_after": error.resume_after})
    if isinstance(error, ConfigurationRefused):
        errors = [{"file": p.file, "line": p.line, "key": p.key, "message": p.message} for p in error.problems]
        text = f"the configuration is refused: {len(errors)} problem{'' if len(errors) == 1 else 's'}"
        return encode_error(request_id, CONFIGURATION_REFUSED, text, {"errors": errors})
    for kind, code in _CODES:
        if isinstance(error, kind):
            return encode_error(request_id, code, str(error))
    if isinstance(error, StoreFailed):
        return encode_error(request_id, INTERNAL_ERROR, "the store failed: the daemon stops and must be restarted")
    return encode_error(request_id, INTERNAL_ERROR, "internal error: the daemon's log says more")
