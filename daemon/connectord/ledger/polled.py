"""What a lane that polls has to hear from the ledger: when to ask next, and which questions are pointless by now."""

from __future__ import annotations

import trio

from connectord.clock import Alarm, Clock


class PolledActions:
    """The polled actions of one system. The polls under way are in memory; when each is due is in the store."""

    def __init__(self, clock: Clock) -> None:
        self.alarm = Alarm(clock)
        """Goes off when an action is to be polled."""
        self.under_way: dict[str, trio.CancelScope] = {}
        """The polls under way, by their actions."""

    def begin(self, action_id: str) -> trio.CancelScope:
        """Note that the action is being asked for; the scope is for the question."""
        scope = self.under_way[action_id] = trio.CancelScope()
        return scope

    def end(self, action_id: str, next_at: int | None) -> None:
        """Note that the question has ended, and what it brought is on disk; ``next_at`` is when to ask again."""
        self.under_way.pop(action_id, None)
        # whoever looked for what is due before this did not see the action
        self.alarm.set(next_at)

    def cancel(self, action_id: str) -> None:
        """The action is decided: cut off the question, if there is one under way."""
        scope = self.under_way.get(action_id)
        if scope is not None:
            scope.cancel()

    def cancel_all(self) -> None:
        """Cut off every question; each is asked again when polling goes on."""
        for scope in self.under_way.values():
            scope.cancel()
