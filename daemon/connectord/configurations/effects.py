"""Which live actions a reload concerns (rules 10 and 11): counted by the store, listed page by page.

A page looks through so many live actions and holds those of them that are concerned, so it may be empty and yet not the
last one. The list needs no memory, however many actions there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeAlias, TypeVar

from connectord.control import results as r
from connectord.errors import InvalidRequest
from connectord.lifecycle.action import Action, State
from connectord.lifecycle.limits import LimitEffect, limit_effect
from connectord.store.base import LimitCounts, ReadStore

T = TypeVar("T")
Limits: TypeAlias = Mapping[str, int]
"""The retry limit of every configured system."""

_LIVE = tuple(sorted(state.value for state in State if state is not State.CLOSED))
_CLOSED = "closed"


class Read(Protocol):
    """Asks the store something, beside the writer."""

    async def __call__(self, question: Callable[[ReadStore], T], /) -> T: ...


async def count_effects(read: Read, before: Limits, after: Limits, *, closed: int | None = None) -> r.EffectCounts:
    """How many live actions are concerned by limits that were ``before`` and are ``after``.

    ``closed`` is how many the reload has closed; None before it, when that is still to come.
    """
    totals = dict.fromkeys(LimitEffect, 0)
    for system in _concerned(before, after):
        old, new = before.get(system), after.get(system)
        counts = await read(partial(_limit_counts, system, old, new))
        over = counts.over_limit if closed is None else 0
        totals[LimitEffect.CLOSE] += over
        totals[_pending_effect(old, new)] += counts.pending - over
        totals[LimitEffect.HOLD if new is None else LimitEffect.WHEN_ENDED] += counts.attempting
        totals[LimitEffect.SHOW] += counts.shown
    if closed is not None:
        totals[LimitEffect.CLOSE] = closed
    return r.EffectCounts(**{effect.value: count for effect, count in totals.items()})


async def plan_page(
    read: Read, digest: str, before: Limits, after: Limits, cursor: str | None, limit: int
) -> r.EffectPage:
    """A page of what a reload would mean. ``digest`` is of the configuration that would be applied.

    Raises :class:`InvalidRequest` where the configuration is another one than when the list was begun.
    """
    mark, state, last = _parse(cursor, digest[:8], _LIVE[0])
    if mark != digest[:8]:
        raise InvalidRequest("the configuration has changed since the list was begun: begin again, without 'after'")
    return await read(lambda store: _live_page(store, mark, before, after, (state, last), limit))


async def result_page(
    read: Read, version: int, since_seq: int, before: Limits, after: Limits, cursor: str | None, limit: int
) -> r.EffectPage:
    """A page of what the reload that made ``version`` meant: what it closed first, then what goes on.

    ``since_seq`` is the last row of the history before the reload.
    Raises :class:`InvalidRequest` where another configuration has come into force since the list was begun.
    """
    own = f"v{version}.{since_seq}"
    mark, state, last = _parse(cursor, own, _CLOSED)
    if mark != own:
        raise InvalidRequest("another configuration has come into force since the list was begun: begin again")
    if state != _CLOSED:
        return await read(lambda store: _live_page(store, mark, before, after, (state, last), limit))
    seq = int(last) if last.isdecimal() else since_seq
    closed = await read(lambda store: store.closed_by_limit(version, seq, limit))
    effects = [_effect(action, LimitEffect.CLOSE, before, after) for _, action in closed]
    place = (_CLOSED, str(closed[-1][0])) if len(closed) == limit else (_LIVE[0], "")
    return r.EffectPage(effects=effects, next=":".join((own, *place)))


def _limit_counts(system: str, old: int | None, new: int | None, store: ReadStore) -> LimitCounts:
    return store.limit_counts(system, old, new)


def _live_page(
    store: ReadStore, mark: str, before: Limits, after: Limits, place: tuple[str, str], limit: int
) -> r.EffectPage:
    state, last = place
    if not _concerned(before, after):
        return r.EffectPage(effects=[], next=None)
    actions = store.live_page(state, last, limit)
    found = _effects(actions, before, after)
    if len(actions) == limit:
        return r.EffectPage(effects=found, next=f"{mark}:{state}:{actions[-1].id}")
    further = _LIVE[_LIVE.index(state) + 1 :]
    return r.EffectPage(effects=found, next=f"{mark}:{further[0]}:" if further else None)


def _effects(actions: Sequence[Action], before: Limits, after: Limits) -> list[r.Effect]:
    return [
        _effect(action, effect, before, after)
        for action in actions
        if (effect := limit_effect(action, before.get(action.system), after.get(action.system))) is not None
    ]


def _effect(action: Action, effect: LimitEffect, before: Limits, after: Limits) -> r.Effect:
    return r.Effect(
        id=action.id,
        system=action.system,
        effect=effect.value,
        before=_tries(action, before.get(action.system)),
        after=_tries(action, after.get(action.system)),
    )


def _tries(action: Action, limit: int | None) -> str:
    shown = action.shown_limit(limit)
    return str(action.attempts) if shown is None else f"{action.attempts} of {shown}"


def _pending_effect(old: int | None, new: int | None) -> LimitEffect:
    if new is None:
        return LimitEffect.HOLD
    return LimitEffect.RESUME if old is None else LimitEffect.GO_ON


def _concerned(before: Limits, after: Limits) -> list[str]:
    return [name for name in dict.fromkeys((*before, *after)) if before.get(name) != after.get(name)]


def _parse(cursor: str | None, mark: str, first_state: str) -> tuple[str, str, str]:
    if cursor is None:
        return mark, first_state, ""
    parts = cursor.split(":")
    if len(parts) != 3 or parts[1] not in (_CLOSED, *_LIVE):
        raise InvalidRequest("reload_effects: 'after' is not the 'next' of a page")
    return parts[0], parts[1], parts[2]
