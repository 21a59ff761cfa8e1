"""The actions that were written or claimed last, as the store has them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping

from connectord.lifecycle.action import CLOSED, Action
from connectord.store.base import DueAction, NewAction

MOST_ACTIONS = 4096
"""So many are kept, which takes a few MiB: what is under way, and what its systems answer within seconds. Where there
are more, those go that were kept first."""

MOST_NEW = 1024
"""So many that were never claimed are kept besides: where more wait for it, what is claimed next is none of them."""

LONGEST_DATA = 1024
"""Custom data is kept with an action up to so many characters."""


class RecentActions:
    """Spares the one writer reading what it has just written: most actions change again within seconds.

    True as long as only the writer changes actions, and everything that it writes, removes or takes back is told here.
    """

    def __init__(self, most: int = MOST_ACTIONS, most_new: int = MOST_NEW) -> None:
        self._most = most
        self._most_new = most_new
        self._actions: OrderedDict[str, Action] = OrderedDict()
        self._new: dict[str, Action] = {}
        self._data: dict[str, str] = {}
        self._backlog = False

    @property
    def has_new(self) -> bool:
        """Whether there are some that were never claimed."""
        return bool(self._new)

    def get(self, action_id: str) -> Action | None:
        """The action as it was written last, if it is still kept."""
        return self._actions.get(action_id) or self._new.get(action_id)

    def find(self, action_ids: Collection[str]) -> tuple[list[Action], list[str]]:
        """As :meth:`get`, of many: those that are kept, and the ids of the others."""
        kept, new = self._actions, self._new
        found, others = list[Action](), list[str]()
        for action_id in action_ids:
            action = kept.get(action_id) or new.get(action_id)
            if action is None:
                others.append(action_id)
            else:
                found.append(action)
        return found, others

    def data(self, action_id: str) -> str | None:
        """The action's custom data, as JSON text, if it is kept."""
        return self._data.get(action_id)

    def keep(self, actions: Iterable[Action]) -> None:
        """These were changed. What is closed is let go: it hardly ever changes again."""
        kept, new = self._actions, self._new
        for action in actions:
            new.pop(action.id, None)
            if action.state is CLOSED:
                kept.pop(action.id, None)
                self._data.pop(action.id, None)
            else:
                kept[action.id] = action
        self._drop_oldest()

    def keep_data(self, data: Mapping[str, str]) -> None:
        """This is the custom data of these actions now."""
        for action_id, text in data.items():
            if self.get(action_id) is not None:
                self._keep_text(action_id, text)

    def keep_new(self, inserted: Collection[NewAction]) -> None:
        """These were inserted; what is due at once will be claimed within seconds, unless many wait for it."""
        if self._backlog:
            return
        if len(self._new) + len(inserted) > self._most_new:
            self.forget(list(self._new))
            self._backlog = True
            return
        for each in inserted:
            action = each.action
            if action.due_at == action.submitted_at:
                self._new[action.id] = action
                self._keep_text(action.id, each.data)

    def keep_claimed(self, claimed: Collection[DueAction], limit: int) -> None:
        """These were read, of up to ``limit`` that are due. They are about to change, and to be answered."""
        if len(claimed) < limit:
            self._backlog = False
        for each in claimed:
            self._actions[each.action.id] = each.action
            self._new.pop(each.action.id, None)
            self._keep_text(each.action.id, each.data)
        self._drop_oldest()

    def forget(self, action_ids: Iterable[str]) -> None:
        """These were removed, or changed by a statement that says nothing of each."""
        for action_id in action_ids:
            self._actions.pop(action_id, None)
            self._new.pop(action_id, None)
            self._data.pop(action_id, None)

    def forget_all(self) -> None:
        """Something was taken back."""
        for kept in (self._actions, self._new, self._data):
            kept.clear()

    def _keep_text(self, action_id: str, text: str) -> None:
        if len(text) <= LONGEST_DATA:
            self._data[action_id] = text
        else:
            self._data.pop(action_id, None)

    def _drop_oldest(self) -> None:
        while len(self._actions) > self._most:
            self._data.pop(self._actions.popitem(last=False)[0], None)
