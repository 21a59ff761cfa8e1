"""Conditions of allocation rules: JMESPath expressions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jmespath
import structlog
from jmespath.exceptions import ArityError, JMESPathError, LexerError, UnknownFunctionError, VariadictArityError
from jmespath.functions import Functions
from jmespath.parser import ParsedResult

LONGEST_EXPRESSION = 4_096
LONGEST_FAILURE = 500

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Expression:
    """A :class:`connectord.lifecycle.policy.Condition`: a compiled JMESPath expression that must be truthy.

    ``rule`` says where it stands in the file. Where it fails at run time, because a function meets a type that it
    cannot take, the rule does not match; the first failure is logged.
    """

    text: str
    rule: str = field(compare=False)
    _compiled: ParsedResult = field(compare=False, repr=False)
    _failures: list[str] = field(default_factory=list, compare=False, repr=False)

    def matches(self, document: Mapping[str, Any]) -> bool:
        """Whether the expression is true of ``document``, as JMESPath understands it: 0 is true, "" and [] are not."""
        try:
            found = self._compiled.search(document)
        except Exception as error:  # noqa: BLE001 - jmespath lets Python's own through; none may stop the ledger
            self._log_once(error)
            return False
        return not (found is None or found is False or found in ("", [], {}))

    def __str__(self) -> str:
        return " ".join(self.text.split())

    def _log_once(self, error: Exception) -> None:
        if not self._failures:
            words = _words(error)
            self._failures.append(words)
            log.warning("an allocation rule failed: it does not match", rule=self.rule, when=str(self), error=words)


def compile_expression(value: object, rule: str) -> Expression:
    """The expression in ``value``, which stands at ``rule``.

    Raises :class:`ValueError` in JMESPath's own words where it is none, calls a function that does not exist, or calls
    one with too few or too many arguments.
    """
    if not isinstance(value, str):
        raise ValueError("must be a string with a JMESPath expression")  # noqa: TRY004 - as every reader
    if len(value) > LONGEST_EXPRESSION:
        raise ValueError(f"must have at most {LONGEST_EXPRESSION} characters")
    try:
        compiled = jmespath.compile(value)
        for call in _calls(compiled.parsed):
            _check_call(call)
    except RecursionError:
        raise ValueError("is nested too deeply for a JMESPath expression") from None
    except JMESPathError as error:
        raise ValueError(f"is no JMESPath expression that can be used: {_in_one_line(error)}") from None
    return Expression(value, rule, compiled)


def _calls(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if node["type"] == "function_expression":
        yield node
    for child in node["children"]:
        if isinstance(child, dict):
            yield from _calls(child)


def _check_call(call: Mapping[str, Any]) -> None:
    # jmespath itself finds these only when the expression is used
    name, given = call["value"], len(call["children"])
    known = Functions.FUNCTION_TABLE.get(name)
    if known is None:
        raise UnknownFunctionError(f"Unknown function: {name}()")
    signature = known["signature"]
    if signature and signature[-1].get("variadic"):
        if given < len(signature):
            raise VariadictArityError(len(signature), given, name)
    elif given != len(signature):
        raise ArityError(len(signature), given, name)


def _words(error: Exception) -> str:
    # jmespath's words repeat the value, which may be long
    try:
        words = str(error)
    except ValueError:  # Python writes out no integers of more than 4300 digits
        words = type(error).__name__
    return words if len(words) <= LONGEST_FAILURE else f"{words[:LONGEST_FAILURE]}..."


def _in_one_line(error: JMESPathError) -> str:
    # jmespath draws the expression and an arrow below its words
    words = str(error).split("\n", 1)[0].removesuffix(":").removesuffix(", for expression")
    position = getattr(error, "lexer_position", None) if isinstance(error, LexerError) else None
    return words if position is None else f"{words} at column {position}"
