"""What an adapter does wrong, in words that name the adapter and the line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType, TracebackType

import trio

from connectord.adapters import Adapter


def words_of(error: BaseException) -> str:
    """The error's type and message, of the one error in a group of one; fit to be stored whatever the error is."""
    error = leaf_of(error)
    return f"{type(error).__name__}: {message_of(error)}".rstrip(": ")


def message_of(error: BaseException) -> str:
    """The error's message, fit to be stored; empty where it has none, or fails to tell."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - a plugin's own error class may raise anything here
        return "(its message cannot be told)"
    return text.encode("utf-8", "replace").decode("utf-8")


def leaf_of(error: BaseException) -> BaseException:
    """The one error in a group of one, however deep; else the error itself."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def reraise_cancelled(error: BaseException) -> None:
    """Let our own cancellation out of a group that a plugin's nursery made."""
    if isinstance(error, BaseExceptionGroup):
        cancelled = error.subgroup(trio.Cancelled)
        if cancelled is not None:
            raise cancelled


def place_of(error: BaseException, adapter: type[Adapter], method: str) -> str:
    """``file:line`` where the plugin's own code raised the error: the innermost frame that belongs to its package.

    Of an error that came up in nobody's code but ours, such as for a wrong return value, it is where the adapter
    defines ``method``.
    """
    package = _package(adapter.__module__)
    for each in _innermost_first(error):
        frames = [place for place in _frames(each.__traceback__) if _package(_module(place[0])) == package]
        if frames:
            frame, line = frames[-1]
            return f"{frame.f_code.co_filename}:{line}"
    code = getattr(getattr(adapter, method, None), "__code__", None)
    if code is not None:
        return f"{code.co_filename}:{code.co_firstlineno}"
    return getattr(sys.modules.get(adapter.__module__), "__file__", None) or adapter.__module__


def fault_words(error: BaseException, adapter: type[Adapter], method: str) -> str:
    """What ``systems``, the card and the log say of an adapter's fault."""
    return f"adapter fault: {words_of(error)} (adapter {adapter.name}, {place_of(error, adapter, method)})"


def _package(module: str) -> str:
    # our own adapters would otherwise claim every frame of the daemon
    return module if module.partition(".")[0] == "connectord" else module.partition(".")[0]


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _frames(traceback: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while traceback is not None:
        yield traceback.tb_frame, traceback.tb_lineno
        traceback = traceback.tb_next


def _innermost_first(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _innermost_first(each)
    yield error
