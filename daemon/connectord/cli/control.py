"""connectorctl: the admins' client of the daemon. Imports little, so that it answers at once."""

from __future__ import annotations

# each of them adds its commands to the group
from connectord.cli.commands import actions, configuration, people, systems
from connectord.cli.commands.group import cli

__all__ = ["actions", "cli", "configuration", "main", "people", "systems"]


def main() -> None:
    """The command connectorctl."""
    cli(prog_name="connectorctl")


if __name__ == "__main__":
    main()
