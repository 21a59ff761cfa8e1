"""Action ids: ULIDs, 26 characters of Crockford's base32, which sort by the time they were made at."""

from __future__ import annotations

import random

from connectord.ulids import ALPHABET, encode

_RANDOM_BITS = 80


class IdSource:
    """Makes ids that sort in the order in which they were made, also within one millisecond.

    When the clock goes back, ids keep counting from the last one, so a later id never sorts first. ``last`` is the
    last one that was made before the daemon was started.
    """

    def __init__(self, rng: random.Random, last: str | None = None) -> None:
        self._rng = rng
        self._last = 0 if last is None else decode(last)

    def make(self, now_ms: int) -> str:
        """A new id for the time ``now_ms`` (milliseconds since the epoch)."""
        if now_ms > self._last >> _RANDOM_BITS:
            fresh = (now_ms << _RANDOM_BITS) | self._rng.getrandbits(_RANDOM_BITS)
        else:
            # a random stride, so that knowing one id does not tell the next
            fresh = self._last + 1 + self._rng.getrandbits(32)
        self._last = fresh
        return encode(fresh)


def decode(action_id: str) -> int:
    """The 128-bit number of 26 characters. Raises :class:`ValueError` for any others."""
    value = 0
    for character in action_id:
        value = value << 5 | ALPHABET.index(character)
    return value
