"""An action as a message, and a message as a response."""

from __future__ import annotations

from typing import Any

import msgspec
from connectord.adapters import Call, InvalidCallback, Response, call_document, response_from
from connectord.responses import read_response
from pamqp import commands
from pamqp.common import FieldTable

from connectord_amqp.expressions import search
from connectord_amqp.settings import AmqpSettings, ReplySettings
from connectord_amqp.wire import Message

LONGEST_ROUTING_KEY = 255
PERSISTENT = 2


class Unusable(Exception):
    """An action cannot be published, or a message is no response; the message says why."""


def body_of(document: dict[str, Any], settings: AmqpSettings) -> bytes:
    """The message's body. Raises :class:`Unusable` where it is too long."""
    body = msgspec.json.encode(document)
    if len(body) > settings.max_message_bytes:
        raise Unusable(
            f"the message would have {len(body)} bytes; max_message_bytes allows {settings.max_message_bytes}"
        )
    return body


def routing_key_of(document: dict[str, Any], settings: AmqpSettings) -> str:
    """The routing key. Raises :class:`Unusable` where the document gives none that can be used."""
    found = None
    if settings.routing_key_from is not None:
        try:
            found = search(settings.routing_key_from, document)
        except ValueError as error:
            raise Unusable(f"no routing key: {error}") from error
    if found is None:
        found = settings.routing_key
    if not isinstance(found, str):
        kind = "nothing" if found is None else type(found).__name__
        raise Unusable(f"no routing key: {settings.routing_key_from!r} gives {kind}, not a text")
    if len(found.encode()) > LONGEST_ROUTING_KEY:
        raise Unusable(f"the routing key is longer than {LONGEST_ROUTING_KEY} bytes")
    return found


def properties_of(call: Call, settings: AmqpSettings) -> commands.Basic.Properties:
    """The message's properties: the idempotency key names the message, the action's id its responses."""
    headers: FieldTable = {name: value.get_secret_value() for name, value in settings.headers.items()}
    headers |= {"attempt": call.attempt, "system": call.system}
    if call.case_id is not None:
        headers["case"] = call.case_id
    return commands.Basic.Properties(
        content_type=settings.content_type,
        headers=headers,
        delivery_mode=PERSISTENT,
        correlation_id=call.action_id,
        reply_to=None if settings.replies is None else settings.replies.queue,
        message_id=call.idempotency_key,
        app_id="connectord",
    )


def publication_of(call: Call, settings: AmqpSettings) -> tuple[commands.Basic.Publish, bytes]:
    """The method that publishes the action, and its body. Raises :class:`Unusable`."""
    document = call_document(call)
    method = commands.Basic.Publish(
        exchange=settings.exchange, routing_key=routing_key_of(document, settings), mandatory=True
    )
    return method, body_of(document, settings)


def action_id_of(message: Message) -> str:
    """The action that a response is about: its correlation id. Raises :class:`Unusable`."""
    try:
        action_id = message.properties().correlation_id
    except ValueError as error:
        raise Unusable(str(error)) from error
    if not action_id:
        raise Unusable("it has no correlation_id, which would name the action")
    return action_id


def response_of(message: Message, settings: ReplySettings) -> Response:
    """What a response says. Raises :class:`Unusable`."""
    body = message.body
    if body is None:
        raise Unusable(f"its body has more than {settings.max_body_bytes} bytes")
    try:
        if settings.response is not None:
            body = msgspec.json.encode(search(settings.response, msgspec.json.decode(body)))
        return response_from(read_response(body))
    except (InvalidCallback, ValueError, RecursionError, TypeError) as error:
        raise Unusable(f"it is no response: {error}") from error
