"""A lane's wish to begin what is submitted within the submission's own transaction: a commit less for each action."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from connectord.ledger.operations import Claim


class StandingClaim:
    """Stands in the ledger while a lane waits because nothing is due; serves one batch.

    ``reserve`` is asked on the event loop right before a batch that has a submission for the lane: the claim to be done
    at the end of that batch, with the places held for it, or None where nothing may begin just now.
    """

    def __init__(self, reserve: Callable[[], Claim | None]) -> None:
        self.reserve = reserve
        self.answer: Callable[[], Awaitable[Any]] | None = None
        """What the claim comes to, once it is committed, as ``Ledger.perform`` gives it; None until it is made."""
        self.condition_came = False
        self._unmade = trio.CancelScope()

    def make(self, answer: Callable[[], Awaitable[Any]]) -> None:
        """The claim is part of a batch by now: whoever waits is to wait for its answer."""
        self.answer = answer
        self._unmade.cancel()

    async def wait(self, condition: Callable[[], Awaitable[object]]) -> None:
        """Wait for ``condition``, or until the claim is made; both may be so at the end."""
        with self._unmade:
            await condition()
            self.condition_came = True
