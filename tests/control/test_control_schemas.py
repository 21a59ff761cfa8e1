"""schema/ says what the code's own types say."""

from __future__ import annotations

from importlib.resources import files

import jsonschema
import msgspec
import pytest
from connectord.control.methods import Methods
from connectord.control.schemas import FILES, params_schema, render
from connectord.control.signatures import SIGNATURES


@pytest.mark.parametrize("name", FILES)
def test_the_schema_file_is_the_one_that_the_types_give(name: str) -> None:
    text = files("connectord_schema").joinpath("json", name).read_text(encoding="utf-8")
    assert text == render(FILES[name]()), "run: python -m connectord.control.schemas schema/connectord_schema/json"


def test_every_method_has_a_signature_and_is_there() -> None:
    table = Methods(None).table  # type: ignore[arg-type]  # the table needs no services
    assert set(table) == set(SIGNATURES)


@pytest.mark.parametrize(
    ("method", "params", "valid"),
    [
        ("submit", {"system": "billing", "data": {"n": 1}}, True),
        ("submit", {"data": {}}, False),
        ("submit", {"system": "billing", "more": 1}, False),
        ("list", {"limit": 0}, False),
        ("list", {"state": "todo", "limit": 10}, True),
        ("list", {"state": "lost"}, False),
        ("cancel", {"id": "x", "note": ""}, False),
        ("rerun", {"filters": {"system": "billing"}}, True),
    ],
)
def test_schema_and_types_agree(method: str, params: dict[str, object], valid: bool) -> None:
    schema = {**params_schema(), "properties": {}, "$ref": params_schema()["properties"][method]["$ref"]}
    by_schema = not list(jsonschema.Draft202012Validator(schema).iter_errors(params))
    try:
        msgspec.convert(params, SIGNATURES[method].params)
        by_type = True
    except msgspec.ValidationError:
        by_type = False
    assert (by_schema, by_type) == (valid, valid)
