"""Taking what people wrote out of data, and leaving its shape."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

_PLACEHOLDER = "x"


class Redaction:
    """Replaces strings by placeholders of the same length, but for those under the paths in ``keep``.

    A path is keys with dots between them, such as ``data.address.country``; whatever lies below it stays too, and in
    an array it holds for every item.
    """

    def __init__(self, keep: Collection[str]) -> None:
        self._keep = {path: tuple(path.split(".")) for path in keep}
        self._used: set[str] = set()
        self._seen: dict[str, None] = {}

    def value(self, path: tuple[str, ...], value: Any) -> Any:
        """``value``, which stands at ``path``, redacted. Numbers, booleans and null stay, and keys."""
        self._seen[".".join(path)] = None
        if self._kept(path):
            return value
        match value:
            case str():
                return _PLACEHOLDER * len(value)
            case dict():
                return {key: self.value((*path, key), each) for key, each in value.items()}
            case list():
                return [self.value(path, each) for each in value]
            case _:
                return value

    def text(self, path: tuple[str, ...], text: str | None) -> str | None:
        """A text at ``path``, redacted."""
        redacted: str | None = self.value(path, text)
        return redacted

    def unused(self) -> list[str]:
        """The paths to keep that nothing was found at."""
        return [path for path in self._keep if path not in self._used]

    def seen(self) -> list[str]:
        """Every path that there was."""
        return list(self._seen)

    def _kept(self, path: tuple[str, ...]) -> bool:
        found = list(self._matching(path))
        self._used.update(found)
        return bool(found)

    def _matching(self, path: tuple[str, ...]) -> Iterator[str]:
        for text, kept in self._keep.items():
            if path[: len(kept)] == kept:
                yield text
