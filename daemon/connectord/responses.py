"""connectord's own format of a response: what a callback's body, or an immediate answer, says.

``{"status": "success", "data": {...}}``, ``{"status": "failure", "reason": "...", "data": {...}}`` or
``{"status": "progress", "text": "...", "percent": 40}``. Fields that are not named here are ignored, so that a
system may send more than connectord reads.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec

from connectord.errors import InvalidCallback


class SuccessDocument(msgspec.Struct, frozen=True, tag_field="status", tag="success"):
    """A successful response (rule 2) and its custom data."""

    data: dict[str, Any] | None = None


class FailureDocument(msgspec.Struct, frozen=True, tag_field="status", tag="failure"):
    """An unsuccessful response (rule 3): why, and its custom data."""

    reason: str | None = None
    data: dict[str, Any] | None = None


class ProgressDocument(msgspec.Struct, frozen=True, tag_field="status", tag="progress"):
    """A heartbeat (rule 21): the system is still at work."""

    text: str | None = None
    percent: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None


ResponseDocument: TypeAlias = SuccessDocument | FailureDocument | ProgressDocument

_decoder: msgspec.json.Decoder[ResponseDocument] = msgspec.json.Decoder(ResponseDocument)


def read_response(body: bytes) -> ResponseDocument:
    """Read a response in connectord's own format.

    Raises :class:`connectord.errors.InvalidCallback` with what is wrong and where.
    """
    try:
        return _decoder.decode(body)
    except msgspec.DecodeError as error:  # ValidationError is one of them
        raise InvalidCallback(f"the body is not a response: {error}") from error
    except UnicodeDecodeError as error:
        raise InvalidCallback(f"the body is not UTF-8: byte {error.start} cannot be decoded") from error
    except RecursionError as error:
        raise InvalidCallback("the body is nested too deeply") from error
