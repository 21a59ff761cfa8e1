"""``top`` at work: keys, answers and the terminal's size change the state, and every change is drawn."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator

import trio

from connectord.cli.top import pressing as do
from connectord.cli.top import state as on_screen
from connectord.cli.top.feed import Connection, fetch
from connectord.cli.top.keyboard import KeyParser
from connectord.cli.top.state import State
from connectord.cli.top.terminal import Terminal
from connectord.cli.top.view import frame
from connectord.errors import DaemonUnreachable, RequestFailed

REFRESH_SECONDS = 1.0
DAEMON_SHARE = 0.1
"""The part of its time that the daemon may be kept busy by one ``top``: where answers take long, they are seldom."""

LONGEST_PAUSE_SECONDS = 10.0

ESCAPE_SECONDS = 0.05
"""How long an Escape waits for the rest of a sequence."""

MOST_ACTIONS = 100
COMMANDS_QUEUED = 8
_SIGNALS = (signal.SIGWINCH, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Top:
    """The running ``top``. Everything happens in one trio thread: whoever changes the state draws it."""

    def __init__(self, path: str, terminal: Terminal) -> None:
        self._terminal = terminal
        self._asking = Connection(path)
        self._acting = Connection(path)
        self._state = on_screen.resized(State(), terminal.size())
        self._wanted_now = trio.Event()
        self._commands, self._to_do = trio.open_memory_channel[do.Command](COMMANDS_QUEUED)
        self._done = trio.Event()

    async def run(self) -> None:
        """Until somebody quits. Raises :class:`DaemonUnreachable` or :class:`RequestFailed` where it cannot begin."""
        try:
            await self._fetch()
            # the signals first: none may end us while we have the terminal
            with trio.open_signal_receiver(*_SIGNALS) as signals, self._terminal.taken():
                self._state = on_screen.resized(self._state, self._terminal.size())
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._watch_signals, signals)
                    for task in (self._refresh, self._act, self._read_keys):
                        nursery.start_soon(task)
                    await self._done.wait()
                    nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await self._asking.close()
                await self._acting.close()

    def _show(self, state: State) -> None:
        self._state = state
        self._terminal.draw(frame(state), state.size)
        if self._terminal.is_gone:
            self._done.set()

    # -- the daemon's side

    async def _fetch(self) -> None:
        shown = on_screen.layout(self._state).actions
        limit = MOST_ACTIONS if self._state.text else max(1, min(shown, MOST_ACTIONS))
        only = self._state.only_system
        snapshot = await fetch(self._asking, limit, only)
        if only == self._state.only_system:
            self._state = on_screen.arrived(self._state, snapshot)
        card = self._state.card
        if card is not None:
            action = await self._asking.call("show", id=card["id"])
            self._state = on_screen.refreshed(self._state, action)

    async def _refresh(self) -> None:
        while True:
            began = trio.current_time()
            pause = REFRESH_SECONDS
            try:
                await self._fetch()
                took = trio.current_time() - began
                pause = max(REFRESH_SECONDS - took, min(took * (1 / DAEMON_SHARE - 1), LONGEST_PAUSE_SECONDS))
                self._show(self._state)
            except DaemonUnreachable as error:
                self._show(on_screen.failed(self._state, str(error)))
            except RequestFailed as error:
                self._show(on_screen.told(self._state, str(error), refusal=True))
            with trio.move_on_after(pause):
                await self._wanted_now.wait()
            self._wanted_now = trio.Event()

    async def _act(self) -> None:
        async for command in self._to_do:
            try:
                message = await self._carry_out(command)
            except (DaemonUnreachable, RequestFailed) as error:
                self._show(on_screen.told(self._state, str(error), refusal=True))
            else:
                self._show(self._state if message is None else on_screen.told(self._state, message))
            self._wanted_now.set()

    async def _carry_out(self, command: do.Command) -> str | None:
        match command:
            case do.Retry(id_):
                await self._acting.call("retry", id=id_)
                return f"{id_} is tried again now"
            case do.SetPaused(system, paused):
                await self._acting.call("pause" if paused else "resume", system=system)
                return f"{system} is paused; p lets it go on" if paused else f"{system} goes on"
            case do.Open(id_):
                action = await self._acting.call("show", id=id_)
                self._state = on_screen.opened(self._state, action)
        return None

    # -- the terminal's side

    async def _read_keys(self) -> None:
        self._show(self._state)
        parser = KeyParser()
        while True:
            with trio.move_on_after(ESCAPE_SECONDS if parser.is_waiting else float("inf")) as waited:
                await trio.lowlevel.wait_readable(self._terminal.keys)
            if waited.cancelled_caught:
                keys = parser.flush()
            else:
                data = self._terminal.read()
                if not data:
                    self._done.set()
                    return
                keys = parser.feed(data)
            for key in keys:
                state, command = do.press(self._state, key)
                self._obey(state, command)

    def _obey(self, state: State, command: do.Command | None) -> None:
        match command:
            case do.Quit():
                self._done.set()
            case do.Redraw():
                self._terminal.clear()
            case do.Refresh():
                self._wanted_now.set()
            case None:
                pass
            case _:
                try:
                    self._commands.send_nowait(command)
                except trio.WouldBlock:
                    state = on_screen.told(state, "too much is under way; wait a moment", refusal=True)
        self._show(state)

    async def _watch_signals(self, signals: AsyncIterator[int]) -> None:
        async for number in signals:
            if number != signal.SIGWINCH:
                self._done.set()
                return
            self._show(on_screen.resized(self._state, self._terminal.size()))
            self._wanted_now.set()


def run(path: str, *, keys: int, output: int, encoding: str) -> None:
    """Show the daemon at ``path`` on the terminal whose descriptors are ``keys`` and ``output``, until it is quit."""
    trio.run(Top(path, Terminal(keys, output, encoding)).run)
