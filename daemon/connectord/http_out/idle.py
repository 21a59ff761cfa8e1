"""Connections that wait for their next request: taking one and putting it back take the same time with any number."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from typing import Generic, Protocol, TypeVar


class Reusable(Protocol):
    """What can wait."""

    idle_since: float
    """Since when it waits, on whatever clock the caller has."""

    @property
    def origin(self) -> Hashable:
        """Where it leads."""


T = TypeVar("T", bound=Reusable)


class Idle(Generic[T]):
    """What waits, by origin.

    Of one origin's the most recently used goes first, so that the others can grow old. At most ``most`` (0 or more) are
    to be kept, of all origins together, each for ``keepalive_seconds``.
    """

    __slots__ = ("_by_age", "_by_origin", "_keepalive_seconds", "_most")

    def __init__(self, *, keepalive_seconds: float, most: int) -> None:
        self._keepalive_seconds = keepalive_seconds
        self._most = most
        self._by_origin: dict[Hashable, deque[T]] = {}
        # all of them again, the longest idle first; of a dict, the first is found by passing over all that have left
        self._by_age: OrderedDict[T, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_age)

    def __iter__(self) -> Iterator[T]:
        return iter(self._by_age)

    def take(self, origin: Hashable) -> T | None:
        """The one of this origin that was put last; None where there is none."""
        same_origin = self._by_origin.get(origin)
        if same_origin is None:
            return None
        taken = same_origin.pop()
        if not same_origin:
            del self._by_origin[origin]
        del self._by_age[taken]
        return taken

    def put(self, item: T, now: float) -> None:
        """Let it wait from now on. :meth:`take_surplus` should follow."""
        item.idle_since = now
        same_origin = self._by_origin.get(item.origin)
        if same_origin is None:
            same_origin = self._by_origin[item.origin] = deque()
        same_origin.append(item)
        self._by_age[item] = None

    def is_fresh(self, item: T, now: float) -> bool:
        """Whether it has not waited longer than it may."""
        return item.idle_since >= now - self._keepalive_seconds

    def take_surplus(self, now: float) -> list[T]:
        """Those that have waited too long, or are too many, the longest idle first; the caller closes them."""
        surplus = []
        while self._by_age:
            oldest = next(iter(self._by_age))
            if len(self._by_age) <= self._most and self.is_fresh(oldest, now):
                break
            del self._by_age[oldest]
            same_origin = self._by_origin[oldest.origin]
            same_origin.popleft()  # the oldest of all is the oldest of its origin
            if not same_origin:
                del self._by_origin[oldest.origin]
            surplus.append(oldest)
        return surplus

    def clear(self) -> None:
        """Forget them all."""
        self._by_age.clear()
        self._by_origin.clear()
