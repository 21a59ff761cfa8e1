"""The terminal while ``top`` has it: keys one by one, a screen of its own, and everything as it was afterwards."""

from __future__ import annotations

import contextlib
import os
import termios
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.screen import Screen

# another screen, no cursor, pasted text is marked as such
_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?2004h"
_LEAVE = "\x1b[?2004l\x1b[?25h\x1b[?1049l"
_HOME = "\x1b[H"
_CLEAR = "\x1b[2J"
_USUAL_SIZE = (80, 24)
_READ_BYTES = 1024
_INPUT, _LOCAL, _CHARACTERS = 0, 3, 6


class Terminal:
    """Draws whole frames on the terminal ``output``, and says how large it is."""

    def __init__(self, keys: int, output: int, encoding: str) -> None:
        self.keys = keys
        self._descriptor = output
        # a file of its own: what the terminal's encoding cannot say must not raise
        self._file = open(output, "w", encoding=encoding, errors="replace", closefd=False)  # noqa: SIM115
        self._console = Console(file=self._file, force_terminal=True, highlight=False, markup=False, emoji=False)
        self._drawn_size: tuple[int, int] | None = None
        self.is_gone = False
        """Whether the terminal was closed: nobody looks any more."""

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Have the terminal for oneself within the block, whatever ends it."""
        before = termios.tcgetattr(self.keys)
        ours = termios.tcgetattr(self.keys)
        # no line editing, no echo, no signals, no stopped output: all keys are keys. Newlines are still translated
        ours[_INPUT] &= ~(termios.IXON | termios.ICRNL)
        ours[_LOCAL] &= ~(termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN)
        ours[_CHARACTERS][termios.VMIN], ours[_CHARACTERS][termios.VTIME] = 1, 0
        try:
            termios.tcsetattr(self.keys, termios.TCSADRAIN, ours)
            self._write(_ENTER)
            yield
        finally:
            # where the terminal itself is gone there is nothing to put back
            self._write(_LEAVE)
            with contextlib.suppress(OSError, termios.error):
                termios.tcsetattr(self.keys, termios.TCSAFLUSH, before)
            with contextlib.suppress(OSError):
                self._file.close()

    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        try:
            columns, rows = os.get_terminal_size(self._descriptor)
        except OSError:
            return _USUAL_SIZE
        # a terminal that does not know its size says 0
        return columns or _USUAL_SIZE[0], rows or _USUAL_SIZE[1]

    def read(self) -> bytes:
        """What was typed; nothing where the terminal is gone."""
        try:
            return os.read(self.keys, _READ_BYTES)
        except OSError:
            return b""

    def draw(self, frame: RenderableType, size: tuple[int, int]) -> None:
        """Put ``frame`` on the whole screen, at once."""
        self._console.size = size
        with self._console.capture() as captured:
            self._console.print(Screen(frame), end="")
        clear = "" if size == self._drawn_size else _CLEAR
        self._drawn_size = size
        self._write(_HOME + clear + captured.get())

    def clear(self) -> None:
        """Draw the next frame on an empty screen."""
        self._drawn_size = None

    def _write(self, text: str) -> None:
        try:
            self._file.write(text)
            self._file.flush()
        except OSError:
            self.is_gone = True
