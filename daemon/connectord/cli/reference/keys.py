"""Every key of connectord.toml: what it takes and its default are asked of what reads it; words stand in words.py."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pydantic
from pydantic_core import PydanticUndefined

from connectord.adapters import Adapter, AdapterSettings, Call, Outcome, PollAnswer, Taken
from connectord.cli.reference.words import WORDS
from connectord.config import DurationMs, load_config
from connectord.config.annotations import is_model, options_of
from connectord.config.changes import RESTART_REQUIRED
from connectord.config.durations import format_duration
from connectord.config.positions import KeyPath
from connectord.config.scalars import Reader, boolean, text
from connectord.config.tables import Asked

_EVERYTHING = b"""
[systems.NAME]
adapter = "sample"
allocation = { queue = "q" }
[[allocation]]
queue = "q"
[groups]
NAME = ["anna"]
[queues]
NAME = "what for"
[tracing]
endpoint = "http://127.0.0.1:4318"
[tracing.headers]
NAME = "a token"
"""


class _Sample(Adapter):
    """An adapter that can do everything, so that every key is asked for."""

    name = "sample"
    Settings = AdapterSettings

    async def trigger(self, call: Call) -> Outcome:
        return Taken()

    async def poll(self, call: Call) -> PollAnswer:
        return None

    async def healthcheck(self) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Key:
    """One key. ``table`` is its header in the file, such as ``[systems.NAME]``; ``default`` None: it must be there."""

    table: str
    name: str
    takes: str
    default: str | None
    restart: bool
    meaning: str
    example: str


def keys_of_the_file() -> list[Key]:
    """The keys of connectord itself, in the order in which they are read."""
    asked: list[Asked] = []
    load_config(
        Path("/etc/connectord/connectord.toml"), adapters={"sample": _Sample}, environ={}, text=_EVERYTHING, asked=asked
    )
    found = {dotted: _key(dotted, item) for item in asked if (dotted := pattern_of(item.path)) not in _ALIASES}
    return list(found.values())


# read for their own sake; the words stand at the others
_ALIASES = frozenset({"systems.NAME.allocation", "systems.NAME.sample"})


def pattern_of(path: KeyPath) -> str:
    """``systems.NAME.retry.limit``, ``allocation[].queue``."""
    return re.sub(r"\.?\[\d+\]", "[]", ".".join(f"[{part}]" if isinstance(part, int) else part for part in path))


def _key(dotted: str, asked: Asked) -> Key:
    words = WORDS[dotted]
    table, _, name = dotted.rpartition(".")
    return Key(
        table=_header(table),
        name=name,
        takes=words.takes or _takes(asked.parse),
        default=words.default if words.default is not None else _default(asked),
        restart=dotted in RESTART_REQUIRED,
        meaning=words.meaning,
        example=f"{name} = {words.example}",
    )


def _header(table: str) -> str:
    if table.endswith("[]"):
        return f"[[{table[:-2]}]]"
    # a system's small tables are written with dots, as in retry.limit
    return f"[{table}]"


def _takes(parse: object) -> str:
    if isinstance(parse, Reader):
        return parse.takes
    if parse is boolean:
        return "true or false"
    if parse is text:
        return "a string"
    raise LookupError(f"words.py must say what is taken by {parse!r}")


def _default(asked: Asked) -> str:
    show = asked.parse.show if isinstance(asked.parse, Reader) else None
    value = asked.default
    if show is not None and isinstance(value, int):
        return f'"{show(value)}"'
    return literal(value)


def literal(value: Any) -> str:
    """A value as it stands in a TOML file; ``none`` where there is none."""
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case int() | float():
            return f"{value:g}" if isinstance(value, float) else str(value)
        case list() | tuple():
            return f"[{', '.join(map(literal, value))}]"
        case Mapping():
            return "{}" if not value else str(dict(value))
        case pydantic.BaseModel():
            return "{}"
        case _:
            return f'"{getattr(value, "text", value)}"'.replace("\r", "\\r").replace("\n", "\\n").replace("\t", "\\t")


# -- adapters


def keys_of_adapter(adapter: type[Adapter]) -> list[Key]:
    """The settings of an adapter, from its model."""
    return list(_fields(adapter.Settings, f"systems.NAME.{adapter.name}"))


def _fields(model: type[pydantic.BaseModel], table: str, seen: tuple[type, ...] = ()) -> Iterator[Key]:
    meanings = _docstrings(model)
    deeper: list[tuple[str, type[pydantic.BaseModel]]] = []
    for name, field in model.model_fields.items():
        models = [option for option in options_of(field.annotation) if is_model(option) and not _is_expression(option)]
        deeper += [(f"{table}.{name}", each) for each in models if each not in seen]
        default = field.get_default(call_default_factory=True) if not _wants_data(field) else None
        yield Key(
            table=f"[{table}]",
            name=name,
            takes=_type_of(field.annotation, field.metadata),
            default=None if default is PydanticUndefined else _setting(default, field.metadata),
            restart=False,
            meaning=meanings.get(name, "" if not models else (inspect.getdoc(models[0]) or "")),
            example="",
        )
    for path, each in deeper:
        yield from _fields(each, path, (*seen, model))


def _wants_data(field: Any) -> bool:
    return bool(getattr(field, "default_factory_takes_validated_data", False))


_IS_DURATION = {id(each) for each in getattr(DurationMs, "__metadata__", ())}


def _setting(value: Any, metadata: list[Any]) -> str:
    if isinstance(value, int) and any(id(each) in _IS_DURATION for each in metadata):
        return f'"{format_duration(value)}"'
    return literal(value)


def _type_of(annotation: Any, metadata: list[Any]) -> str:
    if any(id(each) in _IS_DURATION for each in metadata):
        return "a duration"
    words = " or ".join(dict.fromkeys(_option(option) for option in _unpacked(annotation)))
    bounds = {
        name: getattr(each, name) for each in metadata for name in ("ge", "le") if getattr(each, name, None) is not None
    }
    low, high = bounds.get("ge"), bounds.get("le")
    if low is not None and high is not None:
        return f"{words} from {low} to {high}"
    return words if low is None else f"{words}, {low} or more"


def _unpacked(annotation: Any) -> list[Any]:
    if get_origin(annotation) in (Union, UnionType):
        return [each for part in get_args(annotation) for each in _unpacked(part)]
    return [] if annotation in (None, type(None)) else [annotation]


_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a string", Path: "a path"}


def _option(annotation: Any) -> str:
    metadata = list(getattr(annotation, "__metadata__", ()))
    if any(id(each) in _IS_DURATION for each in metadata):
        return "a duration"
    if metadata:
        return _type_of(get_args(annotation)[0], metadata)
    origin = get_origin(annotation)
    if origin is Literal:
        return "one of " + ", ".join(literal(each) for each in get_args(annotation))
    if origin in (list, tuple, set, frozenset):
        return f"an array: each {_type_of(get_args(annotation)[0], [])}"
    if origin in (dict, Mapping):
        return f"a table: each {_type_of(get_args(annotation)[1], [])}"
    if annotation in (pydantic.SecretStr, pydantic.SecretBytes):
        return "a string, which is kept secret"
    if isinstance(annotation, type) and annotation in _NAMES:
        return _NAMES[annotation]
    if is_model(annotation):
        return '{ expr = "..." }' if _is_expression(annotation) else "a table"
    return "the absolute path of a PEM file" if hasattr(annotation, "digest") else "any value"


def _is_expression(model: type[pydantic.BaseModel]) -> bool:
    """Whether it is not a table with keys but one of the ways to write a value."""
    return list(model.model_fields) == ["expr"]


def _docstrings(model: type[pydantic.BaseModel]) -> dict[str, str]:
    """The strings below the fields, of the model and of those that it is made from."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if not (is_model(each) and each.__module__ != "pydantic.main"):
            continue
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(each))).body
        body = definition.body if isinstance(definition, ast.ClassDef) else []
        for statement, following in pairwise(body):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(following, ast.Expr)
                and isinstance(following.value, ast.Constant)
                and isinstance(following.value.value, str)
            ):
                found[statement.target.id] = inspect.cleandoc(following.value.value)
    return found
