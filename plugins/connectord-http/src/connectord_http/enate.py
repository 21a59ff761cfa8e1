"""The dialect ``enate``: for systems that were built against Enate's 'Trigger External API' actions."""

from __future__ import annotations

from typing import Any

import msgspec
from connectord.adapters import NO_REASON_GIVEN, Call, InvalidCallback, Rejected, Response, Succeeded


def payload(call: Call) -> dict[str, Any]:
    """What is sent: the standard fields win over custom data of the same name."""
    title = call.data.get("title")
    standard = {
        "GUID": call.action_id,
        "Reference": call.action_id,
        "Title": title if isinstance(title, str) else call.system,
        "ProcessType": "Action",
        "Status": "In Progress",
        "ResolutionMethod": None,
        "DueDate": None,
        "OwnerUser": call.owner,
        "CurrentQueueName": None,
        "AssignedToUser": None,
        "RobotRejectedReason": None,
    }
    return {"Action": {**call.case_data, **call.data, **standard}, "CallBackURL": call.callback_url}


def read_callback(body: bytes) -> Response:
    """The response that a callback's body is. Raises :class:`InvalidCallback`."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidCallback(f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidCallback('the body must be an object such as {"Success": true, "DataFields": {}}')
    success = document.get("Success")
    if not isinstance(success, bool):
        raise InvalidCallback('"Success" must be true or false')
    data = document.get("DataFields")
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise InvalidCallback('"DataFields" must be an object')
    if success:
        return Succeeded(data)
    reason = document.get("RobotRejectedReason")
    if reason is not None and not isinstance(reason, str):
        raise InvalidCallback('"RobotRejectedReason" must be a text')
    return Rejected(reason or NO_REASON_GIVEN, data)


def read_answer(body: bytes) -> Succeeded | Rejected | None:
    """The response that the answer to the request is, or None where it is none."""
    try:
        response = read_callback(body)
    except InvalidCallback:
        return None
    return response if isinstance(response, Succeeded | Rejected) else None
