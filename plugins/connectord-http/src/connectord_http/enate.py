"""``dialect = "enate"``: for systems that were built against the product that connectord learned its trade from."""

from __future__ import annotations

from typing import Any

from connectord.adapters import NO_REASON_GIVEN, Call, Rejected, Succeeded
from connectord.errors import InvalidCallback

from connectord_http.documents import decode_json

_KINDS = {type(None): "null", str: "a string", int: "a number", float: "a number", list: "an array", dict: "an object"}


def build_payload(call: Call) -> dict[str, Any]:
    """The body that hands ``call`` over.

    Custom data, the action's before the case's, stands beside the standard fields, which win over custom data of
    the same name. Standard fields that connectord knows nothing of are null.
    """
    title = call.data.get("title")
    return {
        "Action": {
            **call.case_data,
            **call.data,
            "GUID": call.action_id,
            "Reference": call.action_id,
            "Title": title if isinstance(title, str) and title else call.system,
            "ProcessType": "Action",
            "Status": "In Progress",
            "ResolutionMethod": None,
            "DueDate": None,
            "OwnerUser": call.owner,
            "CurrentQueueName": None,
            "AssignedToUser": None,
            "RobotRejectedReason": None,
        },
        "CallBackURL": call.callback_url,
    }


def read_callback(body: bytes) -> Succeeded | Rejected:
    """What a callback says. Raises :class:`connectord.errors.InvalidCallback`."""
    try:
        document = decode_json(body)
    except ValueError as error:
        raise InvalidCallback(f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidCallback(f'the body must be an object such as {{"Success": true}}, not {_kind(document)}')
    if "Success" not in document:
        raise InvalidCallback('"Success" is missing: true if the work was done, false if not')
    success = document["Success"]
    if not isinstance(success, bool):
        raise InvalidCallback(f'"Success" must be true or false, not {_kind(success)}')
    fields = document.get("DataFields")
    if fields is not None and not isinstance(fields, dict):
        raise InvalidCallback(f'"DataFields" must be an object of names and values, not {_kind(fields)}')
    if success:
        return Succeeded(data=fields or {})
    reason = document.get("RobotRejectedReason")
    if reason is not None and not isinstance(reason, str):
        raise InvalidCallback(f'"RobotRejectedReason" must be a string, not {_kind(reason)}')
    return Rejected(reason=reason or NO_REASON_GIVEN, data=fields or {})


def read_answer(body: bytes) -> Succeeded | Rejected | None:
    """The response that the body of a 2xx answer is, if it is one."""
    try:
        return read_callback(body)
    except InvalidCallback:
        return None


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    kind = _KINDS[type(value)]
    return f'{kind} ("{value[:20]}")' if isinstance(value, str) else kind
