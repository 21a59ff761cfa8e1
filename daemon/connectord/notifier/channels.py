"""The ways to an owner, as the notifier sees them, and those that need no conversation: the log, and a webhook."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import httpx
import msgspec
import structlog
import trio

from connectord.adapters import Network
from connectord.errors import ConnectordError
from connectord.store.base import OutboxItem

WEBHOOK_SECONDS = 20.0
WEBHOOK_CONNECT_SECONDS = 10.0
WEBHOOK_ANSWER_BYTES = 65_536

# the server, or the gateway before it, says that it takes nothing at all just now
_NOT_NOW = frozenset({429, 502, 503, 504})
_TEMPORARY = frozenset({408, 425})

log = structlog.get_logger()


class DeliveryFailed(ConnectordError):
    """A notification could not be delivered; it is tried again."""


class DeliveryRefused(DeliveryFailed):
    """This notification was refused for good, as far as the other side knows; it is tried again, but seldom."""


class Undeliverable(DeliveryFailed):
    """This notification cannot be delivered as it is; it is not tried again until a person says so."""


class ChannelUnreachable(DeliveryFailed):
    """The channel as a whole cannot be reached; no notification has a chance now."""


class NoAnswer(DeliveryFailed):
    """The channel broke off, or did not answer in time: it may be down, or it may be about this notification."""


class Channel(Protocol):
    """One way to an owner, open for a while. ``at_once`` is how many deliveries may be under way at the same time."""

    at_once: int

    async def deliver(self, item: OutboxItem) -> None:
        """Deliver one notification. Raises :class:`DeliveryFailed`, one of its kinds."""
        ...


def notification_id(item: OutboxItem) -> str:
    """The same at every try, so that a receiver can recognise a second delivery."""
    return f"{item.row.action_id}-{item.seq}"


def document(item: OutboxItem) -> bytes:
    """A notification as JSON, for programs."""
    row = item.row
    return msgspec.json.encode(
        {
            "id": notification_id(item),
            "action": row.action_id,
            "case": row.case_id,
            "owner": row.owner,
            "notice": row.notice,
            "text": row.text,
        }
    )


class LogChannel:
    """``via = "log"``: a line in the daemon's own log."""

    at_once = 1

    def __init__(self) -> None:
        self._logger = log.bind()  # once: a lazy one binds for every line

    async def deliver(self, item: OutboxItem) -> None:
        row, logger = item.row, self._logger
        await trio.lowlevel.checkpoint()
        logger.info("owner notified", action=row.action_id, owner=row.owner, case=row.case_id, text=row.text)


class WebhookChannel:
    """``via = "webhook"``: a POST of :func:`document` to one address."""

    at_once = 8

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client = client
        self._url = url

    async def deliver(self, item: OutboxItem) -> None:
        headers = {"Content-Type": "application/json", "Idempotency-Key": notification_id(item)}
        try:
            with trio.fail_after(WEBHOOK_SECONDS):
                status = await self._post(document(item), headers)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise ChannelUnreachable(f"no connection: {error}".rstrip(": ")) from error
        except (httpx.TimeoutException, trio.TooSlowError) as error:
            raise NoAnswer(f"no answer within {WEBHOOK_SECONDS:g} s") from error
        except httpx.HTTPError as error:
            raise NoAnswer(f"the connection broke: {type(error).__name__}: {error}".rstrip(": ")) from error
        if status in _NOT_NOW:
            raise ChannelUnreachable(f"HTTP {status}")
        if status in _TEMPORARY or status >= 500:
            raise DeliveryFailed(f"HTTP {status}")
        if status >= 300:
            raise DeliveryRefused(f"HTTP {status}")

    async def _post(self, content: bytes, headers: dict[str, str]) -> int:
        async with self._client.stream("POST", self._url, content=content, headers=headers) as answer:
            # read to its end the connection can be used again; an endless one is not worth it
            read = 0
            async for chunk in answer.aiter_raw():
                read += len(chunk)
                if read > WEBHOOK_ANSWER_BYTES:
                    break
            return answer.status_code


@asynccontextmanager
async def open_webhook(url: str, network: Network) -> AsyncIterator[WebhookChannel]:
    """A webhook's channel, with connections that are kept for as long as it is open."""
    transport = network.http_transport(connect_timeout_seconds=WEBHOOK_CONNECT_SECONDS)
    async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=WEBHOOK_SECONDS) as client:
        yield WebhookChannel(client, url)
