"""What an adapter is: all that a plugin imports, together with :mod:`connectord.hookspecs`.

An adapter connects connectord to one kind of external system. It is a class with a settings model; one
instance serves one configured system, from :meth:`Adapter.open` to :meth:`Adapter.close`, and its
:meth:`Adapter.trigger` is called once per attempt, as often at the same time as the system's ``concurrency``
allows.

Four more methods are optional: :meth:`Adapter.poll`, :meth:`Adapter.probe`, :meth:`Adapter.listen` and
:meth:`Adapter.healthcheck`. Which of them an adapter has is seen from whether its class overrides them; one that it
does not override is never called.
"""

from __future__ import annotations

import enum
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

import httpx
import msgspec
import pydantic

from connectord.errors import CallbackNotAllowed, InvalidCallback, NotConnected, NotFound, TargetRefused
from connectord.responses import FailureDocument, ProgressDocument, ResponseDocument, SuccessDocument, read_response

__all__ = [
    "API_VERSION",
    "MAX_REFERENCE_LENGTH",
    "MAX_RESPONSE_BYTES",
    "NO_REASON_GIVEN",
    "Adapter",
    "AdapterContext",
    "AdapterSettings",
    "Call",
    "CallbackNotAllowed",
    "CallbackRequest",
    "Deliver",
    "Delivery",
    "ExchangeLimits",
    "InvalidCallback",
    "Network",
    "NotConnected",
    "NotFound",
    "NotThere",
    "OptionalMethod",
    "Outcome",
    "PollAnswer",
    "ProbeAnswer",
    "Progress",
    "Rejected",
    "Response",
    "Succeeded",
    "Taken",
    "TargetRefused",
    "Unclear",
    "WholeAnswer",
    "WholeExchanges",
    "WholeRequest",
    "call_document",
    "has_method",
    "response_from",
]

NO_REASON_GIVEN = "the system gave no reason"
"""The rejected reason shown where an unsuccessful response carries none."""

MAX_REFERENCE_LENGTH = 4096
"""How many characters a system's own name for the work may have."""

MAX_RESPONSE_BYTES = 1_048_576
"""How much data a response may carry, as JSON: as much as a callback may have. More is the adapter's fault."""

API_VERSION = 1
"""The version of this interface. A plugin names the one that it was written for when it registers."""


class Call(msgspec.Struct, frozen=True):
    """One attempt at one action, as an adapter gets it.

    Every attempt of an action carries the same ``idempotency_key`` (rule 14), so a system that honours it does
    the work once. ``callback_url`` is None where the system is configured with ``response_expected = false``
    (rule 19). Times are RFC 3339, UTC.

    A poll and a probe get the call of the attempt that they ask about: the same number, key and data.
    ``reference`` is the system's own name for the work, as ``Taken(reference)`` gave it: what a poll asks for. It is
    None in an attempt and in a probe, and where the system gave none.

    ``traceparent`` (W3C Trace Context) is what the system is to be told of the action's trace; None where it has none.
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
    reference: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """Rule 1: the system took the action and answers later."""

    reference: str | None = None
    """The system's own name for the work, if it gave one, of at most 4096 characters; shown with the attempt and on
    the card, and handed to :meth:`Adapter.poll`."""


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


@dataclass(frozen=True, slots=True)
class NotThere:
    """A probe's answer: the system did not get the action. It is tried again (rule 14), or closed by rule 9."""


@dataclass(frozen=True, slots=True)
class Unclear:
    """A probe's answer: only a person can tell. The action is To Do, and ``reason`` is its rejected reason (rule 3)."""

    reason: str


Outcome: TypeAlias = Taken | Succeeded | Rejected
"""What :meth:`Adapter.trigger` may return."""

Response: TypeAlias = Succeeded | Rejected | Progress
"""What a callback, or a message that :meth:`Adapter.listen` delivers, may say."""

PollAnswer: TypeAlias = Succeeded | Rejected | Progress | None
"""What :meth:`Adapter.poll` may return; None: nothing yet."""

ProbeAnswer: TypeAlias = Taken | Succeeded | Rejected | NotThere | Unclear
"""What :meth:`Adapter.probe` may return."""

OptionalMethod: TypeAlias = Literal["poll", "probe", "listen", "healthcheck"]


class Delivery(enum.Enum):
    """What became of a response that was delivered; it is on disk either way, so its message may be acknowledged."""

    TAKEN = "taken"
    """It decided the action or was shown on its card, now or when the same one came before."""

    LATE = "late"
    """It came too late to decide anything, and was recorded as a late response (rule 15)."""


