"""Reading tables key by key, so that one mistake hides no other and every one has its line."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from connectord.config.durations import format_duration
from connectord.config.positions import KeyPath
from connectord.errors import Problem

T = TypeVar("T")
D = TypeVar("D")

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_LONGEST_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Asked:
    """A key that the file may have, what reads it, and what stands for it where it is left out."""

    path: KeyPath
    parse: Callable[[object], object]
    default: object


class Problems:
    """Collects what is wrong with one file.

    ``lines`` are the lines of its keys as :func:`connectord.config.positions.find_lines` gives them.
    """

    def __init__(self, file: str, lines: Mapping[KeyPath, int], asked: list[Asked] | None = None) -> None:
        self._asked = asked
        self._file = file
        self._lines = lines
        self._found: list[Problem] = []
        self._paths: set[KeyPath] = set()

    def add(self, path: KeyPath, message: str) -> None:
        """Record a problem at ``path``; a key that is not in the file is said to stand where its table does."""
        self._paths.add(path)
        self._found.append(Problem(self._file, self._line(path), dotted(path), message))

    def note(self, path: KeyPath, parse: Callable[[object], object], default: object) -> None:
        """A key that is known: kept where somebody wants to know all of them."""
        if self._asked is not None:
            self._asked.append(Asked(path, parse, default))

    def reported_within(self, path: KeyPath) -> bool:
        """Whether a problem at ``path`` or below it is already known."""
        return any(reported[: len(path)] == path for reported in self._paths)

    def in_order(self) -> list[Problem]:
        """All problems in the order of their lines."""
        return sorted(self._found, key=lambda problem: problem.line)

    def __bool__(self) -> bool:
        return bool(self._found)

    def _line(self, path: KeyPath) -> int:
        while path:
            if path in self._lines:
                return self._lines[path]
            path = path[:-1]
        return 0


class Table:
    """One table of the file. The keys that were asked for are the known ones; :meth:`finish` reports the rest."""

    def __init__(self, values: Mapping[str, Any], path: KeyPath, problems: Problems) -> None:
        self.values = values
        self.path = path
        self._problems = problems
        self._known: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def at(self, key: str) -> KeyPath:
        """The path of ``key`` in this table."""
        return (*self.path, key)

    def problem(self, key: str, message: str) -> None:
        """Record a problem at ``key``, which need not be there."""
        self._problems.add(self.at(key), message)

    def here(self, message: str) -> None:
        """Record a problem with the table as a whole."""
        self._problems.add(self.path, message)

    def with_values(self, values: Mapping[str, Any]) -> Table:
        """A table in the same place with other values, of which no key is known yet."""
        return Table(values, self.path, self._problems)

    def sound(self, *keys: str) -> bool:
        """Whether no problem was found so far with any of ``keys``."""
        return not any(self._problems.reported_within(self.at(key)) for key in keys)

    def read(self, key: str, parse: Callable[[object], T], default: D) -> T | D:
        """What ``parse`` makes of the value of ``key``; ``default`` where it is absent or wrong.

        ``parse`` raises :class:`ValueError` with what the value must be.
        """
        self._known.append(key)
        self._problems.note(self.at(key), parse, default)
        if key not in self.values or not self.sound(key):
            return default
        try:
            return parse(self.values[key])
        except ValueError as error:
            self.problem(key, str(error))
            return default

    def require(self, key: str, parse: Callable[[object], T], otherwise: str) -> T | None:
        """As :meth:`read`, but an absent key is a problem, with ``otherwise`` as its message."""
        if key not in self.values:
            self.problem(key, otherwise)
        return self.read(key, parse, None)

    def read_each(self, key: str, parse: Callable[[object], T]) -> tuple[T, ...]:
        """What ``parse`` makes of each element of the array at ``key``, without the wrong ones."""
        self._known.append(key)
        self._problems.note(self.at(key), parse, ())
        elements = self.values.get(key, [])
        if not isinstance(elements, list):
            self.problem(key, 'must be an array, such as ["..."]')
            return ()
        parsed = []
        for index, element in enumerate(elements):
            path: KeyPath = (*self.path, key, index)
            if self._problems.reported_within(path):
                continue
            try:
                parsed.append(parse(element))
            except ValueError as error:
                self._problems.add(path, str(error))
        return tuple(parsed)

    def table(self, key: str) -> Table:
        """The table at ``key``; an empty one where it is absent or no table."""
        self._known.append(key)
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            self.problem(key, f"must be a table, not {shown(value)}")
            value = {}
        return Table(value, self.at(key), self._problems)

    def tables(self, key: str) -> list[Table]:
        """The elements of the array of tables at ``key``, without those that are no tables."""
        self._known.append(key)
        value = self.values.get(key, [])
        if not isinstance(value, list):
            self.problem(key, f"must be an array of tables: write [[{key}]] as the header")
            return []
        found = []
        for index, element in enumerate(value):
            path: KeyPath = (*self.path, key, index)
            if isinstance(element, dict):
                found.append(Table(element, path, self._problems))
            else:
                self._problems.add(path, f"must be a table, not {shown(element)}")
        return found

    def keep_in_order(self, lower: tuple[str, int], upper: tuple[str, int]) -> None:
        """Report a duration, in milliseconds by its key, that is beyond the one which bounds it.

        Where neither is set here, nothing is: they come from another table, which was looked at.
        """
        (key, value), (bound, most) = lower, upper
        if value <= most or not self.sound(key, bound):
            return
        if key in self:
            limit = format_duration(most)
            self.problem(key, f'must be at most {bound}, which is "{limit}": lower it, or raise {bound}')
        elif bound in self:
            limit = format_duration(value)
            self.problem(bound, f'must be at least {key}, which is "{limit}": raise it, or lower {key}')

    def unknown(self) -> list[str]:
        """The keys that nobody asked for yet."""
        return [key for key in self.values if key not in self._known]

    def expect(self, *keys: str) -> None:
        """Count ``keys`` as known."""
        self._known.extend(keys)

    def finish(self) -> None:
        """Report every key that nobody asked for."""
        for key in self.unknown():
            self.problem(key, unknown_key(key, self._known))


def unknown_key(key: str, known: Iterable[str]) -> str:
    """The message for a key that does not exist: the nearest known one, or else all of them."""
    return f"unknown key {shown(key)}; {suggestion(key, known, 'known keys')}"


def suggestion(word: str, known: Iterable[str], title: str) -> str:
    """``did you mean "..."?``, or the list of all ``known`` words under ``title`` when none is near."""
    words = list(dict.fromkeys(known))
    near = difflib.get_close_matches(word.lower(), words, n=1)
    if near:
        return f"did you mean {shown(near[0])}?"
    return f"{title}: {', '.join(words) or 'none'}"


def shown(value: object) -> str:
    """``value`` as it could stand in the file, cut to a length that fits into a message."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "an array"
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except ValueError:  # Python writes out no integers of more than 4300 digits
        return "a number of very many digits"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def dotted(path: KeyPath) -> str:
    """``path`` as people write it: ``systems.billing.retry.limit``, ``allocation[0].queue``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if _BARE_KEY.fullmatch(part) else json.dumps(part, ensure_ascii=False)
            text += f".{name}" if text else name
    return text
