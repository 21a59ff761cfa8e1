"""Calling the daemon and printing what it answers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from connectord.cli import rendering
from connectord.cli.progress import show_waiting
from connectord.control.client import ControlClient
from connectord.errors import RequestFailed


def complain(text: str) -> None:
    """Say on stderr what went wrong."""
    click.echo(f"connectorctl: {rendering.clean(text)}", err=True)


def say_refused(error: RequestFailed, about: str = "") -> None:
    """Say why the daemon refused; a refused configuration problem by problem."""
    complain(f"{about}{error}")
    problems = error.data.get("errors") if isinstance(error.data, dict) else None
    for problem in problems if isinstance(problems, list) else []:
        if isinstance(problem, dict):
            place = f"{problem.get('file')}:{problem.get('line')}: {problem.get('key')}: {problem.get('message')}"
            click.echo(rendering.clean(place), err=True)


def present(**params: Any) -> dict[str, Any]:
    """The parameters that were given."""
    return {name: value for name, value in params.items() if value is not None}


def connect(timeout_seconds: float = 30) -> ControlClient:
    """A connection to the daemon that ``--socket`` names; a context manager."""
    path = click.get_current_context().find_root().obj
    return ControlClient(path, timeout_seconds, while_waiting=show_waiting if sys.stderr.isatty() else None)


def paged(render: Callable[[Any], str]) -> Callable[[Any], str]:
    """``render``, and a word on stderr where there is another page."""

    def render_page(page: Any) -> str:
        text = render(page)
        if page.get("next") is not None:
            click.echo(f"there are more: --after {rendering.clean(page['next'])}", err=True)
        return text

    return render_page


def call(method: str, params: dict[str, Any], as_json: bool, render: Callable[[Any], str]) -> None:
    """Call a method on a connection of its own, and print what ``render`` makes of the answer."""
    with connect() as client:
        call_on(client, method, params, as_json, render)


def call_on(
    client: ControlClient, method: str, params: dict[str, Any], as_json: bool, render: Callable[[Any], str]
) -> None:
    """As :func:`call`, on a connection that is there; ``as_json`` prints the answer unchanged."""
    click.echo(client.raw_call(method, params) if as_json else render(client.call(method, params)))


def short(action: Any) -> str:
    """An action in one line: its id, its state, who has it."""
    if not isinstance(action, dict):
        return rendering.clean(action)
    assigned = rendering.assigned_text(action.get("assigned_to"))
    text = f"{rendering.clean(action.get('id'))}  {rendering.state_label(action)}"
    return f"{text}  ({rendering.clean(assigned)})" if assigned else text


def items_of(result: Any) -> list[Any]:
    """The list in a result that is one, or has one as a member."""
    if isinstance(result, dict):
        result = next((value for value in result.values() if isinstance(value, list)), [])
    return result if isinstance(result, list) else []


def entries(result: Any) -> str:
    """A table of the items of a result."""
    return rendering.records(items_of(result))
