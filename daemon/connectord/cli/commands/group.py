"""The command connectorctl: its own options, and the exit codes."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from connectord.cli.colours import no_color_option
from connectord.cli.commands.calling import complain, say_refused
from connectord.cli.commands.options import json_option
from connectord.cli.groups import Commands
from connectord.errors import DaemonUnreachable, RequestFailed
from connectord.paths import default_control_socket

Function = TypeVar("Function", bound=Callable[..., Any])

EXIT_REFUSED = 1
EXIT_NO_DAEMON = 3

WITHOUT_DAEMON = (
    "start it (connectord run), or name its socket with --socket or $CONNECTORD_SOCKET; connectorctl doctor says more"
)


class _Commands(Commands):
    """A group that turns the daemon's refusals into exit codes."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RequestFailed as error:
            say_refused(error)
            ctx.exit(EXIT_REFUSED)
        except DaemonUnreachable as error:
            complain(str(error))
            complain(WITHOUT_DAEMON)
            ctx.exit(EXIT_NO_DAEMON)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: connectorctl --socket /run/connectord/control.sock status",
)
@click.option(
    "--socket",
    "socket_path",
    envvar="CONNECTORD_SOCKET",
    metavar="PATH",
    type=click.Path(),
    help="The daemon's control socket.  [env: CONNECTORD_SOCKET]",
)
@no_color_option
@click.pass_context
def cli(ctx: click.Context, socket_path: str | None) -> None:
    """Look at and steer a running connectord.

    Exit codes: 0 done; 1 the daemon refused; 2 usage; 3 no daemon there.
    """
    ctx.obj = socket_path or default_control_socket(os.environ)


def command(name: str, example: str) -> Callable[[Function], click.Command]:
    """A command of connectorctl, with ``--json`` and an example of its use."""
    return _command_of(cli, name, example)


def subcommand(group: click.Group, name: str, example: str) -> Callable[[Function], click.Command]:
    """As :func:`command`, in a group of commands."""
    return _command_of(group, name, example)


def _command_of(group: click.Group, name: str, example: str) -> Callable[[Function], click.Command]:
    def decorate(function: Function) -> click.Command:
        return group.command(name, epilog=f"Example: connectorctl {example}")(json_option(function))

    return decorate


@cli.command("completion", epilog="Example: connectorctl completion bash > /etc/bash_completion.d/connectorctl")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that makes a shell complete commands, options, ids and names.

    Ids and names are asked of the running daemon. How to install the script stands in its first line.
    """
    from connectord.cli.completion import print_script

    print_script(cli, "connectorctl", shell)
