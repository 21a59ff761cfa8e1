"""CEL: conditions on what a system says."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from connectord_http.documents import one_line
from connectord_http.expressions import MappingFailed

if TYPE_CHECKING:
    import cel

_LONGEST = 4_096
_BOUND = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*([A-Za-z_]\w*)\s*,", re.ASCII)
_PARSE_ERROR = re.compile(r"ERROR: <input>:\d+:(\d+): (?:Syntax error: )?(.*?)(?: expecting \{.*)?$", re.ASCII | re.M)
_TYPES = frozenset({"bool", "bytes", "double", "duration", "int", "list", "map", "null_type", "string", "timestamp",
                    "type", "uint"})  # fmt: skip
_FUNCTIONS = frozenset(
    {
        "bytes", "contains", "double", "duration", "dyn", "endsWith", "getDate", "getDayOfMonth", "getDayOfWeek",
        "getDayOfYear", "getFullYear", "getHours", "getMilliseconds", "getMinutes", "getMonth", "getSeconds", "int",
        "size", "startsWith", "string", "timestamp", "type", "uint",
    }
)  # fmt: skip


def check_condition(text: str, variables: Collection[str]) -> str:
    """``text`` itself, if it is CEL that uses no other ``variables``. Raises :class:`ValueError`."""
    if len(text) > _LONGEST:
        raise ValueError(f"must have at most {_LONGEST} characters")
    import cel  # a seventh of a start, which few configurations have a use for

    try:
        program = cel.compile(text)
    except Exception as error:  # noqa: BLE001 - the library names no error of its own
        raise ValueError(f"is not CEL: {_parse_error(str(error))}") from None
    unknown = set(program.variables()) - {*variables, *_TYPES, *_BOUND.findall(text)}
    if unknown:
        raise ValueError(f"there is no {min(unknown)!r} here; what there is: {', '.join(variables)}")
    for name in program.functions():
        if name[0].isalpha() and name not in _FUNCTIONS:
            raise ValueError(f"there is no function {name}() here; what there is: {', '.join(sorted(_FUNCTIONS))}")
    return text


class Conditions:
    """Conditions of which the first that holds counts, in the order given; None stands for one that was not set."""

    def __init__(self, conditions: Mapping[str, str | None]) -> None:
        wanted = [(name, text) for name, text in conditions.items() if text is not None]
        self._programs = _compiled(wanted) if wanted else []
        self._variables = {name for _, program in self._programs for name in program.variables()}

    def __bool__(self) -> bool:
        return bool(self._programs)

    def first(self, document: Mapping[str, Any]) -> str | None:
        """The name of the first condition that holds for ``document``, or None.

        Raises :class:`MappingFailed` if one that comes before it cannot be evaluated, or is neither true nor false.
        """
        if self._programs:
            import cel
        context: cel.Context | None = None
        for name, program in self._programs:
            try:
                if context is None:
                    # made once, and only of what is asked for: a large body takes its time to convert
                    context = cel.Context({key: document[key] for key in self._variables if key in document})
                holds = program.execute(context)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - whatever the data provoke; a panic in Rust is no Exception
                raise MappingFailed(f"{name} could not be evaluated: {_words(error)}") from None
            if not isinstance(holds, bool):
                raise MappingFailed(f"{name} could not be evaluated: it is {_shown(holds)}, neither true nor false")
            if holds:
                return name
        return None


def _compiled(conditions: Sequence[tuple[str, str]]) -> list[tuple[str, cel.Program]]:
    import cel

    return [(name, cel.compile(text)) for name, text in conditions]


def _parse_error(text: str) -> str:
    found = _PARSE_ERROR.search(text)
    return f"{one_line(found[2])} (column {found[1]})" if found else one_line(text)


def _words(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"there is no {error.args[0]!r}" if error.args else "a key is missing"
    return one_line(str(error)) or type(error).__name__


def _shown(value: object) -> str:
    text = one_line(repr(value))
    return text if len(text) <= 40 else f"{text[:40]}..."
