"""What a plugin does wrong, in words that name the line."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import FrameType, TracebackType

import trio

from connectord.guards.culprits import module_of, package_of

MOST_CHARACTERS = 4096
"""How much of an error's message is kept."""


def words_of(error: BaseException) -> str:
    """The error's type and message, of the one error in a group of one; fit to be stored whatever the error is."""
    error = leaf_of(error)
    return f"{type(error).__name__}: {message_of(error)}".rstrip(": ")


def message_of(error: BaseException) -> str:
    """The error's message, fit to be stored; empty where it has none or fails to tell; a long one is cut."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - a plugin's own error class may raise anything here
        return "(its message cannot be told)"
    if len(text) > MOST_CHARACTERS:
        text = text[:MOST_CHARACTERS] + "..."
    return text.encode("utf-8", "replace").decode("utf-8")


def leaf_of(error: BaseException) -> BaseException:
    """The one error in a group of one, however deep; else the error itself."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def reraise_cancelled(error: BaseException) -> None:
    """Let our own cancellation through, also out of a group that a plugin's nursery made.

    A cancellation that a plugin kept from somewhere else and raises now is not ours: nobody above waits for it.
    """
    cancelled: BaseException | None = error if isinstance(error, trio.Cancelled) else None
    if isinstance(error, BaseExceptionGroup):
        cancelled = error.subgroup(trio.Cancelled)
    if cancelled is not None and trio.current_effective_deadline() == -math.inf:
        raise cancelled


def raised_at(error: BaseException, package: str) -> str | None:
    """``file:line`` of the innermost frame in ``package`` through which the error came; None where it came through
    none.
    """
    for each in _innermost_first(error):
        frames = [place for place in _frames(each.__traceback__) if package_of(module_of(place[0])) == package]
        if frames:
            frame, line = frames[-1]
            return f"{frame.f_code.co_filename}:{line}"
    return None


def defined_at(function: object) -> str | None:
    """``file:line`` where a function is defined; None where nobody can tell."""
    code = getattr(function, "__code__", None)
    return None if code is None else f"{code.co_filename}:{code.co_firstlineno}"


def _frames(traceback: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while traceback is not None:
        yield traceback.tb_frame, traceback.tb_lineno
        traceback = traceback.tb_next


def _innermost_first(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _innermost_first(each)
    yield error
