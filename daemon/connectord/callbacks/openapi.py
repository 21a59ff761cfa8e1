"""The callback interface as an OpenAPI 3.1 description, made from the types themselves.

``python -m connectord.callbacks.openapi DIRECTORY`` writes it; a test fails when schema/ differs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

import msgspec

from connectord.callbacks.limits import DEFAULTS
from connectord.callbacks.tokens import TOKEN_CHARACTERS
from connectord.responses import ResponseDocument

FILE_NAME = "callback-openapi.json"
"""The file in schema/."""

PROBLEMS = {
    400: "The request or its body cannot be read; the detail says why.",
    401: "The system's callbacks are signed, and no signature of this one is valid.",
    404: "There is no such callback address.",
    405: "A callback is a POST.",
    408: "The headers or the body did not come in time.",
    413: f"The body has more than {DEFAULTS.max_body_bytes} bytes.",
    415: "The body is not JSON in UTF-8, or is compressed.",
    417: "The only expectation that is taken is 100-continue.",
    429: "Too many unknown addresses or bad signatures came from this peer.",
    431: "The headers are too large, or too many.",
    500: "A fault of connectord's own.",
    501: "The body has a transfer coding that is not known.",
    503: "Nothing was taken: the store cannot take it now, or there are too many connections. Try again.",
    505: "HTTP/1.1 and HTTP/1.0 only.",
}
"""Every answer that says no, and what it means."""


class Handled(msgspec.Struct, frozen=True):
    """What became of a callback: taken now or before, or recorded as late."""

    status: Literal["taken", "late"]


class Problem(msgspec.Struct, frozen=True):
    """An error (RFC 9457)."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str


def description() -> dict[str, Any]:
    """The OpenAPI document."""
    references, components = msgspec.json.schema_components(
        [ResponseDocument, Handled, Problem], ref_template="#/components/schemas/{name}"
    )
    body, handled, problem = references
    retry_after = {"Retry-After": {"description": "seconds", "schema": {"type": "string", "pattern": "^[0-9]+$"}}}
    answers: dict[str, Any] = {
        "200": _answer("Taken and committed, now or when the same one came before.", "application/json", handled),
        "202": _answer("Recorded as a late response: the action is decided already.", "application/json", handled),
    }
    for status, meaning in PROBLEMS.items():
        answers[str(status)] = _answer(meaning, "application/problem+json", problem)
        if status in (429, 503):
            answers[str(status)]["headers"] = retry_after
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "connectord's callback interface",
            "description": "How an external system tells what became of an action. Its adapter may read another body.",
            "version": "1",
        },
        "paths": {
            "/callback/{token}": {
                "post": {
                    "operationId": "callback",
                    "summary": "Tell what became of an action",
                    "parameters": [
                        {
                            "name": "token",
                            "in": "path",
                            "required": True,
                            "description": "Comes with the action, as the end of its callback address.",
                            "schema": {"type": "string", "pattern": f"^[A-Za-z0-9_-]{{{TOKEN_CHARACTERS}}}$"},
                        }
                    ],
                    "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
                    "responses": answers,
                }
            }
        },
        "components": {"schemas": components},
    }


def render() -> str:
    """The description as the text of a file."""
    return msgspec.json.format(msgspec.json.encode(description(), order="sorted"), indent=2).decode() + "\n"


def _answer(meaning: str, media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": meaning, "content": {media_type: {"schema": schema}}}


if __name__ == "__main__":
    (Path(sys.argv[1]) / FILE_NAME).write_text(render(), encoding="utf-8")
