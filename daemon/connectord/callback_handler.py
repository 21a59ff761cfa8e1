"""What a callback does: finds the action's system, lets its adapter read the body, and tells the ledger."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping

from connectord.adapters import Adapter, CallbackRequest, response_from
from connectord.callbacks import CallbackAnswer
from connectord.errors import InvalidCallback, NotFound
from connectord.ledger.ledger import Ledger
from connectord.ledger.responses import response_event
from connectord.lifecycle.events import Event
from connectord.responses import read_response

KNOWN_SYSTEMS = 10_000


def read_event(reader: Adapter | None, request: CallbackRequest) -> Event:
    """The event that a callback stands for.

    Without a ``reader``, where the system is not configured any more, our own format is all that can be read. Raises
    :class:`connectord.errors.InvalidCallback` for what the sender has to change, a response that is too large or nested
    too deeply included, and whatever the adapter raises.
    """
    response = response_from(read_response(request.body)) if reader is None else reader.read_callback(request)
    try:
        return response_event(response, "read_callback()")
    except ValueError as error:
        raise InvalidCallback(f"the response cannot be used: {error}") from error


class CallbackTaker:
    """A :class:`connectord.callbacks.CallbackHandler`."""

    def __init__(
        self,
        ledger: Ledger,
        system_of: Callable[[str], Awaitable[str | None]],
        reader_of: Callable[[str], Adapter | None],
    ) -> None:
        self._ledger = ledger
        self._system_of = system_of
        self._reader_of = reader_of
        # ordered: of a dict, the oldest is found by passing over all that have left before it
        self._known: OrderedDict[str, str] = OrderedDict()

    async def handle_callback(self, action_id: str, headers: Mapping[str, str], body: bytes) -> CallbackAnswer:
        """Take one callback; returns after the commit."""
        reader = self._reader_of(await self._find_system(action_id))
        event = read_event(reader, CallbackRequest(action_id, headers, body))
        transition = await self._ledger.apply(action_id, event, "callback")
        return CallbackAnswer.LATE if transition.late else CallbackAnswer.TAKEN

    def remember(self, action_id: str, system: str) -> None:
        """Note an action's system, so that its callback needs no look into the store."""
        known = self._known
        if len(known) >= KNOWN_SYSTEMS and action_id not in known:
            known.popitem(last=False)
        known[action_id] = system

    async def _find_system(self, action_id: str) -> str:
        known = self._known.get(action_id)
        if known is not None:
            return known
        system = await self._system_of(action_id)
        if system is None:
            raise NotFound(f"there is no action {action_id}")
        self.remember(action_id, system)
        return system
