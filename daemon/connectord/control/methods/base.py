"""What every method of the control socket has at hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar

from connectord.callers import Caller as Caller
from connectord.control import results as r
from connectord.control.protocol import Notify as Notify
from connectord.control.views import action_view
from connectord.errors import InvalidRequest, NotFound
from connectord.ledger.responses import MOST_LEVELS, is_too_deep
from connectord.ledger.submission import Submission
from connectord.ledger.watchers import Watchers
from connectord.lifecycle import events as on
from connectord.lifecycle.action import Action
from connectord.lifecycle.circumstances import Present
from connectord.lifecycle.transitions import Transition
from connectord.store.base import ActionRecord, ReadStore

T = TypeVar("T")
VIEWS_AT_ONCE = 100


Call: TypeAlias = Callable[[Any, Caller, Notify], Awaitable[Any]]
"""A method: takes the checked parameters, gives what is answered, raises a ``RequestError``."""


class Ledger(Protocol):
    """What the methods need of the ledger. What changes anything takes the caller, and checks the role itself."""

    @property
    def watchers(self) -> Watchers: ...
    async def submit_for(self, caller: Caller, submissions: Sequence[Submission]) -> list[Action]: ...
    async def apply_for(
        self, caller: Caller, action_id: str, event: on.Event, note: str | None = None
    ) -> Transition: ...
    async def rerun_for(self, caller: Caller, ids: Sequence[str], *, once: bool, at_once: bool) -> list[Action]: ...


class Services(Protocol):
    """What the methods need of the daemon. What needs a role takes the caller, and checks it next to the work."""

    @property
    def ledger(self) -> Ledger: ...
    async def read(self, question: Callable[[ReadStore], T]) -> T: ...
    async def read_at_length(self, question: Callable[[ReadStore], T]) -> T: ...
    def limit_of(self, system: str) -> int | None: ...
    def is_paused(self, system: str) -> bool: ...
    def present(self, system: str) -> Present: ...
    def systems_view(self) -> list[r.System]: ...
    def status_view(self) -> r.Status: ...
    def notification_backlog(self) -> r.NotificationBacklog: ...
    async def retry_notifications(self, caller: Caller) -> int: ...
    async def pause(self, system: str, paused: bool, caller: Caller) -> None: ...
    async def reload(self, caller: Caller, *, plan: bool, to: int | None) -> r.Reload: ...
    async def reload_effects(
        self, caller: Caller, *, plan: bool, to: int | None, after: str | None, limit: int
    ) -> r.EffectPage: ...
    async def retention(self, *, plan: bool) -> r.Retention: ...
    async def config_history(self, *, before: int | None, limit: int) -> r.ConfigVersions: ...
    async def config_show(self, caller: Caller, version: int | None) -> r.ConfigText: ...
    async def config_diff(self, caller: Caller, a: int, b: int) -> r.ConfigDifference: ...
    async def examine(self, caller: Caller, limit_seconds: float) -> r.Diagnosis: ...
    def queues(self) -> Mapping[str, str | None]: ...
    def now_ms(self) -> int: ...
    def stop_for(self, caller: Caller, *, now: bool) -> None: ...


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

    @staticmethod
    def _check_depth(data: dict[str, Any] | None) -> None:
        """Raise :class:`InvalidRequest` for data that could be stored, but not be read by everybody."""
        if data is not None and is_too_deep(data):
            raise InvalidRequest(f"data is nested deeper than {MOST_LEVELS} levels")

    async def _apply(self, action_id: str, event: on.Event, caller: Caller, note: str | None = None) -> r.Action:
        await self._services.ledger.apply_for(caller, action_id, event, note)
        return (await self._views([action_id]))[0]
