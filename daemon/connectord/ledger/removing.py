"""What retention asks of the ledger: remove what is old, and give the room back to the disk. Small pieces each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from connectord.clock import Clock
from connectord.ledger.unit import Unit
from connectord.store.base import Prunable, Pruned, PrunePlace

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Took(Generic[T]):
    """How long the writer was busy with a piece, in milliseconds, and what came of it."""

    ms: int
    result: T


@dataclass(frozen=True, slots=True)
class Prune:
    """Remove up to ``limit`` closed actions with everything that belongs to them.

    ``clock`` tells how long it took, so that whoever asks can make the next piece smaller.
    """

    what: Prunable
    place: PrunePlace
    limit: int
    clock: Clock

    def perform(self, unit: Unit) -> Took[Pruned]:
        unit.flush()
        begun = self.clock.now_ms()
        pruned = unit.store.prune(self.what, self.place, self.limit, unit.now)
        unit.forget(pruned.ids)
        return Took(self.clock.now_ms() - begun, pruned)


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Move up to ``pages`` pages from the end of the file into free ones, and cut the file.

    Gives how many bytes are still free. ``clock`` as for :class:`Prune`.
    """

    pages: int
    clock: Clock

    def perform(self, unit: Unit) -> Took[int]:
        unit.flush()
        begun = self.clock.now_ms()
        free = unit.store.give_back(self.pages)
        return Took(self.clock.now_ms() - begun, free)
