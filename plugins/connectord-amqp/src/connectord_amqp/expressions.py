"""JMESPath: taking a value out of a document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions

_LONGEST = 4_096


def check_expression(text: str) -> str:
    """``text`` itself, if it is JMESPath. Raises :class:`ValueError` with what is wrong."""
    if len(text) > _LONGEST:
        raise ValueError(f"must have at most {_LONGEST} characters")
    try:
        tree = jmespath.compile(text).parsed
    except RecursionError:
        raise ValueError("is nested too deeply for a JMESPath expression") from None
    except JMESPathError as error:
        # jmespath draws the expression and an arrow below its words
        words = str(error).split("\n", 1)[0].removesuffix(":").removesuffix(", for expression")
        raise ValueError(f"is not JMESPath: {words}") from None
    for name in _functions(tree):
        # jmespath itself finds this only when the expression is used
        if name not in Functions.FUNCTION_TABLE:
            raise ValueError(f"JMESPath has no function {name}()")
    return text


def search(expression: str, document: object) -> Any:
    """What ``expression``, which was checked, finds. Raises :class:`ValueError` where it does not fit the document."""
    try:
        return jmespath.search(expression, document)
    except Exception as error:  # foreign data may trip the library anywhere
        words = str(error).split("\n", 1)[0] or type(error).__name__
        raise ValueError(f"the expression {expression!r} failed: {words}") from error


def _functions(node: Mapping[str, Any]) -> Iterator[str]:
    if node["type"] == "function_expression":
        yield node["value"]
    for child in node["children"]:
        if isinstance(child, dict):
            yield from _functions(child)
