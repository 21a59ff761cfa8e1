"""Planting a bug into the real code while a test runs: one function with another text, or one constant."""

from __future__ import annotations
import __future__

import importlib
import inspect
import textwrap
from collections.abc import Iterator
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

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Let the code be so until the block ends. Fails where the code does not have the text exactly once."""
        name, _, path = self.place.partition(":")
        module = importlib.import_module(name)
        found = attrgetter(path)(module)
        if isinstance(found, str):
            with _constant(module, path, self._edited(found)):
                yield
            return
        function: Any = inspect.unwrap(found)
        assert isinstance(function, FunctionType), self.place
        source = self._edited(textwrap.dedent(inspect.getsource(function)))
        flags = __future__.annotations.compiler_flag
        scope: dict[str, Any] = {}
        exec(compile(source, f"<planted in {self.place}>", "exec", flags), {**vars(module)}, scope)  # noqa: S102
        before = function.__code__
        function.__code__ = inspect.unwrap(scope[function.__name__]).__code__
        try:
            yield
        finally:
            function.__code__ = before

    def _edited(self, text: str) -> str:
        assert text.count(self.old) == 1, f"{self.place} has {self.old!r} {text.count(self.old)} times, not once"
        return text.replace(self.old, self.new)


@contextmanager
def _constant(module: Any, name: str, value: str) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


@contextmanager
def planted(*edits: Edit) -> Iterator[None]:
    """All of the edits at once."""
    with ExitStack() as stack:
        for edit in edits:
            stack.enter_context(edit.planted())
        yield
