"""On which line of a TOML document every key stands.

:mod:`tomllib` gives the values and finds the syntax errors, but not the lines. This module only walks over
documents that tomllib has accepted, so it checks nothing.
"""

from __future__ import annotations

import re
import tomllib
from typing import TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""The way to a value: names of keys, and indexes (from 0) in arrays and arrays of tables."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_SCALAR = re.compile(r"[^,\]}#\n]*")
_STRINGS = tuple(
    re.compile(pattern)
    for pattern in (
        r'"""(?:[^"\\]|\\(?:.|\n)|"(?!""))*"{3,5}',
        r"'''(?:[^']|'(?!''))*'{3,5}",
        r'"(?:[^"\\]|\\.)*"',
        r"'[^']*'",
    )
)


def find_lines(document: str) -> dict[KeyPath, int]:
    """The line, counted from 1, of every key and array element in a valid TOML document.

    A table stands on the line of its own header; one that has none stands where it is first mentioned. What is
    returned for a document that :mod:`tomllib` refuses is undefined, and it may raise :class:`ValueError`.
    """
    return _Walk(document).run()


class _Walk:
    def __init__(self, document: str) -> None:
        self.text = document
        self.position = 0
        self.line = 1
        self.lines: dict[KeyPath, int] = {}
        self.array_lengths: dict[KeyPath, int] = {}
        self.table: KeyPath = ()

    def run(self) -> dict[KeyPath, int]:
        self.skip(_BLANK)
        while self.position < len(self.text):
            if self.peek("["):
                self.header()
            else:
                self.key_and_value(self.table)
            self.skip(_BLANK)
        return self.lines

    def peek(self, start: str) -> bool:
        return self.text.startswith(start, self.position)

    def skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.position)
        if match is None:
            raise ValueError(f"not a TOML document: line {self.line}")
        self.line += match[0].count("\n")
        self.position = match.end()
        return match[0]

    def take(self, expected: str) -> None:
        if not self.peek(expected):
            raise ValueError(f"not a TOML document: line {self.line}")
        self.position += len(expected)
        self.skip(_BLANK)

    def take_if(self, expected: str) -> bool:
        if not self.peek(expected):
            return False
        self.take(expected)
        return True

    def header(self) -> None:
        is_array = self.peek("[[")
        line = self.line
        self.take("[[" if is_array else "[")
        *parents, last = self.key()
        path: KeyPath = ()
        for part in parents:
            path = self.enter((*path, part))
            self.lines.setdefault(path, line)
        path = (*path, last)
        if is_array:
            self.lines.setdefault(path, line)
            index = self.array_lengths.get(path, 0)
            self.array_lengths[path] = index + 1
            path = (*path, index)
        # a table's own header wins over an earlier [parent.child] that only mentioned it
        self.lines[path] = line
        self.table = path
        self.take("]]" if is_array else "]")

    def enter(self, path: KeyPath) -> KeyPath:
        # a header that goes on from an array of tables means the array's last element
        length = self.array_lengths.get(path)
        return path if length is None else (*path, length - 1)

    def key(self) -> list[str]:
        parts = [self.key_part()]
        while self.take_if("."):
            parts.append(self.key_part())
        return parts

    def key_part(self) -> str:
        if self.peek('"') or self.peek("'"):
            quoted = self.string()
            # escapes are tomllib's business
            part = str(tomllib.loads(f"key = {quoted}")["key"])
        else:
            part = self.skip(_BARE_KEY)
        self.skip(_BLANK)
        return part

    def key_and_value(self, table: KeyPath) -> None:
        line = self.line
        path = table
        for part in self.key():
            path = (*path, part)
            self.lines.setdefault(path, line)
        self.take("=")
        self.value(path)

    def value(self, path: KeyPath) -> None:
        if self.peek('"') or self.peek("'"):
            self.string()
        elif self.peek("["):
            self.array(path)
        elif self.peek("{"):
            self.inline_table(path)
        else:
            self.skip(_SCALAR)

    def array(self, path: KeyPath) -> None:
        self.take("[")
        index = 0
        while not self.peek("]"):
            self.lines[(*path, index)] = self.line
            self.value((*path, index))
            self.skip(_BLANK)
            self.take_if(",")
            index += 1
        self.position += 1

    def inline_table(self, path: KeyPath) -> None:
        self.take("{")
        while not self.peek("}"):
            self.key_and_value(path)
            self.skip(_BLANK)
            self.take_if(",")
        self.position += 1

    def string(self) -> str:
        for pattern in _STRINGS:
            if pattern.match(self.text, self.position):
                return self.skip(pattern)
        raise ValueError(f"not a TOML document: line {self.line}")
