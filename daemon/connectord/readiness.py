"""Waiting until a socket has something to read, for sockets that are waited for again and again.

:func:`trio.lowlevel.wait_readable` tells the kernel anew each time that a socket is of interest. Here it is told once,
and one task in each run of trio hears of all of them: a wait costs no system call.
"""

from __future__ import annotations

import select
import socket

import trio

_INTEREST = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
_END = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_CLOSED = "it was closed by another task"


class Readiness:
    """Whether one socket has something to read, and a place where one task at a time waits for it.

    The kernel speaks up when something arrives, and not again for what is still there. So whoever reads says so when
    there is nothing left: with :meth:`drained`. The end is always there to be read, once it has come.
    """

    __slots__ = ("_descriptor", "_has_ended", "_is_ready", "_poller", "_waits")

    def __init__(self, connected: socket.socket) -> None:
        self._is_ready = self._has_ended = False
        self._waits: trio.lowlevel.Task | None = None
        self._descriptor = connected.fileno()
        self._poller = _the_poller()
        self._poller.add(self._descriptor, self)

    async def wait(self) -> None:
        """Return once there may be something to read, the end and an error counted; a checkpoint.

        Raises :class:`trio.BusyResourceError` where another task waits, :class:`trio.ClosedResourceError` where it is
        closed meanwhile.
        """
        if self._descriptor < 0:
            raise trio.ClosedResourceError(_CLOSED)
        if self._is_ready:
            await trio.lowlevel.checkpoint()
            return
        if self._waits is not None:
            raise trio.BusyResourceError("another task waits for this socket")
        self._waits = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._cancel)
        if self._descriptor < 0:
            raise trio.ClosedResourceError(_CLOSED)

    def drained(self) -> None:
        """Nothing is left to read but the end: the next wait is for what arrives from now on."""
        self._is_ready = self._has_ended

    def received(self, count: int, most: int) -> None:
        """``count`` bytes were received where ``most`` might have been: after fewer nothing is left but the end."""
        if 0 < count < most:
            self.drained()

    def notice(self, events: int) -> None:
        """The kernel says that there is something: these events of epoll's."""
        self._is_ready = True
        if events & _END:
            self._has_ended = True
        self._wake()

    def close(self) -> None:
        """Not of interest any more; to be called before the socket is closed."""
        if self._descriptor >= 0:
            self._poller.remove(self._descriptor)
            self._descriptor = -1
            self._wake()

    def _wake(self) -> None:
        task, self._waits = self._waits, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    def _cancel(self, raise_cancel: object) -> trio.lowlevel.Abort:
        self._waits = None
        return trio.lowlevel.Abort.SUCCEEDED


class _Poller:
    """The kernel's list of the sockets that are of interest, for one run of trio."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._sockets: dict[int, Readiness] = {}

    def add(self, descriptor: int, readiness: Readiness) -> None:
        self._epoll.register(descriptor, _INTEREST)
        self._sockets[descriptor] = readiness

    def remove(self, descriptor: int) -> None:
        del self._sockets[descriptor]
        if not self._epoll.closed:
            self._epoll.unregister(descriptor)

    async def run(self) -> None:
        with self._epoll:
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                for descriptor, events in self._epoll.poll(0):
                    readiness = self._sockets.get(descriptor)
                    if readiness is not None:
                        readiness.notice(events)


_poller: trio.lowlevel.RunVar[_Poller] = trio.lowlevel.RunVar("connectord.readiness")


def _the_poller() -> _Poller:
    try:
        return _poller.get()
    except LookupError:
        poller = _Poller()
        _poller.set(poller)
        # a system task, as trio's own are: it serves whoever has a socket, and ends with the run
        trio.lowlevel.spawn_system_task(poller.run)
        return poller
