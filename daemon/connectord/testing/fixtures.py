"""What ``connectord export-attempt`` wrote, for a test to replay."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectord.adapters import Call
from connectord.errors import InvalidRequest

FORMAT = 1
"""The version of the fixture's format."""


@dataclass(frozen=True, slots=True)
class Fixture:
    """One attempt as it was in production, redacted.

    ``outcome`` is what the attempt came to, None while it was under way; ``message`` why it failed. ``settings`` are
    the adapter's, as they stand in connectord.toml, with stars for secrets.
    """

    call: Call
    adapter: str
    adapter_version: str | None
    settings: Mapping[str, Any]
    outcome: str | None
    message: str | None


def read_fixture(fixture: Path | str | Mapping[str, Any]) -> Fixture:
    """The fixture in a file, or in a document that was read already.

    Raises :class:`connectord.errors.InvalidRequest` where it is none, and :class:`OSError` where it cannot be read.
    """
    document = fixture
    if not isinstance(document, Mapping):
        try:
            document = json.loads(Path(document).read_text(encoding="utf-8"))
        except ValueError as error:
            raise InvalidRequest(f"{fixture} is no JSON: {error}") from error
    if not isinstance(document, Mapping) or document.get("connectord_fixture") != FORMAT:
        raise InvalidRequest(f'not a fixture of connectord export-attempt: "connectord_fixture" must be {FORMAT}')
    try:
        call = document["call"]
        unknown = set(call) - {*Call.__struct_fields__}
        if unknown:
            raise InvalidRequest(f"the fixture's call has unknown fields: {', '.join(sorted(unknown))}")
        return Fixture(
            call=Call(**call),
            adapter=document["adapter"]["name"],
            adapter_version=document["adapter"]["version"],
            settings=document["settings"],
            outcome=document["attempt"]["outcome"],
            message=document["attempt"]["message"],
        )
    except (KeyError, TypeError) as error:
        raise InvalidRequest(f"the fixture is not complete: {error}") from error


def replay(fixture: Path | str | Mapping[str, Any]) -> Call:
    """The call of a fixture, to be handed to an adapter in a test. Raises as :func:`read_fixture`."""
    return read_fixture(fixture).call
