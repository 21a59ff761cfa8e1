"""What every method of the control socket has at hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar

from connectord.control import results as r
from connectord.control.peers import Role
from connectord.control.protocol import Notify as Notify
from connectord.control.views import action_view
from connectord.errors import NotFound
from connectord.ledger.ledger import Ledger
from connectord.lifecycle import events as on
from connectord.lifecycle.circumstances import Present
from connectord.store.base import ActionRecord, ReadStore

T = TypeVar("T")
VIEWS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is at the other end of the control socket."""

    name: str
    role: Role


Call: TypeAlias = Callable[[Any, Caller, Notify], Awaitable[Any]]
"""A method: takes the checked parameters, gives what is answered, raises a ``RequestError``."""


class Services(Protocol):
    """What the methods need of the daemon."""

    @property
    def ledger(self) -> Ledger: ...
    async def read(self, question: Callable[[ReadStore], T]) -> T: ...
    def limit_of(self, system: str) -> int | None: ...
    def is_paused(self, system: str) -> bool: ...
    def present(self, system: str) -> Present: ...
    def systems_view(self) -> list[r.System]: ...
    def status_view(self) -> r.Status: ...
    def notification_backlog(self) -> r.NotificationBacklog: ...
    async def retry_notifications(self, who: str) -> int: ...
    async def pause(self, system: str, paused: bool, who: str) -> None: ...
    async def reload(self, *, plan: bool, to: int | None, who: str) -> r.Reload: ...
    async def reload_effects(self, *, plan: bool, to: int | None, after: str | None, limit: int) -> r.EffectPage: ...
    async def retention(self, *, plan: bool) -> r.Retention: ...
    async def config_history(self, *, before: int | None, limit: int) -> r.ConfigVersions: ...
    async def config_show(self, version: int | None) -> r.ConfigText: ...
    async def config_diff(self, a: int, b: int) -> r.ConfigDifference: ...
    def queues(self) -> Mapping[str, str | None]: ...
    def now_ms(self) -> int: ...
    def request_stop(self, *, now: bool) -> None: ...


def _records(store: ReadStore, ids: Sequence[str]) -> list[ActionRecord | None]:
    return [store.record(action_id) for action_id in ids]


class MethodGroup:
    """Some methods that belong together. A subclass names them in :meth:`calls`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def calls(self) -> Mapping[str, Call]:
        """The methods of this group by name."""
        raise NotImplementedError

    async def _views(self, ids: Sequence[str]) -> list[r.Action]:
        views: list[r.Action] = []
        # many are looked at in pieces, for others want to read, and to be answered, too
        for start in range(0, len(ids), VIEWS_AT_ONCE):
            piece = ids[start : start + VIEWS_AT_ONCE]
            records = await self._services.read(partial(_records, ids=piece))
            for action_id, record in zip(piece, records, strict=True):
                if record is None:
                    raise NotFound(f"there is no action {action_id}")
                views.append(action_view(record, self._services.limit_of))
        return views

    async def _apply(self, action_id: str, event: on.Event, caller: Caller, note: str | None = None) -> r.Action:
        await self._services.ledger.apply(action_id, event, caller.name, note)
        return (await self._views([action_id]))[0]
