"""From the bytes that a terminal sends to keys."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import NamedTuple

PASTE_LIMIT = 1000
"""Characters of a pasted text that are kept; the rest is dropped."""

_ESCAPE = "\x1b"
_SEQUENCE_LIMIT = 32
_PASTE_BEGINS, _PASTE_ENDS = "[200~", "\x1b[201~"

_CONTROL = {
    "\r": "enter",
    "\n": "enter",
    "\t": "tab",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x03": "ctrl-c",
    "\x0c": "ctrl-l",
    "\x15": "ctrl-u",
}
_FINAL = {"A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end", "Z": "backtab"}
_NUMBERED = {"1": "home", "4": "end", "5": "pageup", "6": "pagedown", "7": "home", "8": "end"}


class Key(NamedTuple):
    """One key. A printable one is named by its character; ``paste`` has what was pasted as its ``text``."""

    name: str
    text: str = ""


class KeyParser:
    """Finds keys in a stream of bytes, wherever it is cut into pieces.

    A lone Escape looks like the beginning of a sequence: :attr:`is_waiting` says so, and :meth:`flush` decides after a
    moment without further bytes that it was the key.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""
        self._pasted: str | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether an Escape may be a key of its own."""
        return bool(self._text) and self._pasted is None

    def feed(self, data: bytes) -> list[Key]:
        """The keys that are complete with ``data``."""
        self._text += self._decoder.decode(data)
        return list(self._keys())

    def flush(self) -> list[Key]:
        """No more bytes came: what waits was the key Escape, or half a sequence that nobody needs."""
        if not self.is_waiting:
            return []
        was_escape = self._text == _ESCAPE
        self._text = ""
        return [Key("escape")] if was_escape else []

    def _keys(self) -> Iterator[Key]:
        while self._text:
            if self._pasted is not None:
                if (pasted := self._take_pasted()) is None:
                    return
                yield pasted
            elif self._text[0] != _ESCAPE:
                character, self._text = self._text[0], self._text[1:]
                name = _CONTROL.get(character, character)
                if len(name) > 1 or name.isprintable():
                    yield Key(name)
            elif len(self._text) == 1:
                return
            elif self._text[1] not in "[O":
                self._text = self._text[1:]
                yield Key("escape")
            else:
                sequence = _sequence_in(self._text[1:])
                if sequence is None:
                    return
                self._text = self._text[1 + len(sequence) :]
                if sequence == _PASTE_BEGINS:
                    self._pasted = ""
                elif (known := _name_of(sequence)) is not None:
                    yield Key(known)

    def _take_pasted(self) -> Key | None:
        text, end, rest = self._text.partition(_PASTE_ENDS)
        if not end:
            # the end itself may be cut in two
            text, rest = text[: -len(_PASTE_ENDS)], text[-len(_PASTE_ENDS) :]
        self._pasted = ((self._pasted or "") + text)[:PASTE_LIMIT]
        self._text = rest
        if not end:
            return None
        key, self._pasted = Key("paste", self._pasted), None
        return key


def _sequence_in(text: str) -> str | None:
    """The control sequence at the beginning of ``text``, which begins with ``[`` or ``O``; None if it is not all."""
    if text[0] == "O":
        return text[:2] if len(text) > 1 else None
    for index in range(1, len(text)):
        if "\x40" <= text[index] <= "\x7e":
            return text[: index + 1]
        if not "\x20" <= text[index] <= "\x3f" or index >= _SEQUENCE_LIMIT:
            return text[:index]
    return None


def _name_of(sequence: str) -> str | None:
    # modifiers stand after a semicolon: a shifted arrow is an arrow
    parameters, final = sequence[1:-1].split(";"), sequence[-1]
    return _NUMBERED.get(parameters[0]) if final == "~" else _FINAL.get(final)
