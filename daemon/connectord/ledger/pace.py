"""How large a piece of long work may be, so that nobody waits long behind it."""

from __future__ import annotations


class Pace:
    """Adapts the size of the next piece to how long the last one took.

    A piece that took longer than ``long_ms`` is followed by one of half the size, one that took ``short_ms`` or less by
    one that is larger by ``step``, up to ``largest``.
    """

    def __init__(self, largest: int, *, smallest: int = 1, first: int, step: int, short_ms: int, long_ms: int) -> None:
        self.size = first
        self._smallest = smallest
        self._largest = largest
        self._step = step
        self._short_ms = short_ms
        self._long_ms = long_ms

    def adapt(self, took_ms: int) -> None:
        """Choose the size of the next piece."""
        if took_ms > self._long_ms:
            self.size = max(self._smallest, self.size // 2)
        elif took_ms <= self._short_ms:
            self.size = min(self._largest, self.size + self._step)
