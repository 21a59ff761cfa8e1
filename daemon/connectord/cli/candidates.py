"""What the shell may complete, asked of the running daemon: ids, systems, queues, people, versions, methods.

A shell waits for this at the Tab key. So the daemon has little time to answer, and without one there is nothing to
offer and nothing to say.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import click

from connectord.control.client import ControlClient
from connectord.errors import ControlError
from connectord.paths import default_control_socket

PATIENCE_SECONDS = 1.0
MOST_IDS = 100

Completer: TypeAlias = Callable[[click.Context, click.Parameter, str], list[Any]]
_Pairs: TypeAlias = Iterator[tuple[str, str | None]]
"""What may stand there, and a word about it."""


def _completer(find: Callable[[ControlClient, click.Context], _Pairs]) -> Completer:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        given = ctx.params.get(param.name or "")
        taken = set(given) if isinstance(given, tuple) else set()
        try:
            with ControlClient(_socket(ctx), PATIENCE_SECONDS) as client:
                found = dict(find(client, ctx))
        except (ControlError, OSError, KeyError, TypeError, AttributeError):
            # somebody who presses Tab has asked nothing yet
            return []
        return [
            # fish's script takes a comma for the end of it
            CompletionItem(value, help=about and about.replace(",", ";").replace("\n", " "))
            for value, about in found.items()
            if value.startswith(incomplete) and value not in taken and value.isprintable()
        ]

    return complete


def _socket(ctx: click.Context) -> str:
    return ctx.find_root().params.get("socket_path") or default_control_socket(os.environ)


def ids(**filters: Any) -> Completer:
    """The newest actions that the filters of ``list`` let through; ``state`` may be several, tried in turn."""
    states = filters.pop("state", (None,))

    def find(client: ControlClient, ctx: click.Context) -> _Pairs:
        for state in states:
            wanted = filters if state is None else {**filters, "state": state}
            for action in client.call("list", {**wanted, "limit": MOST_IDS})["actions"]:
                yield action["id"], _about(action)

    return _completer(find)


def _about(action: Mapping[str, Any]) -> str:
    case = "" if action["case"] is None else f", case {action['case']}"
    return f"{action['label']} in {action['system']}{case}"


@_completer
def systems(client: ControlClient, ctx: click.Context) -> _Pairs:
    """The systems' names."""
    for system in client.call("systems")["systems"]:
        yield system["name"], f"{system['state']}, {system['health']}"


@_completer
def queues(client: ControlClient, ctx: click.Context) -> _Pairs:
    """The queues' names."""
    for queue in client.call("queues")["queues"]:
        yield queue["name"], queue["description"]


@_completer
def users(client: ControlClient, ctx: click.Context) -> _Pairs:
    """The people who have work; the daemon keeps no list of others."""
    for person in client.call("queues")["people"]:
        yield person["user"], f"{person['todo']} to do, {person['in_progress']} in progress"


@_completer
def destinations(client: ControlClient, ctx: click.Context) -> _Pairs:
    """``queue:NAME`` and ``user:NAME``."""
    found = client.call("queues")
    for queue in found["queues"]:
        yield f"queue:{queue['name']}", queue["description"]
    for person in found["people"]:
        yield f"user:{person['user']}", None


@_completer
def cases(client: ControlClient, ctx: click.Context) -> _Pairs:
    """The cases of the newest actions."""
    for action in client.call("list", {"limit": MOST_IDS})["actions"]:
        if action["case"] is not None:
            yield action["case"], None


@_completer
def versions(client: ControlClient, ctx: click.Context) -> _Pairs:
    """The versions of the configuration."""
    for version in client.call("config_history", {"limit": MOST_IDS})["versions"]:
        yield str(version["version"]), f"{version['at']} by {version['who']}"
