"""Readers of single values, for :meth:`connectord.config.tables.Table.read`.

Each takes whatever TOML may hold and raises :class:`ValueError` with what the value must be. A TOML boolean is
never a number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from connectord.config.durations import TEN_YEARS_MS, format_duration, parse_duration
from connectord.config.tables import shown, suggestion

S = TypeVar("S", bound=str)
T = TypeVar("T")
R = TypeVar("R", covariant=True)

LONGEST_TEXT = 4_096


class Reader(Generic[R]):
    """A reader that can say what it takes, for the reference. ``show`` writes a value as it stands in the file."""

    def __init__(self, read: Callable[[object], R], takes: str, show: Callable[[int], str] | None = None) -> None:
        self._read = read
        self.takes = takes
        self.show = show

    def __call__(self, value: object) -> R:
        return self._read(value)


def boolean(value: object) -> bool:
    """``true`` or ``false``."""
    if isinstance(value, bool):
        return value
    raise ValueError(f"must be true or false, not {shown(value)}")


def whole_number(minimum: int, maximum: int) -> Reader[int]:
    """A reader of whole numbers from ``minimum`` to ``maximum``."""

    def read(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and minimum <= value <= maximum:
            return value
        raise ValueError(f"must be a whole number from {minimum} to {maximum}, not {shown(value)}")

    return Reader(read, f"a whole number from {minimum} to {maximum}")


def number(minimum: float, maximum: float) -> Reader[float]:
    """A reader of numbers from ``minimum`` to ``maximum``; nan is none."""

    def read(value: object) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool) and minimum <= value <= maximum:
            return float(value)
        raise ValueError(f"must be a number from {minimum:g} to {maximum:g}, not {shown(value)}")

    return Reader(read, f"a number from {minimum:g} to {maximum:g}")


def choice(*words: S) -> Reader[S]:
    """A reader of one of ``words``."""

    def read(value: object) -> S:
        for word in words:
            if value == word:
                return word
        listed = ", ".join(f'"{word}"' for word in words)
        hint = suggestion(value, words, "") if isinstance(value, str) else ""
        hint = f"; {hint}" if hint.startswith("did") else ""
        raise ValueError(f"must be one of {listed}, not {shown(value)}{hint}")

    return Reader(read, "one of " + ", ".join(f'"{word}"' for word in words))


def text(value: object) -> str:
    """A string that is not empty, of at most 4096 characters and no control characters.

    The message never repeats the string, which may be a secret.
    """
    if not isinstance(value, str):
        raise ValueError("must be a string")  # noqa: TRY004 - every reader raises ValueError
    if not value.strip():
        raise ValueError("must not be empty")
    if len(value) > LONGEST_TEXT:
        raise ValueError(f"must have at most {LONGEST_TEXT} characters")
    if any(ord(character) < ord(" ") or ord(character) == 127 for character in value):
        raise ValueError("must have no control characters, such as a line break")
    return str(value)  # a plain one, also of a secret


def duration(*, minimum_ms: int = 1, maximum_ms: int = TEN_YEARS_MS) -> Reader[int]:
    """A reader of durations from ``minimum_ms`` to ``maximum_ms``, in milliseconds."""

    def read(value: object) -> int:
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise ValueError(f'must be a string with a unit: "{value}s" for seconds')  # noqa: TRY004 - as above
        if not isinstance(value, str):
            raise ValueError(f'must be a duration such as "30s", not {shown(value)}')  # noqa: TRY004 - as above
        milliseconds = parse_duration(value)
        if milliseconds < minimum_ms:
            raise ValueError(f'must be at least "{format_duration(minimum_ms)}", not {shown(value)}')
        if milliseconds > maximum_ms:
            raise ValueError(f'must be at most "{format_duration(maximum_ms)}", not {shown(value)}')
        return milliseconds

    range_text = f"{format_duration(minimum_ms)} to {format_duration(maximum_ms)}"
    return Reader(read, f"a duration, {range_text}", format_duration)


def parsed(parse: Callable[[str], T]) -> Callable[[object], T]:
    """A reader that hands a :func:`text` to ``parse``."""

    def read(value: object) -> T:
        return parse(text(value))

    return read
