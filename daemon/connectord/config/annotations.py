"""What the annotations of a pydantic model say about the shape of the values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin

import pydantic
from pydantic.fields import FieldInfo


def options_of(annotation: Any) -> list[Any]:
    """The members of a union, or the annotation alone; without None, Annotated and type aliases."""
    if get_origin(annotation) in (Union, UnionType):
        return [option for part in get_args(annotation) for option in options_of(part)]
    if hasattr(annotation, "__metadata__"):
        return options_of(get_args(annotation)[0])
    if hasattr(annotation, "__value__"):
        return options_of(annotation.__value__)
    return [] if annotation in (None, type(None)) else [annotation]


def is_model(annotation: Any) -> bool:
    """Whether this is a pydantic model."""
    return isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel)


def is_table(annotation: Any) -> bool:
    """Whether a TOML table belongs here: a model or a mapping."""
    origin = get_origin(annotation) or annotation
    return is_model(annotation) or (isinstance(origin, type) and issubclass(origin, Mapping))


def is_list(annotation: Any) -> bool:
    """Whether a TOML array belongs here: a list, a tuple or a set."""
    origin = get_origin(annotation) or annotation
    if not isinstance(origin, type) or is_table(origin) or issubclass(origin, str | bytes):
        return False
    return issubclass(origin, Collection)


def item_type(annotation: Any) -> Any:
    """The annotation of a list's elements, Any where it says nothing."""
    return (*get_args(annotation), Any)[0]


def value_type(annotation: Any) -> Any:
    """The annotation of a mapping's values, Any where it says nothing."""
    return (*get_args(annotation), Any, Any)[1]


def field_types(model: type[pydantic.BaseModel]) -> dict[str, Any]:
    """The keys that a model takes, each with its annotation."""
    return {_key(name, field): field.annotation for name, field in model.model_fields.items()}


def _key(name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    return alias if isinstance(alias, str) else name
