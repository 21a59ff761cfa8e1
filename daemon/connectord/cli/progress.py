"""A bar for what takes long: on a terminal's standard error alone, so that no output ever has it in it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self, TypeVar

from connectord.cli.fitting import cut

T = TypeVar("T")

SHOWN_AFTER_SECONDS = 0.5
"""What is done sooner needs no bar."""

_BETWEEN_SECONDS = 0.1
_WIDTH = 30


class Progress(AbstractContextManager["Progress"]):
    """How far something is, of ``total`` pieces; None where nobody knows how many there are."""

    def __init__(self, label: str, total: int | None) -> None:
        self.done = 0
        self._label = label
        self._total = total
        self._began = time.monotonic()
        self._shown_at: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._shown_at is not None:
            # the line is left to what comes next
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def advance(self, pieces: int = 1) -> None:
        """So many pieces more are done."""
        self.done += pieces
        now = time.monotonic()
        last = self._began + SHOWN_AFTER_SECONDS - _BETWEEN_SECONDS if self._shown_at is None else self._shown_at
        if sys.stderr.isatty() and now - last >= _BETWEEN_SECONDS:
            self._shown_at = now
            sys.stderr.write(f"\r{self.line(now - self._began)}\x1b[K")
            sys.stderr.flush()

    def line(self, seconds: float) -> str:
        """The line as it is shown, ``seconds`` after the beginning; at most 79 columns."""
        rate = self.done / seconds if seconds > 0 else 0.0
        if not self._total:
            return cut(f"{self._label}  {self.done}  {rate:.0f}/s", 79)
        filled = min(self.done * _WIDTH // self._total, _WIDTH)
        left = f"  {(self._total - self.done) / rate:.0f} s left" if rate and self.done < self._total else ""
        bar = f"[{'#' * filled}{'.' * (_WIDTH - filled)}]"
        return cut(f"{self._label}  {bar}  {self.done} of {self._total}{left}", 79)


def show_waiting(seconds: float) -> None:
    """Say on the terminal for how long an answer is awaited already; 0 takes the words away."""
    if seconds >= SHOWN_AFTER_SECONDS or not seconds:
        sys.stderr.write(f"\r\x1b[Kwaiting for the daemon  {seconds:.0f} s" if seconds else "\r\x1b[K")
        sys.stderr.flush()


def with_progress(label: str, items: Iterable[T], total: int | None) -> Iterator[T]:
    """``items``, with a bar that moves as they are taken."""
    with Progress(label, total) as progress:
        for item in items:
            yield item
            progress.advance()
