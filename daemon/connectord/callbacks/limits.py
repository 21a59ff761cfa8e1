"""What the callback listener allows a peer: sizes, times, counts, and how often a peer may guess."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from connectord.callbacks.addresses import IPNetwork

MOST_ADDRESSES = 10_000
"""How many addresses :class:`BadTokens` remembers; the one not seen for longest is forgotten first."""

_WINDOW_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of the callback listener; each is more than 0."""

    max_body_bytes: int = 1024 * 1024
    """A longer body is refused with 413, by its Content-Length before a byte of it is read."""

    max_header_bytes: int = 16 * 1024
    """The request line and all header lines with their line ends; more is 431."""

    max_headers: int = 100
    """How many header lines; more is 431."""

    header_timeout_seconds: float = 10.0
    """From a request's first byte, or on a new connection from accepting it, to the end of its headers; then 408."""

    body_timeout_seconds: float = 30.0
    """For a whole body, however steadily it comes; then 408."""

    idle_timeout_seconds: float = 60.0
    """How long a connection is kept open between two requests."""

    write_timeout_seconds: float = 10.0
    """For one answer; then the connection is cut."""

    linger_timeout_seconds: float = 2.0
    """How long what a peer still sends is thrown away after the last answer, so that it can read that answer."""

    max_connections: int = 1024
    """For one more, one that has waited for longer than ``place_patience_seconds`` is dropped. Where there is none, it
    waits in the kernel's queue. Half of the process's file descriptors are the most in any case."""

    place_patience_seconds: float = 2.0
    """So long; then it, and all that come until there is a place again, are answered with 503 and closed."""

    max_connections_per_address: int = 256
    """As :attr:`max_connections`, for each address (IPv6: each /64) that is no trusted proxy's. As many again may wait
    for a place, accepted but not read."""

    max_requests_per_connection: int = 1000
    """The last of them is answered with ``Connection: close``."""

    guesses_per_minute: int = 600
    """Per address (IPv6: per /64). Beyond it a bad token or signature is answered with 429 instead of 404 or 401; a
    good one is always taken, because behind a proxy all peers have one address."""

    trusted_proxies: tuple[IPNetwork, ...] = ()
    """Whose ``X-Forwarded-For`` says which address a guess is counted under."""

    def in_force(self) -> Limits:
        """Themselves: what :func:`connectord.callbacks.serve_callbacks` asks for, where they never change."""
        return self


DEFAULTS = Limits()
"""The limits where nobody sets any."""


class BadTokens:
    """Counts the bad tokens and signatures of each peer address, in a table of at most :data:`MOST_ADDRESSES`."""

    __slots__ = ("_most_addresses", "_now", "_seen")

    def __init__(self, now: Callable[[], float], most_addresses: int = MOST_ADDRESSES) -> None:
        """``now`` gives seconds on a clock that never goes back."""
        self._now = now
        self._most_addresses = most_addresses
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def count(self, address: str, per_minute: int) -> int:
        """Count one more. 0 up to ``per_minute``; then the whole seconds (1 to 60) that the peer has to wait.

        A peer's minute begins at its first bad token; one that goes on while refused does not make it longer.
        """
        now = self._now()
        began, bad = self._seen.get(address, (now, 0))
        if now - began >= _WINDOW_SECONDS:
            began, bad = now, 0
        self._seen[address] = (began, bad + 1)
        self._seen.move_to_end(address)
        if len(self._seen) > self._most_addresses:
            self._seen.popitem(last=False)
        if bad < per_minute:
            return 0
        return max(1, math.ceil(began + _WINDOW_SECONDS - now))
