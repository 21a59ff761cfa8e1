"""Groups of commands that name the nearest one where a command is unknown."""

from __future__ import annotations

import click


class Commands(click.Group):
    """A group whose "no such command" helps."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not ctx.resilient_parsing and self.get_command(ctx, name) is None and not name.startswith("-"):
            ctx.fail(unknown_command(name, self.list_commands(ctx)))
        return super().resolve_command(ctx, args)


def unknown_command(name: str, known: list[str]) -> str:
    """What to say of a command that does not exist: the nearest ones, or all of them."""
    import difflib  # for a mistake alone

    near = difflib.get_close_matches(name.lower(), known, n=2)
    if near:
        return f"No such command {name!r}. Did you mean {' or '.join(map(repr, near))}?"
    return f"No such command {name!r}. Commands: {', '.join(known)}."
