"""What a plugin brings beside adapters: another way to owners, methods on the control socket, and what it observes.

Together with :mod:`connectord.adapters` and :mod:`connectord.hookspecs` this is all that a plugin imports.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

import msgspec

from connectord.adapters import API_VERSION, AdapterSettings, Network
from connectord.errors import NotConnected, NotDelivered

__all__ = [
    "API_VERSION",
    "Change",
    "CommandCaller",
    "CommandHandler",
    "CommandParams",
    "CommandRole",
    "CommandServices",
    "Missed",
    "NoParams",
    "NotConnected",
    "NotDelivered",
    "Notification",
    "Notifier",
    "NotifierSettings",
    "Observed",
]


@dataclass(frozen=True, slots=True)
class Change:
    """One committed change of an action, with the members of an event of ``watch``.

    ``seq`` numbers all changes in their order. ``at`` is RFC 3339, UTC. ``from_`` is None for a new action. ``rules``
    are the rules of docs/lifecycle.md that decided; ``who`` is a person, the scheduler, a callback, a system.
    """

    seq: int
    action: str
    at: str
    from_: str | None
    to: str
    event: str
    rules: tuple[str, ...]
    why: str
    who: str
    note: str | None
    config_version: int | None
    system: str | None
    case: str | None


@dataclass(frozen=True, slots=True)
class Missed:
    """An observer was too slow: it is not told of the changes after ``after`` up to ``upto``, that one included.

    ``watch`` with ``after`` brings them, as far as the history reaches.
    """

    after: int
    upto: int


Observed: TypeAlias = Change | Missed
"""What ``connectord_observe`` is told."""


class NotifierSettings(AdapterSettings):
    """The base of every notifier's settings: frozen, and an unknown key is an error."""


@dataclass(frozen=True, slots=True)
class Notification:
    """What a case owner is to hear of. ``id`` is the same at every try. ``at`` is RFC 3339, UTC.

    ``notice`` is what happened, for programs; ``text`` is what to tell, for people.
    """

    id: str
    action: str
    case: str | None
    owner: str
    notice: str
    at: str
    text: str


class Notifier:
    """The base class of notifiers: another way to tell case owners, chosen by ``[notify] via = "NAME"``.

    A subclass sets :attr:`name` and :attr:`Settings` and overrides :meth:`deliver`. An instance serves one round of
    deliveries, from :meth:`open` to :meth:`close`: as long as there is something to tell.
    """

    name: ClassVar[str]
    """The name that ``via = "..."`` refers to."""

    Settings: ClassVar[type[AdapterSettings]] = NotifierSettings
    """The model of the table ``[notify.<name>]``."""

    at_once: ClassVar[int] = 1
    """How many deliveries of one instance may be under way at the same time, 1 to 64."""

    def __init__(self, settings: Any, network: Network) -> None:
        self.settings = settings
        self.network = network

    async def open(self) -> None:
        """Get ready. Raises :class:`NotConnected` where nobody can be reached now."""

    async def close(self) -> None:
        """Let go of everything."""

    async def deliver(self, notification: Notification) -> None:
        """Tell one owner; returns once the notification is on its way. It may come a second time, with the same id.

        Raises :class:`NotConnected` where nobody can be reached now: then the whole way pauses, and what waits keeps
        its place. Raises :class:`NotDelivered` where this one cannot be delivered: it is tried again, later and later.
        Anything else is the notifier's fault, and treated as :class:`NotDelivered`. Cut off after 30 seconds; may be
        cancelled at any await.
        """
        raise NotDelivered(f"the notifier {self.name!r} does not implement deliver()")


CommandRole: TypeAlias = Literal["viewer", "operator", "admin"]


class CommandParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The base of a command's parameters: an unknown one is an error."""


class NoParams(CommandParams, frozen=True):
    """No parameters."""


@dataclass(frozen=True, slots=True)
class CommandCaller:
    """Who calls: the name is what the history will say, the role what the caller may do."""

    name: str
    role: CommandRole


class CommandServices(Protocol):
    """What a command may do with the daemon, on behalf of its caller."""

    async def ask(self, method: str, /, **params: Any) -> Any:
        """The answer of one of the control socket's own methods that only look (role viewer), as plain JSON values.

        Raises :class:`connectord.errors.RequestError` as the method does.
        """
        ...

    async def submit(
        self,
        system: str,
        *,
        case: str | None = None,
        owner: str | None = None,
        key: str | None = None,
        data: dict[str, Any] | None = None,
        due_at: str | None = None,
    ) -> Any:
        """A new action, as the method ``submit`` makes it; the caller must be an operator."""
        ...


CommandHandler: TypeAlias = Callable[[Any, CommandCaller, CommandServices], Awaitable[Any]]
"""Takes the checked parameters, the caller, and what it may do; gives what is answered, which must fit into JSON.

Raises a :class:`connectord.errors.RequestError`, such as ``NotFound`` or ``Refused``, to refuse. Anything else is a
fault of the plugin's.
"""