class Deliver(Protocol):
    """How :meth:`Adapter.listen` hands in a response."""

    async def __call__(self, action_id: str, response: Response) -> Delivery:
        """Hand in the response of one of this system's actions; returns once it is committed.

        Raises :class:`NotFound` for an action that is unknown or belongs to another system, and :class:`TypeError`
        or :class:`ValueError` for what is no response. Where the disk is full it waits until there is room. If it is
        cancelled, the response may have been taken or not: deliver it again, the same one changes nothing (rule 15).
        """
        ...


class CallbackRequest(msgspec.Struct, frozen=True):
    """A callback as it came in, after its token was verified. Header names are lower case."""

    action_id: str
    headers: Mapping[str, str]
    body: bytes


class AdapterSettings(pydantic.BaseModel):
    """The base of every adapter's settings: frozen, and an unknown key is an error."""

    # what no system uses is never built: a tenth of a start
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, defer_build=True)


class WholeRequest(msgspec.Struct, frozen=True):
    """A request that is there as a whole, for :meth:`WholeExchanges.exchange`.

    ``headers`` are all that is sent, Host and Content-Length among them. ``sni_hostname`` is whose certificate is
    wanted, where the URL has an address instead.
    """

    method: str
    url: httpx.URL
    headers: Sequence[tuple[bytes, bytes]]
    content: bytes
    sni_hostname: str | None = None

    def __repr__(self) -> str:
        return f"<WholeRequest {self.method} {self.url.host}>"  # the rest may hold secrets


class WholeAnswer(msgspec.Struct, frozen=True):
    """An answer that was received as a whole.

    ``body`` is None where it has more bytes than were wanted, or where ``broken`` says why it did not come whole.
    """

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes | None
    broken: httpx.TransportError | None = None


class ExchangeLimits(msgspec.Struct, frozen=True):
    """In seconds: for connecting, for each silence, for everything up to the end of the answer's head, and for its
    body; and how many bytes the body may have.
    """

    connect_seconds: float
    read_seconds: float
    head_seconds: float
    body_seconds: float
    body_bytes: int


@runtime_checkable
class WholeExchanges(Protocol):
    """What connectord's own transport can do beside httpx's interface, for adapters that send much.

    Without httpx's types, and with one time limit that is moved instead of one for each step, an exchange takes about
    half the processor time. Other transports, such as one through a proxy, do not have it.
    """

    async def exchange(self, request: WholeRequest, limits: ExchangeLimits) -> WholeAnswer:
        """Send ``request`` once, and receive the whole answer. Raises :class:`httpx.TransportError`."""
        ...


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
    """What the daemon hands to an adapter: the system it serves, its concurrency, and the network.

    ``concurrency`` is how many triggers, polls and probes may be under way at once, all of them together. A
    healthcheck, at most one at a time, and ``listen`` come on top.
    """

    system: str
    concurrency: int
    network: Network


