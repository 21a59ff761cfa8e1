"""People's work at a glance: the queues, and who has what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from connectord.control import results as r
from connectord.lifecycle.action import State
from connectord.store.base import PeopleCount
from connectord.times import rfc3339


@dataclass(slots=True)
class _Tally:
    todo: int = 0
    in_progress: int = 0
    oldest_at: int | None = None

    def add(self, counted: PeopleCount) -> None:
        if counted.state == State.IN_PROGRESS:
            self.in_progress += counted.count
            return
        self.todo += counted.count
        if counted.oldest_at is not None:
            self.oldest_at = counted.oldest_at if self.oldest_at is None else min(self.oldest_at, counted.oldest_at)

    def since(self) -> str | None:
        return None if self.oldest_at is None else rfc3339(self.oldest_at)

    def waited(self, now: int) -> float | None:
        # the clock may have gone back since
        return None if self.oldest_at is None else max(now - self.oldest_at, 0) / 1000


def queues_view(counts: Iterable[PeopleCount], known: Mapping[str, str | None], now: int) -> r.Queues:
    """Every known queue in its order, then those that only actions name; and the users by name.

    ``known`` has the queues and what each is for; ``now`` is milliseconds since the epoch.
    """
    queues: dict[str, _Tally] = {name: _Tally() for name in known}
    people: dict[str, _Tally] = {}
    for counted in counts:
        if counted.queue is not None:
            queues.setdefault(counted.queue, _Tally()).add(counted)
        if counted.user is not None:
            people.setdefault(counted.user, _Tally()).add(counted)
    return r.Queues(
        queues=[
            r.Queue(
                name=name,
                known=name in known,
                description=known.get(name),
                todo=tally.todo,
                in_progress=tally.in_progress,
                oldest_at=tally.since(),
                oldest_seconds=tally.waited(now),
            )
            for name, tally in queues.items()
        ],
        people=[
            r.Person(
                user=user,
                todo=tally.todo,
                in_progress=tally.in_progress,
                oldest_at=tally.since(),
                oldest_seconds=tally.waited(now),
            )
            for user, tally in sorted(people.items())
        ],
    )
