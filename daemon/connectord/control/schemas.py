"""JSON Schemas of the control socket's parameters, made from the types themselves.

``python -m connectord.control.schemas DIRECTORY`` writes them; a test fails when schema/ differs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec

from connectord.control import params as p

METHODS: dict[str, type[p.Params]] = {
    "submit": p.Submit,
    "submit_many": p.SubmitMany,
    "list": p.List,
    "show": p.ById,
    "history": p.ById,
    "attempts": p.ById,
    "case": p.ById,
    "retry": p.ById,
    "take": p.Take,
    "release": p.ById,
    "assign": p.Assign,
    "complete": p.Complete,
    "cancel": p.Cancel,
    "rerun": p.Rerun,
    "systems": p.Nothing,
    "pause": p.System,
    "resume": p.System,
    "reload": p.Reload,
    "status": p.Nothing,
    "watch": p.Watch,
    "shutdown": p.Shutdown,
}
"""Every method of the control socket and the type of its parameters."""


def params_schema() -> dict[str, Any]:
    """One JSON Schema (2020-12) whose ``$defs`` has the parameters of every method."""
    types = sorted(set(METHODS.values()), key=lambda kind: kind.__name__)
    references, definitions = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    by_type = dict(zip(types, references, strict=True))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Parameters of connectord's control socket",
        "properties": {name: by_type[kind] for name, kind in sorted(METHODS.items())},
        "$defs": definitions,
    }


def render() -> str:
    """The schema as the text of a file."""
    return msgspec.json.format(msgspec.json.encode(params_schema(), order="sorted"), indent=2).decode() + "\n"


if __name__ == "__main__":
    (Path(sys.argv[1]) / "control-params.json").write_text(render(), encoding="utf-8")
