"""Values that several commands take: times, JSON, where work goes to."""

from __future__ import annotations

import json
import sys
from typing import Any, NoReturn

import click

from connectord.cli.times import parse_when

STATES = click.Choice(["pending", "attempting", "waiting", "todo", "in_progress", "closed"])
REASONS = click.Choice(["updated_by_integration", "timeout"])
RESOLUTIONS = click.Choice(["done_successfully", "not_done_successfully"])

json_option = click.option("--json", "as_json", is_flag=True, help="Print the daemon's answer unchanged, as JSON.")


def parse_moment(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """RFC 3339 of a time as people type it; a usage error where it is none."""
    try:
        return None if value is None else parse_when(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx=ctx, param=param) from None


def parse_data(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    """What JSON, ``@FILE`` or ``-`` (standard input) holds; a usage error where it is not JSON."""
    if value is None:
        return None
    text: str | bytes = value
    try:
        if value == "-":
            text = sys.stdin.buffer.read()
        elif value.startswith("@"):
            with open(value[1:], "rb") as file:  # noqa: PTH123 - pathlib is one more import
                text = file.read()
        return json.loads(text, parse_constant=_no_constant)
    except OSError as error:
        raise click.BadParameter(f"{value[1:]}: {error.strerror}", ctx=ctx, param=param) from None
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"not JSON: {error}", ctx=ctx, param=param) from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def parse_destination(ctx: click.Context, param: click.Parameter, value: str) -> dict[str, str]:
    """``queue:NAME`` or ``user:NAME``."""
    kind, _, name = value.partition(":")
    if kind not in ("queue", "user") or not name:
        raise click.BadParameter("must be queue:NAME or user:NAME", ctx=ctx, param=param)
    return {kind: name}
