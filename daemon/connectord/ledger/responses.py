"""From what an adapter says a system answered to the event that it stands for, checked field by field.

A plugin may hand over anything. What is not of the right type is refused here, as the adapter's fault, before it can
reach the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from connectord.adapters import MAX_RESPONSE_BYTES, Progress, Rejected, Succeeded
from connectord.ledger.submission import response_digest
from connectord.lifecycle import events as on

MOST_LEVELS = 200
"""How deep custom data may be nested."""


def response_event(response: object, source: str, attempt: int | None = None) -> on.Event:
    """The event that a response stands for. ``source`` is what returned it, for the message: ``poll()``.

    ``attempt`` is the number of the attempt that brought it, None where it came by another way. Raises
    :class:`TypeError` or :class:`ValueError` for what is no response.
    """
    match response:
        case Succeeded():
            data = _data(response.data, source)
            return on.SuccessReceived(response_digest("success", None, data), data, attempt)
        case Rejected():
            reason, data = checked_text(response.reason, source, "reason"), _data(response.data, source)
            return on.FailureReceived(response_digest("failure", reason, data), reason, data, attempt)
        case Progress():
            text = None if response.text is None else checked_text(response.text, source, "text")
            percent = _percent(response.percent, source)
            return on.HeartbeatReceived(response_digest("progress", text, {"percent": percent}), text, percent)
    raise TypeError(f"{source} returned {type(response).__name__}, which is no response")


def checked_text(value: object, source: str, name: str) -> str:
    """``value``, if it is a string that can be stored. Raises :class:`TypeError` or :class:`ValueError`."""
    if not isinstance(value, str):
        raise TypeError(f"{source} returned a {name} that is no string but {type(value).__name__}")
    if not value.isascii():
        value.encode()  # raises for a lone surrogate, which no store takes
    if len(value) > MAX_RESPONSE_BYTES:
        raise ValueError(f"{source} returned a {name} of {len(value)} characters; {_AT_MOST}")
    return value


def _data(value: object, source: str) -> Mapping[str, Any]:
    if type(value) is not dict and not isinstance(value, Mapping):  # the latter asks Python code
        raise TypeError(f"{source} returned data that is no mapping but {type(value).__name__}")
    if value:
        _check_extent(value, source)
    return value


def _check_extent(data: Mapping[Any, Any], source: str) -> None:
    """Raise :class:`ValueError` where the data is too large or too deep, :class:`TypeError` where it is no JSON."""
    try:
        encoded = msgspec.json.encode(data)
    except RecursionError:
        raise ValueError(_too_deep(source)) from None
    if len(encoded) > MAX_RESPONSE_BYTES:
        raise ValueError(f"{source} returned data of {len(encoded)} bytes; {_AT_MOST}")
    # only what has so many containers can be so deep
    if encoded.count(b"{") + encoded.count(b"[") > MOST_LEVELS and is_too_deep(msgspec.json.decode(encoded)):
        raise ValueError(_too_deep(source))


def is_too_deep(data: Any) -> bool:
    """Whether JSON is nested deeper than :data:`MOST_LEVELS`, where some reader of it would give up one day."""
    level = [data]
    for _ in range(MOST_LEVELS):
        level = [item for each in level for item in _items(each) if isinstance(item, (dict, list))]
        if not level:
            return False
    return True


def _items(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _too_deep(source: str) -> str:
    return f"{source} returned data that is nested deeper than {MOST_LEVELS} levels"


_AT_MOST = f"a response carries at most {MAX_RESPONSE_BYTES} of them: keep large results elsewhere, and name the place"


def _percent(value: object, source: str) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{source} returned a percent that is no number but {type(value).__name__}")
    if not 0 <= value <= 100:
        raise ValueError(f"{source} returned a percent of {value}; it must be from 0 to 100")
    return value
