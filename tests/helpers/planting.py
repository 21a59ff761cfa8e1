"""Planting a bug into the real code while a test runs: one function with another text, or one constant."""

from __future__ import annotations
import __future__

import importlib
import inspect
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from operator import attrgetter
from types import FunctionType
from typing import Any


@dataclass(frozen=True)
class Edit:
    """``old`` becomes ``new`` in one function (``package.module:Class.method``), or in a module's string constant."""

    place: str
    old: str
    new: str

    def applied_to(self, text: str) -> str:
        """The text as it is then. Fails where it does not have ``old`` exactly once."""
        assert text.count(self.old) == 1, f"{self.place} has {self.old!r} {text.count(self.old)} times, not once"
        return text.replace(self.old, self.new)


@contextmanager
def planted(*edits: Edit) -> Iterator[None]:
    """Let the code be so until the block ends."""
    with ExitStack() as stack:
        for place in dict.fromkeys(edit.place for edit in edits):
            stack.enter_context(_planted_at(place, [edit for edit in edits if edit.place == place]))
        yield


@contextmanager
def _planted_at(place: str, edits: Sequence[Edit]) -> Iterator[None]:
    name, _, path = place.partition(":")
    module = importlib.import_module(name)
    found = attrgetter(path)(module)
    if isinstance(found, str):
        setattr(module, path, _edited(found, edits))
        try:
            yield
        finally:
            setattr(module, path, found)
        return
    function: Any = inspect.unwrap(found)
    assert isinstance(function, FunctionType), place
    source = _edited(textwrap.dedent(inspect.getsource(function)), edits)
    flags = __future__.annotations.compiler_flag
    scope: dict[str, Any] = {}
    exec(compile(source, f"<planted in {place}>", "exec", flags), {**vars(module)}, scope)  # noqa: S102
    before = function.__code__
    function.__code__ = inspect.unwrap(scope[function.__name__]).__code__
    try:
        yield
    finally:
        function.__code__ = before


def _edited(text: str, edits: Sequence[Edit]) -> str:
    for edit in edits:
        text = edit.applied_to(text)
    return text
