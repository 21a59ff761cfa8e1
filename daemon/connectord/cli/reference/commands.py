"""The commands as click has them, as plain values for the pages."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass

import click

_EXAMPLE = re.compile(r"^Example: (.+)$", re.M)


@dataclass(frozen=True, slots=True)
class Option:
    """An option or an argument: how it is written, and what for."""

    written: str
    help: str


@dataclass(frozen=True, slots=True)
class CommandPage:
    """One command. ``path`` is how it is called, such as ``connectorctl config show``."""

    path: str
    usage: str
    text: tuple[str, ...]
    """The paragraphs of its help."""
    options: tuple[Option, ...]
    examples: tuple[str, ...]
    is_group: bool

    @property
    def short(self) -> str:
        """Its first sentence."""
        return self.text[0] if self.text else ""


def pages_of(command: click.Command, path: str, parent: click.Context | None = None) -> Iterator[CommandPage]:
    """The command, and every one below it, in their order."""
    ctx = click.Context(command, info_name=path.rpartition(" ")[2], parent=parent, **command.context_settings)
    yield _page(command, ctx, path)
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            each = command.get_command(ctx, name)
            if each is not None and not each.hidden:
                yield from pages_of(each, f"{path} {name}", ctx)


def _page(command: click.Command, ctx: click.Context, path: str) -> CommandPage:
    text = inspect.cleandoc(command.help or "")
    examples = [*_EXAMPLE.findall(text), *_EXAMPLE.findall(command.epilog or "")]
    paragraphs = [" ".join(each.split()) for each in _EXAMPLE.sub("", text).split("\n\n")]
    records = [param.get_help_record(ctx) for param in command.get_params(ctx)]
    usage = " ".join(command.collect_usage_pieces(ctx))
    return CommandPage(
        path=path,
        usage=f"{path} {usage}".strip(),
        text=tuple(each for each in paragraphs if each),
        # what an argument is stands in the text
        options=tuple(Option(*record) for record in records if record is not None and record[1]),
        examples=tuple(examples),
        is_group=isinstance(command, click.Group),
    )
