"""Values as connectord.toml writes them: literals, and ``{ expr = "..." }`` where a document gives the value.

A string is always a literal, whatever stands in it. A table with the key ``expr`` is always JMESPath. So neither can
be taken for the other, however deep in a body it stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, TypeAlias, Union

import pydantic
from connectord.config import SecretText
from pydantic_core import CoreSchema, core_schema

from connectord_http.expressions import Search, check_expression, compile_expression

Render: TypeAlias = Callable[[Any], Any]
"""Makes a value from a document. Raises :class:`connectord_http.expressions.MappingFailed`."""

REQUEST_ROOTS = ("action", "callback_url", "reference")
ANSWER_ROOTS = ("status", "headers", "body")
CALLBACK_ROOTS = ("headers", "body")


class Expression(pydantic.BaseModel):
    """``{ expr = "..." }``: JMESPath over the document at hand."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, defer_build=True)
    roots: ClassVar[tuple[str, ...]]

    expr: str

    @pydantic.field_validator("expr")
    @classmethod
    def _is_jmespath(cls, text: str) -> str:
        return check_expression(text, cls.roots)


class RequestExpression(Expression):
    """An expression over what an action's request is made from."""

    roots = REQUEST_ROOTS


class AnswerExpression(Expression):
    """An expression over a system's answer."""

    roots = ANSWER_ROOTS


class CallbackExpression(Expression):
    """An expression over a callback."""

    roots = CALLBACK_ROOTS


class Template:
    """A value of any shape with expressions in it. ``tree`` holds :class:`Expression` where one stands."""

    __slots__ = ("tree",)
    expression: ClassVar[type[Expression]]
    # the shape, for what puts secrets into settings: they may stand anywhere in it
    __value__: ClassVar[Any]

    def __init__(self, tree: Any) -> None:
        self.tree = tree

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.tree == other.tree

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        # its literals may be secrets
        return f"{type(self).__name__}(...)"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: pydantic.GetCoreSchemaHandler) -> CoreSchema:
        name = f"{cls.__module__}.{cls.__qualname__}.tree"
        tree = core_schema.definition_reference_schema(name)
        choices = {
            "expression": handler.generate_schema(cls.expression),
            "table": core_schema.dict_schema(core_schema.str_schema(), tree),
            "array": core_schema.list_schema(tree),
            "literal": core_schema.no_info_plain_validator_function(_literal),
        }
        union = core_schema.tagged_union_schema(choices, _kind, ref=name)
        made = core_schema.no_info_after_validator_function(
            cls,
            tree,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda template: _dump(template.tree)),
        )
        return core_schema.definitions_schema(made, [union])


class RequestTemplate(Template):
    """A template over what an action's request is made from."""

    __slots__ = ()
    expression = RequestExpression


class AnswerTemplate(Template):
    """A template over a system's answer."""

    __slots__ = ()
    expression = AnswerExpression


class CallbackTemplate(Template):
    """A template over a callback."""

    __slots__ = ()
    expression = CallbackExpression


for _class in (RequestTemplate, AnswerTemplate, CallbackTemplate):
    _class.__value__ = Union[str, list[_class], dict[str, _class]]  # type: ignore[valid-type]  # noqa: UP007


def compile_template(template: Template) -> Render:
    """The function that makes the template's value from a document."""
    return _compile(template.tree)


def is_literal(template: Template) -> bool:
    """Whether the value is the same for every document."""
    return not _has_expression(template.tree)


def as_text(value: Any) -> str | None:
    """A scalar as it stands in a URL or a header, with ``true`` and ``false`` as JSON has them; None for null.

    Raises :class:`ValueError` for an array or an object.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    raise ValueError(f"must be a string, a number or a boolean, not {'an array' if _is_array(value) else 'an object'}")


def _is_array(value: object) -> bool:
    return isinstance(value, list | tuple)


def _kind(value: object) -> str:
    if isinstance(value, dict):
        return "expression" if "expr" in value else "table"
    return "array" if isinstance(value, list) else "literal"


def _literal(value: object) -> object:
    if isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError('must be a string, a number, true, false, an array, a table, or { expr = "..." }')


def _compile(tree: Any) -> Render:
    if isinstance(tree, Expression):
        search: Search = compile_expression(tree.expr)
        return search
    if not _has_expression(tree):
        literal = _without_secrecy(tree)
        return lambda document: literal
    if isinstance(tree, list):
        items = [_compile(item) for item in tree]
        return lambda document: [item(document) for item in items]
    fields = {key: _compile(item) for key, item in tree.items()}
    return lambda document: {key: item(document) for key, item in fields.items()}


def _has_expression(tree: Any) -> bool:
    if isinstance(tree, Mapping):
        return any(_has_expression(item) for item in tree.values())
    if isinstance(tree, list):
        return any(_has_expression(item) for item in tree)
    return isinstance(tree, Expression)


def secrets_in(template: Template) -> Iterator[str]:
    """Every secret that was put into a template."""
    yield from _secrets_in(template.tree)


def _secrets_in(tree: Any) -> Iterator[str]:
    if isinstance(tree, SecretText):
        yield str(tree)
    elif isinstance(tree, dict | list):
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from _secrets_in(item)


def _without_secrecy(tree: Any) -> Any:
    # encoders know plain strings
    if isinstance(tree, dict):
        return {key: _without_secrecy(item) for key, item in tree.items()}
    if isinstance(tree, list):
        return [_without_secrecy(item) for item in tree]
    return str(tree) if isinstance(tree, SecretText) else tree


def _dump(tree: Any) -> Any:
    if isinstance(tree, Expression):
        return {"expr": tree.expr}
    if isinstance(tree, dict):
        return {key: _dump(item) for key, item in tree.items()}
    return [_dump(item) for item in tree] if isinstance(tree, list) else tree
