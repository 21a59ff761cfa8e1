"""JMESPath: taking a value out of a document that somebody else wrote."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeAlias

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions

from connectord_http.documents import one_line

Search: TypeAlias = Callable[[Any], Any]
"""Takes a value out of a document. Raises :class:`MappingFailed`."""

_LONGEST = 4_096


class MappingFailed(Exception):
    """A mapping cannot be applied to this document; the message says which and why."""


def check_expression(text: str, roots: Collection[str]) -> str:
    """``text`` itself, if it is JMESPath that begins at one of ``roots``. Raises :class:`ValueError`."""
    if len(text) > _LONGEST:
        raise ValueError(f"must have at most {_LONGEST} characters")
    try:
        tree = jmespath.compile(text).parsed
    except (JMESPathError, RecursionError, ValueError) as error:
        words = one_line(str(error)).removesuffix(", for expression:") or type(error).__name__
        raise ValueError(f"is not JMESPath: {words}") from None
    for name in _functions(tree):
        if name not in Functions.FUNCTION_TABLE:
            raise ValueError(f"JMESPath has no function {name}()")
    root = _root(tree)
    if root is not None and root not in roots:
        raise ValueError(f"begins at {root!r}, but what there is here is {', '.join(roots)}")
    return text


def compile_expression(text: str) -> Search:
    """The search that ``text``, which was checked, stands for."""
    compiled = jmespath.compile(text)

    def search(document: Any) -> Any:
        try:
            return compiled.search(document)
        except Exception as error:  # foreign data may trip the library anywhere
            raise MappingFailed(f"{text!r} failed: {one_line(str(error)) or type(error).__name__}") from error

    return search


def _functions(node: Any) -> list[str]:
    found = [node["value"]] if node["type"] == "function_expression" else []
    for child in node["children"]:
        if isinstance(child, dict):
            found += _functions(child)
    return found


def _root(node: Any) -> str | None:
    """The name that an expression begins with, as ``action`` in ``action.data``; None where that is not plain."""
    while node["type"] not in ("field", "function_expression", "literal", "identity"):
        if not node["children"]:
            return None
        node = node["children"][0]
        if node["type"] in ("multi_select_dict", "multi_select_list", "key_val_pair"):
            return None
    return str(node["value"]) if node["type"] == "field" else None
