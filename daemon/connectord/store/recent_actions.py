"""The actions that were changed last, as the store has them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable

from connectord.lifecycle.action import Action, State

MOST_ACTIONS = 4096
"""So many are kept, which takes a few MiB: what is under way, and what its systems answer within seconds. Where there
are more, those go that were kept first."""


class RecentActions:
    """Spares the one writer reading what it has just written: most actions change again within seconds.

    True as long as only the writer changes actions, and everything that it writes, removes or takes back is told here.
    """

    def __init__(self, most: int = MOST_ACTIONS) -> None:
        self._most = most
        self._actions: OrderedDict[str, Action] = OrderedDict()

    def get(self, action_id: str) -> Action | None:
        """The action as it was written last, if it is still kept."""
        return self._actions.get(action_id)

    def find(self, action_ids: Collection[str]) -> tuple[list[Action], list[str]]:
        """As :meth:`get`, of many: those that are kept, and the ids of the others."""
        kept = self._actions
        found = [kept[action_id] for action_id in action_ids if action_id in kept]
        if len(found) == len(action_ids):
            return found, []
        return found, [action_id for action_id in action_ids if action_id not in kept]

    def keep(self, actions: Iterable[Action]) -> None:
        """These were written. What is closed is let go: it hardly ever changes again."""
        kept = self._actions
        for action in actions:
            if action.state is State.CLOSED:
                kept.pop(action.id, None)
            else:
                kept[action.id] = action
        while len(kept) > self._most:
            kept.popitem(last=False)

    def forget(self, action_ids: Iterable[str]) -> None:
        """These were removed, or changed by a statement that says nothing of each."""
        for action_id in action_ids:
            self._actions.pop(action_id, None)

    def forget_all(self) -> None:
        """Something was taken back."""
        self._actions.clear()
