"""What both clients do with parameters, answers and errors, apart from sending them."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from typing import Any, TypeAlias, TypeVar

import msgspec

from connectord.control import params as p
from connectord.control import protocol
from connectord.control import results as r
from connectord.errors import (
    BadRequest,
    ConfigurationInvalid,
    ControlError,
    DaemonFault,
    DoesNotExist,
    KeyTaken,
    NoSuchMethod,
    NotPermitted,
    RequestFailed,
    TryAgain,
    UnexpectedAnswer,
    WrongState,
)
from connectord.paths import default_control_socket

SocketPath: TypeAlias = str | os.PathLike[str]
T = TypeVar("T")
Filters = TypeVar("Filters", bound=p.Params)

DONE: tuple[r.StateName, ...] = ("closed", "todo")
"""Where an action goes no further by itself."""

_FAILURES: dict[int, type[RequestFailed]] = {
    protocol.PARSE_ERROR: BadRequest,
    protocol.INVALID_REQUEST: BadRequest,
    protocol.INVALID_PARAMS: BadRequest,
    protocol.UNKNOWN_METHOD: NoSuchMethod,
    protocol.INTERNAL_ERROR: DaemonFault,
    protocol.NOT_FOUND: DoesNotExist,
    protocol.REFUSED: WrongState,
    protocol.NOT_ALLOWED: NotPermitted,
    protocol.CONFIGURATION_REFUSED: ConfigurationInvalid,
    protocol.OVERLOADED: TryAgain,
    protocol.KEY_CONFLICT: KeyTaken,
}


def find_socket(given: SocketPath | None, environ: Mapping[str, str]) -> str:
    """The control socket: the one that is given, else ``$CONNECTORD_SOCKET``, else the default."""
    return os.fspath(given or environ.get("CONNECTORD_SOCKET") or default_control_socket(environ))


def failure(code: int, message: str, data: Any = None) -> RequestFailed:
    """The exception for a JSON-RPC error; a code of a later version is a plain RequestFailed."""
    return _FAILURES.get(code, RequestFailed)(code, message, data if isinstance(data, dict) else None)


def given(filters: Filters) -> Filters | None:
    """The filters, or None where none was given."""
    return filters if msgspec.to_builtins(filters) else None


def renewed(error: ControlError) -> ControlError:
    """The same error as a new exception: one for each task that it concerns."""
    if isinstance(error, RequestFailed):
        return failure(error.code, str(error), error.data)
    return type(error)(str(error))


def plain(method: str, params: p.Params) -> dict[str, Any]:
    """The parameters as JSON's own types. Raises BadRequest for what JSON does not have."""
    try:
        done: dict[str, Any] = msgspec.to_builtins(params)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadRequest(protocol.INVALID_PARAMS, f"{method}: {error}") from error
    return done


def request_line(request_id: int, method: str, params: p.Params) -> bytes:
    """A request as a line. Raises BadRequest for what the daemon cannot take."""
    message = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": plain(method, params)}
    try:
        text = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        line = text.encode()
    except (TypeError, ValueError, RecursionError) as error:  # also: NaN, half a surrogate pair, a cycle
        raise BadRequest(protocol.INVALID_PARAMS, f"{method}: the parameters are not JSON: {error}") from error
    if len(line) > protocol.MAX_LINE_BYTES:
        text = f"{method}: a request may have at most {protocol.MAX_LINE_BYTES} bytes, this has {len(line)}"
        raise BadRequest(protocol.INVALID_REQUEST, text)
    return line + b"\n"


def typed(method: str, value: Any, kind: type[T]) -> T:
    """A decoded answer as its type; members that this version does not know are ignored."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _unexpected(method, error) from error


def typed_json(method: str, text: msgspec.Raw, kind: type[T]) -> T:
    """As :func:`typed`, from JSON."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unexpected(method, error) from error


def _unexpected(method: str, error: Exception) -> UnexpectedAnswer:
    return UnexpectedAnswer(f"{method}: the daemon's answer is not of the shape this client knows: {error}")


def out_of_reach(action: r.Action, wanted: Collection[str]) -> WrongState | None:
    """The error for waiting on a closed action: it changes no more (rule 16)."""
    if action.state != "closed":
        return None
    text = f"{action.id} is closed ({action.resolution}) and will not be {' or '.join(sorted(wanted))} any more"
    return WrongState(protocol.REFUSED, text, {"state": action.state, "reason": text})
