"""File names made from an action's plain fields, so that each is one action's, whatever the fields hold."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from connectord.adapters import Call
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

FIELDS = ("id", "system", "case")
LONGEST_NAME = 200
"""How many bytes a name may have; file systems have room for 255, and temporary names are longer."""

NO_CASE = "no-case"
"""What ``{case}`` is where an action has none."""

_ID = "([0-9A-Z]{26})"


class NameRefused(Exception):
    """A name cannot be made for this action; the message says why."""


@dataclass(frozen=True, slots=True)
class NameTemplate:
    """The name of a file, such as ``"{case}-{id}.json"``. ``parts`` are literals, each with the field that follows."""

    text: str
    parts: tuple[tuple[str, str | None], ...]

    @classmethod
    def parse(cls, text: str) -> NameTemplate:
        """The template that ``text`` is. Raises :class:`ValueError`."""
        try:
            pieces = list(string.Formatter().parse(text))
        except ValueError as error:
            raise ValueError(f"is not a template: {error}") from None
        parts = []
        for literal, name, spec, conversion in pieces:
            if not literal.isprintable() or "/" in literal:
                raise ValueError("is the name of a file, without slashes and control characters")
            if name is not None and (name not in FIELDS or spec or conversion):
                raise ValueError(_no_such_field(name))
            parts.append((literal, name))
        if "id" not in (name for _, name in parts):
            raise ValueError("must have {id} in it: each action needs a file of its own")
        if text.startswith("."):
            raise ValueError("must not begin with a dot: names that do are temporary")
        return cls(text, tuple(parts))

    def render(self, call: Call) -> str:
        """The name of the call's file. Raises :class:`NameRefused` where it gets too long."""
        values = {"id": call.action_id, "system": call.system, "case": call.case_id or NO_CASE}
        name = "".join(literal + (_encoded(values[field]) if field else "") for literal, field in self.parts)
        length = len(name.encode())
        if length > LONGEST_NAME:
            raise NameRefused(
                f"the file's name would have {length} bytes, and {LONGEST_NAME} are the most: {name[:80]}..."
            )
        return name

    def pattern(self, system: str) -> re.Pattern[str]:
        """Matches the names of one system's files; group 1 is the action's id: a ULID, so that nothing else fits."""
        seen = False
        pieces = []
        for literal, field in self.parts:
            pieces.append(re.escape(literal))
            match field:
                case "id":
                    pieces.append(r"\1" if seen else _ID)
                    seen = True
                case "system":
                    pieces.append(re.escape(_encoded(system)))
                case "case":
                    pieces.append("[^/]+?")
        return re.compile("".join(pieces), re.ASCII)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            cls.parse,
            core_schema.str_schema(),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda template: template.text),
        )


def _encoded(value: str) -> str:
    """``value`` as a part of a file's name; what a name begins with is never a dot."""
    encoded = quote(value, safe="")
    return f"%2E{encoded[1:]}" if encoded.startswith(".") else encoded


def _no_such_field(name: str) -> str:
    if name == "attempt":
        return "must not have {attempt} in it: every attempt would bring a file of its own, and the work be done twice"
    known = ", ".join(f"{{{each}}}" for each in FIELDS)
    return f"may have {known} in it, as they are, and nothing else in braces"


def temporary_name(name: str, attempt: int) -> str:
    """The name under which an attempt writes the file ``name``.

    The attempt is in it, so that whatever an earlier one still has on its way never touches what this one writes.
    """
    return f".{name}.{attempt}.part"


def join(directory: str, name: str) -> str:
    """The path of ``name`` in ``directory``."""
    return f"{directory.rstrip('/')}/{name}"
