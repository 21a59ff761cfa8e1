"""connectorctl: the admins' client of the daemon. Imports little, so that it answers at once."""

from __future__ import annotations

import os

# each of them adds its commands to the group
from connectord.cli.commands import actions, configuration, people, systems
from connectord.cli.commands.group import cli

__all__ = ["actions", "cli", "configuration", "main", "people", "systems"]


def main() -> None:
    """The command connectorctl."""
    if "_CONNECTORCTL_COMPLETE" in os.environ:
        from connectord.cli.completion import answer_the_shell  # only a shell's question costs its import

        answer_the_shell("connectorctl")
    cli(prog_name="connectorctl")


if __name__ == "__main__":
    main()
