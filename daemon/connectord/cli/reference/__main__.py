"""Writes the reference pages into a checkout: ``python -m connectord.cli.reference ROOT``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from connectord.cli import control, daemon
from connectord.cli.reference import man, markdown
from connectord.cli.reference.commands import pages_of
from connectord.cli.reference.keys import keys_of_adapter, keys_of_the_file
from connectord.plugins import load_plugins

OWN_ADAPTERS = ("http", "exec", "amqp", "sftp")
_TABLE = re.compile(r"\| method \| role \|.*?(?=\n\n)", re.S)


def pages(root: Path) -> dict[str, str]:
    """Every page by its path below ``root``, as it has to be; of the page of the control socket only the table."""
    installed = load_plugins().adapters
    keys = keys_of_the_file()
    adapters = [(name, keys_of_adapter(installed[name])) for name in OWN_ADAPTERS]
    service, client = list(pages_of(daemon.main, "connectord")), list(pages_of(control.cli, "connectorctl"))
    protocol = (root / "docs" / "control-protocol.md").read_text(encoding="utf-8")
    table = markdown.methods_table()
    return {
        "docs/cli.md": markdown.commands_page([*service, *client]),
        "docs/configuration.md": markdown.configuration_page(keys, adapters),
        "docs/control-protocol.md": _TABLE.sub(lambda _: table, protocol, count=1),
        "docs/man/connectord.1": man.command_page(service),
        "docs/man/connectorctl.1": man.command_page(client),
        "docs/man/connectord.toml.5": man.configuration_page(keys, adapters),
    }


def write(root: Path) -> None:
    """Write all of them."""
    for name, text in pages(root).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
