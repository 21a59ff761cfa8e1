"""When there are colours: on a terminal, unless somebody says otherwise.

``NO_COLOR`` (https://no-color.org) and ``--no-color`` turn them off, ``FORCE_COLOR`` turns them on also where the
output is no terminal. Off wins.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import click

no_color_option = click.option(
    "--no-color",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=lambda ctx, param, value: choose_colours(ctx, off=value),
    help="No colours.  [env: NO_COLOR; FORCE_COLOR for the contrary]",
)


def choose_colours(ctx: click.Context, *, off: bool) -> None:
    """Settle for this command, and for all that it starts, whether there are colours."""
    if off:
        # the live screens, and programs that are started, read it there
        os.environ["NO_COLOR"] = "1"
    ctx.color = wants_colours(os.environ)


def wants_colours(environ: Mapping[str, str]) -> bool | None:
    """What the environment says; None: colours on a terminal, none elsewhere."""
    if environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        return False
    return True if environ.get("FORCE_COLOR") else None


def alarming(line: str) -> str:
    """A line that stands out; click leaves the colours out where there are to be none."""
    return click.style(line, fg="red", bold=True)


def warning(line: str) -> str:
    """A line that asks for a look."""
    return click.style(line, fg="yellow")


def fine(line: str) -> str:
    """A line that says that all is well."""
    return click.style(line, fg="green")