class Adapter:
    """The base class of adapters.

    A subclass sets :attr:`name` and :attr:`Settings` and overrides :meth:`trigger`. Whatever it raises other
    than :class:`NotConnected` counts as the adapter's own fault: the attempt fails, is reported as such with the
    file and the line in the adapter's package, and the daemon goes on. The same goes for the optional methods, whose
    faults cost only the question at hand.
    """

    name: ClassVar[str]
    """The name that ``adapter = "..."`` in connectord.toml refers to."""

    Settings: ClassVar[type[AdapterSettings]] = AdapterSettings
    """The model of the table ``[systems.NAME.<adapter name>]``."""

    def __init__(self, settings: Any, context: AdapterContext) -> None:
        self.settings = settings
        self.context = context

    @classmethod
    def offers(cls, method: OptionalMethod, settings: Any) -> bool:
        """Whether an instance with ``settings`` has the optional method.

        As a rule it has those that its class overrides. Override this too where the settings decide, as they do where
        a system polls only if it is said how.
        """
        return has_method(cls, method)

    async def open(self) -> None:
        """Get ready; called once before the first :meth:`trigger`, in the lane's task."""

    async def close(self) -> None:
        """Let go of everything; called once after the last :meth:`trigger` has ended."""

    async def trigger(self, call: Call) -> Outcome:
        """Hand one action to the system.

        Raises :class:`NotConnected` when it could not be handed over (rule 12). May be cancelled at any await: by
        the system's ``attempt_timeout``, and when the daemon stops at once.
        """
        raise NotConnected(f"the adapter {self.name!r} does not implement trigger()")

    async def poll(self, call: Call) -> PollAnswer:
        """Ask the system for the response of an action that it has; for systems that do not call back. Optional.

        Called while the action waits, again and again until its deadline (rule 4), as the system's ``poll`` table
        says; ``call.reference`` is what the system called the work. Returns what a callback would have said, or None
        where there is nothing yet. A response that comes by another way first wins: this call is cancelled then, and
        what it brings nevertheless is late (rule 15).

        Raises :class:`NotConnected` when the system cannot be asked now: it is asked again later, no sooner than
        ``retry_after_seconds``. A poll never costs an attempt. It runs within the system's concurrency and ``rate``,
        with a share of both for itself, and is cut off after ``attempt_timeout``. May be cancelled at any await.
        """
        raise NotImplementedError

    async def probe(self, call: Call) -> ProbeAnswer:
        """Ask the system whether it got the action in the attempt ``call.attempt``. Optional.

        Called before the action is tried again, where the outcome of an attempt is unknown (rule 14): the daemon died
        during it, :meth:`trigger` was cut off by ``attempt_timeout``, or it raised ``NotConnected(...,
        outcome_unknown=True)``. :class:`Taken`, :class:`Succeeded` and :class:`Rejected` count as if the attempt had
        brought them; :class:`NotThere`: the action is tried again, or closed by rule 9 if that was the last try;
        :class:`Unclear`: a person must look.

        Raises :class:`NotConnected` when the system cannot be asked now: it is asked again later, with the backoff of
        ``retry``, and no sooner than ``retry_after_seconds``. A probe never costs an attempt. Once the system's
        ``timeout`` has passed without an answer, a person must look. It runs in the place of the attempt, within
        concurrency and ``rate``, and is cut off after ``attempt_timeout``. May be cancelled at any await.
        """
        raise NotImplementedError

    async def listen(self, deliver: Deliver) -> None:
        """Receive responses for as long as this instance is open; for queues and streams. Optional.

        Runs beside the triggers, in a task of its own, from the end of :meth:`open` until every call of this instance
        has ended; then it is cancelled, and :meth:`close` called. Acknowledge a message only once ``deliver`` has
        returned. It has no time limit.

        Raises :class:`NotConnected` when the connection is lost. Whatever else ends it, returning included, is the
        adapter's fault. In any case it is started again after a pause that doubles up to 30 seconds, `systems` shows
        the reason meanwhile, and triggers go on.
        """
        raise NotImplementedError

    async def healthcheck(self) -> None:
        """See whether the system can be reached; returns if so. Optional.

        Called once the instance is open, and then every ``healthcheck`` (30 seconds unless configured) in which no
        call of this adapter has reached the system. Raises :class:`NotConnected` with words for people when it cannot
        be reached. It never counts as an attempt, holds up nothing, and is cut off after ``healthcheck`` or
        ``attempt_timeout``, whichever is shorter.
        """
        raise NotImplementedError

    def read_callback(self, request: CallbackRequest) -> Response:
        """Read a callback's body; the default reads connectord's own format.

        Synchronous, and must not wait: it runs between two requests. Raises :class:`InvalidCallback` with a
        message that tells the system's developer what is wrong, or :class:`CallbackNotAllowed` where the callback
        does not prove who sent it.
        """
        return response_from(read_response(request.body))


def has_method(adapter: type[Adapter], name: OptionalMethod) -> bool:
    """Whether the adapter has the optional method: whether its class overrides the one of :class:`Adapter`."""
    return getattr(adapter, name) is not getattr(Adapter, name)


def response_from(document: ResponseDocument) -> Response:
    """The response that a document in connectord's own format stands for."""
    match document:
        case SuccessDocument():
            return Succeeded(data=document.data or {})
        case FailureDocument():
            return Rejected(reason=document.reason or NO_REASON_GIVEN, data=document.data or {})
        case ProgressDocument():
            return Progress(text=document.text, percent=document.percent)


def call_document(call: Call) -> dict[str, Any]:
    """The document that hands ``call`` over in connectord's own format. ``callback_url`` is null under rule 19."""
    return {
        "action": {
            "id": call.action_id,
            "system": call.system,
            "case": call.case_id,
            "owner": call.owner,
            "attempt": call.attempt,
            "submitted_at": call.submitted_at,
            "data": dict(call.data),
            "case_data": dict(call.case_data),
        },
        "callback_url": call.callback_url,
    }
