"""An adapter's own settings, checked by the adapter's own model."""

from __future__ import annotations

import re
from typing import Any, Protocol

import pydantic
from pydantic_core import ErrorDetails

from connectord.adapters import AdapterSettings
from connectord.config.annotations import field_types, is_list, is_model, is_table, item_type, options_of, value_type
from connectord.config.positions import KeyPath
from connectord.config.secrets import Secrets
from connectord.config.tables import Problems, unknown_key

_STRING_HINT = 'must be a string, { credential = "NAME" } or { env = "NAME" }'
_WORDS = {
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "dict_type": "must be a table",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "list_type": "must be an array",
    "model_type": "must be a table",
    "string_type": "must be a string",
    "tuple_type": "must be an array",
}
_NUMBER_TYPES = ("int_type", "float_type", "decimal_type")


class HasSettings(Protocol):
    """An adapter class, or a notifier class."""

    @property
    def name(self) -> str: ...
    @property
    def Settings(self) -> type[AdapterSettings]: ...  # noqa: N802 - as adapters have it


def read_settings(
    owner: HasSettings,
    values: object,
    path: KeyPath,
    problems: Problems,
    secrets: Secrets,
    *,
    kind: str = "adapter",
) -> AdapterSettings | None:
    """The settings that ``values``, the table at ``path``, hold for ``owner``; None if they have problems.

    ``kind`` is what ``owner`` is, for messages.
    """
    model = owner.Settings
    resolved = secrets.resolve(values, path, model)
    settings = None
    errors: list[ErrorDetails] = []
    try:
        settings = model.model_validate(resolved)
    except pydantic.ValidationError as error:
        errors += error.errors()
    except Exception as error:  # noqa: BLE001 - a plugin's own validator may raise anything
        # its text may hold anything too, a piece of a secret included
        problems.add(path, f"the {kind} {owner.name!r} failed to check its settings: {type(error).__name__}")
        return None
    errors += _booleans_as_numbers(model, resolved)

    messages: dict[KeyPath, dict[str, None]] = {}
    for each in errors:
        place = _place(path, each, resolved)
        # a secret that could not be read was reported already; what follows from it is no news
        if not problems.reported_within(place):
            messages.setdefault(place, {})[secrets.hide(_message(each, model, place[len(path) :], kind))] = None
    for place, alternatives in messages.items():
        problems.add(place, "; or ".join(alternatives))
    return settings


def _booleans_as_numbers(model: type[AdapterSettings], values: Any) -> list[ErrorDetails]:
    # pydantic takes true for 1 unless it is strict, and strict it would refuse too much else
    if not _has_boolean(values):
        return []
    try:
        model.model_validate(values, strict=True)
    except pydantic.ValidationError as error:
        return [each for each in error.errors() if each["type"] in _NUMBER_TYPES and isinstance(each["input"], bool)]
    except Exception:  # noqa: BLE001 - as above, and the first pass has said so
        return []
    return []


def _has_boolean(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_boolean(item) for item in value.values())
    if isinstance(value, list):
        return any(_has_boolean(item) for item in value)
    return isinstance(value, bool)


def _place(path: KeyPath, error: ErrorDetails, values: Any) -> KeyPath:
    # pydantic mixes names of union members and the like into its locations
    place = path
    *parents, last = error["loc"] or ("",)
    for part in parents:
        if _has(values, part):
            values = values[part]
            place = (*place, part)
    if _has(values, last) or (error["type"] == "missing" and isinstance(last, str)):
        place = (*place, last)
    return place


def _has(values: Any, part: str | int) -> bool:
    if isinstance(values, dict):
        return part in values
    return isinstance(values, list) and isinstance(part, int) and part < len(values)


def _message(error: ErrorDetails, model: type[AdapterSettings], place: KeyPath, owner: str) -> str:
    kind = error["type"]
    if kind == "extra_forbidden" and place:
        return unknown_key(str(place[-1]), _known_keys(model, place[:-1]))
    if kind == "string_type" and isinstance(error["input"], dict):
        return _STRING_HINT
    raised = error.get("ctx", {}).get("error")
    if isinstance(raised, Exception) and str(raised):
        return str(raised)
    if kind == "missing":
        return f"missing: the {owner} needs it"
    return _WORDS.get(kind) or re.sub(r"^Input should be", "must be", error["msg"])


def _known_keys(model: Any, place: KeyPath) -> list[str]:
    options = options_of(model)
    for part in place:
        deeper = []
        for option in options:
            if is_model(option):
                deeper += options_of(field_types(option).get(str(part)))
            elif is_table(option):
                deeper += options_of(value_type(option))
            elif is_list(option):
                deeper += options_of(item_type(option))
        options = deeper
    return [key for option in options if is_model(option) for key in field_types(option)]
