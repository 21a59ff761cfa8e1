"""Who wants to hear of every change. A watcher that reads too slowly is cut off, and can ask the history instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import trio

from connectord.store.base import HistoryRow

BUFFER = 4096


class Watchers:
    """The subscribers to the ledger's changes."""

    def __init__(self) -> None:
        self._senders: list[trio.MemorySendChannel[HistoryRow]] = []

    def publish(self, rows: Sequence[HistoryRow]) -> None:
        """Hand every row to every watcher, without waiting for any."""
        for sender in list(self._senders):
            try:
                for row in rows:
                    sender.send_nowait(row)
            except (trio.WouldBlock, trio.BrokenResourceError):
                self._senders.remove(sender)
                sender.close()

    @contextmanager
    def subscribe(self, buffer: int = BUFFER) -> Iterator[trio.MemoryReceiveChannel[HistoryRow]]:
        """A channel of every change from now on; it ends when the watcher is ``buffer`` changes behind."""
        sender, receiver = trio.open_memory_channel[HistoryRow](buffer)
        self._senders.append(sender)
        try:
            yield receiver
        finally:
            if sender in self._senders:
                self._senders.remove(sender)
            sender.close()
            receiver.close()
