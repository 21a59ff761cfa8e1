"""JSON Schemas of what is said on the control socket, made from the types themselves.

``python -m connectord.control.schemas DIRECTORY`` writes them; a test fails when schema/ differs.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from connectord.control.signatures import NOTIFICATIONS, SIGNATURES


def params_schema() -> dict[str, Any]:
    """One JSON Schema (2020-12) whose properties have the parameters of every method."""
    return _schema(
        "Parameters of connectord's control socket", {name: item.params for name, item in SIGNATURES.items()}
    )


def results_schema() -> dict[str, Any]:
    """One JSON Schema (2020-12) whose properties have the result of every method, and every notification."""
    results = {name: item.result for name, item in SIGNATURES.items() if item.result is not None}
    return _schema("Results and notifications of connectord's control socket", {**results, **NOTIFICATIONS})


FILES = {"control-params.json": params_schema, "control-results.json": results_schema}
"""The files in schema/ and what makes each."""


def render(schema: Mapping[str, Any]) -> str:
    """A schema as the text of a file."""
    return msgspec.json.format(msgspec.json.encode(schema, order="sorted"), indent=2).decode() + "\n"


def _schema(title: str, types: Mapping[str, Any]) -> dict[str, Any]:
    names = sorted(types)
    references, definitions = msgspec.json.schema_components(
        [types[name] for name in names], ref_template="#/$defs/{name}"
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "properties": dict(zip(names, references, strict=True)),
        "$defs": definitions,
    }


if __name__ == "__main__":
    for file_name, make in FILES.items():
        (Path(sys.argv[1]) / file_name).write_text(render(make()), encoding="utf-8")
