"""What an action's file holds."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import jmespath
import msgspec
from connectord.adapters import Call, call_document
from jmespath.exceptions import JMESPathError

from connectord_sftp.settings import Content

LARGEST_CONTENT = 64 * 1_048_576


class ContentRefused(Exception):
    """The file cannot be made from this action's data; the message says why, for people."""


def render(content: Content, call: Call) -> bytes:
    """The bytes of the file. Raises :class:`ContentRefused` for data that do not fit."""
    value: Any = call_document(call)
    if content.expr is not None:
        try:
            value = jmespath.search(content.expr, value)
        except (JMESPathError, ArithmeticError, TypeError, ValueError, RecursionError) as error:
            raise ContentRefused(f"content.expr cannot be applied to this action: {error}") from error
    match content.format:
        case "json":
            data = msgspec.json.encode(value)
        case "text":
            if not isinstance(value, str):
                raise ContentRefused(f"content.expr gives {_kind(value)}, and text is a string")
            data = _encoded(value, content)
        case "csv":
            data = _encoded(_table(value, content), content)
    if len(data) > LARGEST_CONTENT:
        raise ContentRefused(f"the file would have {len(data)} bytes, and {LARGEST_CONTENT} are the most")
    return data


def _table(value: object, content: Content) -> str:
    if not isinstance(value, list):
        raise ContentRefused(f"content.expr gives {_kind(value)}, and csv is made from a list of objects")
    text = io.StringIO()
    writer = csv.writer(text, delimiter=content.delimiter, lineterminator=content.line_end)
    if content.header:
        writer.writerow(content.columns)
    for number, row in enumerate(value, 1):
        writer.writerow(_cells(row, content.columns, number))
    return text.getvalue()


def _cells(row: object, columns: Sequence[str], number: int) -> list[str]:
    if not isinstance(row, Mapping):
        raise ContentRefused(f"row {number} of the csv is {_kind(row)}, not an object")
    return [_cell(row, column, number) for column in columns]


def _cell(row: Mapping[str, object], column: str, number: int) -> str:
    if column not in row:
        raise ContentRefused(f"row {number} of the csv has no {column!r}")
    value = row[column]
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int() | float():
            return msgspec.json.encode(value).decode()
        case _:
            raise ContentRefused(f"row {number} of the csv has {_kind(value)} in {column!r}")


def _encoded(text: str, content: Content) -> bytes:
    try:
        return text.encode(content.encoding)
    except UnicodeEncodeError as error:
        character = text[error.start]
        raise ContentRefused(f"the character {character!r} cannot be written in {content.encoding}") from error


def _kind(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "an object"
