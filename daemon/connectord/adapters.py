"""What an adapter is: all that a plugin imports, together with :mod:`connectord.hookspecs`.

An adapter connects connectord to one kind of external system. It is a class with a settings model; one
instance serves one configured system, from :meth:`Adapter.open` to :meth:`Adapter.close`, and its
:meth:`Adapter.trigger` is called once per attempt, as often at the same time as the system's ``concurrency``
allows.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeAlias

import httpx
import pydantic

from connectord.errors import CallbackNotAllowed, InvalidCallback, NotConnected, TargetRefused
from connectord.responses import FailureDocument, ProgressDocument, ResponseDocument, SuccessDocument, read_response

__all__ = [
    "API_VERSION",
    "NO_REASON_GIVEN",
    "Adapter",
    "AdapterContext",
    "AdapterSettings",
    "Call",
    "CallbackNotAllowed",
    "CallbackRequest",
    "InvalidCallback",
    "Network",
    "NotConnected",
    "Outcome",
    "Progress",
    "Rejected",
    "Response",
    "Succeeded",
    "Taken",
    "TargetRefused",
    "response_from",
]

NO_REASON_GIVEN = "the system gave no reason"
"""The rejected reason shown where an unsuccessful response carries none."""

API_VERSION = 1
"""The version of this interface. A plugin names the one that it was written for when it registers."""


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt at one action, as an adapter gets it.

    Every attempt of an action carries the same ``idempotency_key`` (rule 14), so a system that honours it does
    the work once. ``callback_url`` is None where the system is configured with ``response_expected = false``
    (rule 19). Times are RFC 3339, UTC.
    """

    action_id: str
    system: str
    case_id: str | None
    owner: str | None
    attempt: int
    submitted_at: str
    data: Mapping[str, Any]
    case_data: Mapping[str, Any]
    callback_url: str | None
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class Taken:
    """Rule 1: the system took the action and answers later."""

    reference: str | None = None
    """The system's own name for the work, if it gave one; shown with the attempt."""


@dataclass(frozen=True, slots=True)
class Succeeded:
    """Rule 2: a successful response, with the custom data that it carries."""

    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rejected:
    """Rule 3: an unsuccessful response. ``reason`` is shown to people as the rejected reason."""

    reason: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """Rule 21: a heartbeat. ``percent`` is 0 to 100."""

    text: str | None = None
    percent: float | None = None


Outcome: TypeAlias = Taken | Succeeded | Rejected
"""What :meth:`Adapter.trigger` may return."""

Response: TypeAlias = Succeeded | Rejected | Progress
"""What a callback may say."""


@dataclass(frozen=True, slots=True)
class CallbackRequest:
    """A callback as it came in, after its token was verified. Header names are lower case."""

    action_id: str
    headers: Mapping[str, str]
    body: bytes


class AdapterSettings(pydantic.BaseModel):
    """The base of every adapter's settings: frozen, and an unknown key is an error."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Network(Protocol):
    """The way out, handed to adapters so that a test can put a simulated one in its place."""

    def http_transport(
        self, *, connect_timeout_seconds: float, verify: bool | ssl.SSLContext = True, proxy: str | None = None
    ) -> httpx.AsyncBaseTransport:
        """A transport for an ``httpx.AsyncClient`` that stays fast with many requests in flight.

        ``verify`` is whether certificates must be valid, or a context that says so and more. ``proxy`` is the URL of
        an HTTP proxy, with its credentials, if any, in it.
        """
        ...


@dataclass(frozen=True, slots=True)
class AdapterContext:
    """What the daemon hands to an adapter: the system it serves, its concurrency, and the network."""

    system: str
    concurrency: int
    network: Network


class Adapter:
    """The base class of adapters.

    A subclass sets :attr:`name` and :attr:`Settings` and overrides :meth:`trigger`. Whatever it raises other
    than :class:`NotConnected` counts as the adapter's own fault: the attempt fails, is reported as such, and the
    daemon goes on.
    """

    name: ClassVar[str]
    """The name that ``adapter = "..."`` in connectord.toml refers to."""

    Settings: ClassVar[type[AdapterSettings]] = AdapterSettings
    """The model of the table ``[systems.NAME.<adapter name>]``."""

    def __init__(self, settings: Any, context: AdapterContext) -> None:
        self.settings = settings
        self.context = context

    async def open(self) -> None:
        """Get ready; called once before the first :meth:`trigger`, in the lane's task."""

    async def close(self) -> None:
        """Let go of everything; called once after the last :meth:`trigger` has ended."""

    async def trigger(self, call: Call) -> Outcome:
        """Hand one action to the system.

        Raises :class:`NotConnected` when it could not be handed over (rule 12). May be cancelled at any await.
        """
        raise NotConnected(f"the adapter {self.name!r} does not implement trigger()")

    def read_callback(self, request: CallbackRequest) -> Response:
        """Read a callback's body; the default reads connectord's own format.

        Synchronous, and must not wait: it runs between two requests. Raises :class:`InvalidCallback` with a
        message that tells the system's developer what is wrong, or :class:`CallbackNotAllowed` where the callback
        does not prove who sent it.
        """
        return response_from(read_response(request.body))


def response_from(document: ResponseDocument) -> Response:
    """The response that a document in connectord's own format stands for."""
    match document:
        case SuccessDocument():
            return Succeeded(data=document.data or {})
        case FailureDocument():
            return Rejected(reason=document.reason or NO_REASON_GIVEN, data=document.data or {})
        case ProgressDocument():
            return Progress(text=document.text, percent=document.percent)
