"""``connectorctl``: the admins' client. Light to import: ``status`` answers at once."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from connectord import __version__
from connectord.cli import rendering as show_as
from connectord.cli.times import parse_when
from connectord.control.client import ControlClient
from connectord.errors import DaemonUnreachable, RequestFailed
from connectord.paths import default_control_socket

EXIT_REFUSED = 1
EXIT_NO_DAEMON = 3


class _When(click.ParamType):
    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return parse_when(str(value), datetime.now(UTC))
        except ValueError:
            self.fail(f"{value!r} is not a time; write 2026-11-24T12:00:00Z, +5m or -2h", param, ctx)


class _Data(click.ParamType):
    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        text = str(value)
        try:
            if text == "-":
                text = sys.stdin.read()
            elif text.startswith("@"):
                text = Path(text[1:]).read_text(encoding="utf-8")
            data = json.loads(text)
        except OSError as error:
            self.fail(f"{value}: {error.strerror}", param, ctx)
        except (ValueError, RecursionError) as error:
            self.fail(f"not JSON: {error}", param, ctx)
        if not isinstance(data, dict):
            self.fail('must be a JSON object such as {"invoice": 17}', param, ctx)
        return data


WHEN, DATA = _When(), _Data()


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RequestFailed as error:
            click.echo(f"connectorctl: {error}", err=True)
            for problem in (error.data or {}).get("errors", []):
                click.echo("{file}:{line}: {key}: {message}".format(**problem), err=True)
            ctx.exit(EXIT_REFUSED)
        except DaemonUnreachable as error:
            click.echo(f"connectorctl: {error}", err=True)
            ctx.exit(EXIT_NO_DAEMON)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="connectorctl")
@click.option("--socket", "socket_path", envvar="CONNECTORD_SOCKET", type=click.Path(path_type=Path),
              help="The daemon's control socket. Default: $CONNECTORD_SOCKET, then the system's own.")  # fmt: skip
@click.pass_context
def main(ctx: click.Context, socket_path: Path | None) -> None:
    """Steer a running connectord."""
    ctx.obj = socket_path or default_control_socket(os.environ)


_json_option = click.option("--json", "as_json", is_flag=True, help="Print the daemon's answer unchanged.")


def _call(method: str, as_json: bool, render: Callable[[Any], str], /, **params: Any) -> Any:
    path: Path = click.get_current_context().obj
    given = {name: value for name, value in params.items() if value is not None}
    with ControlClient(path) as client:
        answer = client.call(method, given)
    click.echo(json.dumps(answer, ensure_ascii=False) if as_json else render(answer))
    return answer


@main.command()
@click.argument("system")
@click.option("--case", help="The case that the action belongs to.")
@click.option("--owner", help="The case's owner, who is notified when all tries have failed.")
@click.option("--key", help="The same key gives the same action again, never a second one.")
@click.option("--data", type=DATA, help="Custom data: JSON, @FILE, or - for standard input.")
@click.option("--due", "due_at", type=WHEN, help="When to attempt it first: a time, or +5m. Default: now.")
@_json_option
def submit(system: str, as_json: bool, **params: Any) -> None:
    """Submit a new action and print its id.

    Example: connectorctl submit billing --case C-1001 --data '{"invoice": 17}'
    """
    _call("submit", as_json, lambda action: str(action["id"]), system=system, **params)


@main.command("list")
@click.option("--state", help="pending, attempting, waiting, todo, in_progress or closed.")
@click.option("--system")
@click.option("--case")
@click.option("--reason", help="updated_by_integration or timeout.")
@click.option("--resolution", help="done_successfully or not_done_successfully.")
@click.option("--after", help="The 'next' of the page before.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@_json_option
def list_actions(as_json: bool, **params: Any) -> None:
    """List actions, the newest first.

    Example: connectorctl list --state todo --system billing
    """

    def render(answer: Any) -> str:
        text = show_as.actions_table(answer["actions"])
        return text + (f"\nmore: --after {answer['next']}" if answer["next"] else "")

    _call("list", as_json, render, **params)


@main.command()
@click.argument("id")
@click.option("--history", is_flag=True, help="Every change of state.")
@click.option("--attempts", is_flag=True, help="Every attempt.")
@_json_option
def show(id: str, history: bool, attempts: bool, as_json: bool) -> None:  # noqa: A002  - the argument's name in --help
    """Show the info card of an action.

    Example: connectorctl show 01JDE5QZ7M8X3V9K2T4R6W1Y0A --history
    """
    if not (history or attempts):
        _call("show", as_json, show_as.card, id=id)
    if history:
        _call("history", as_json, lambda answer: show_as.history_table(answer["history"]), id=id)
    if attempts:
        _call("attempts", as_json, lambda answer: show_as.attempts_table(answer["attempts"]), id=id)


@main.command()
@click.argument("id")
@_json_option
def case(id: str, as_json: bool) -> None:  # noqa: A002  - as above
    """Show a case: owner, data, actions; unsuccessfully closed ones are marked with '!'.

    Example: connectorctl case C-1001
    """
    _call("case", as_json, show_as.case_text, id=id)


@main.command()
@click.argument("ids", nargs=-1, required=True)
@_json_option
def retry(ids: tuple[str, ...], as_json: bool) -> None:
    """Try actions now; it counts as one of the tries.

    Example: connectorctl retry 01JDE5QZ7M8X3V9K2T4R6W1Y0A
    """
    for action_id in ids:
        _call("retry", as_json, lambda action: f"{action['id']}: tried now", id=action_id)


@main.command()
@click.argument("id")
@click.option("--as", "user", required=True, help="Who takes it.")
@_json_option
def take(id: str, user: str, as_json: bool) -> None:  # noqa: A002  - as above
    """Take a To Do action.

    Example: connectorctl take 01JDE5QZ7M8X3V9K2T4R6W1Y0A --as anna
    """
    _call("take", as_json, _stands, id=id, user=user)


@main.command()
@click.argument("id")
@_json_option
def release(id: str, as_json: bool) -> None:  # noqa: A002  - as above
    """Hand a taken action back to its queue.

    Example: connectorctl release 01JDE5QZ7M8X3V9K2T4R6W1Y0A
    """
    _call("release", as_json, _stands, id=id)


@main.command()
@click.argument("id")
@click.option("--to", "assignee", required=True, help="queue:NAME or user:NAME")
@_json_option
def assign(id: str, assignee: str, as_json: bool) -> None:  # noqa: A002  - as above
    """Hand a To Do action on.

    Example: connectorctl assign 01JDE5QZ7M8X3V9K2T4R6W1Y0A --to queue:late-answers
    """
    kind, _, name = assignee.partition(":")
    if kind not in ("queue", "user") or not name:
        raise click.BadParameter("write queue:NAME or user:NAME", param_hint="--to")
    _call("assign", as_json, _stands, id=id, **{kind: name})


@main.command()
@click.argument("id")
@click.option("--unsuccessful", is_flag=True, help="Close it as not done successfully.")
@click.option("--data", type=DATA, help="Custom data to merge into the case.")
@click.option("--note", help="What people should know later.")
@_json_option
def complete(id: str, unsuccessful: bool, as_json: bool, **params: Any) -> None:  # noqa: A002  - as above
    """Close a To Do action by hand.

    Example: connectorctl complete 01JDE5QZ7M8X3V9K2T4R6W1Y0A --note 'posted by phone'
    """
    resolution = "not_done_successfully" if unsuccessful else "done_successfully"
    _call("complete", as_json, _stands, id=id, resolution=resolution, **params)


@main.command()
@click.argument("id")
@click.option("--note", required=True, help="Why.")
@_json_option
def cancel(id: str, note: str, as_json: bool) -> None:  # noqa: A002  - as above
    """Close a pending or waiting action as done unsuccessfully.

    Example: connectorctl cancel 01JDE5QZ7M8X3V9K2T4R6W1Y0A --note 'ordered twice'
    """
    _call("cancel", as_json, _stands, id=id, note=note)


@main.command()
@click.argument("ids", nargs=-1)
@click.option("--system")
@click.option("--since", type=WHEN, help="Submitted since: a time, or -2h.")
@click.option("--resolution", help="done_successfully or not_done_successfully.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_json_option
def rerun(ids: tuple[str, ...], yes: bool, as_json: bool, **filters: Any) -> None:
    """Make new actions from closed ones, by ids or by a selection.

    Example: connectorctl rerun --system billing --since -2h --resolution not_done_successfully
    """
    chosen = {name: value for name, value in filters.items() if value is not None}
    if bool(ids) == bool(chosen):
        raise click.UsageError("give ids, or --system, --since or --resolution")

    def render(answer: Any) -> str:
        return "\n".join(f"{action['rerun_of']} -> {action['id']}" for action in answer["actions"]) or "nothing to do"

    if ids:
        _call("rerun", as_json, render, ids=list(ids))
        return
    with ControlClient(click.get_current_context().obj) as client:
        count = client.call("rerun", {"filters": chosen, "dry_run": True})["count"]
    if not yes:
        click.confirm(f"{count} closed actions match. Run them again?", abort=True, err=True)
    _call("rerun", as_json, render, filters=chosen)


@main.command()
@_json_option
def systems(as_json: bool) -> None:
    """List the external systems.

    Example: connectorctl systems
    """
    _call("systems", as_json, lambda answer: show_as.systems_table(answer["systems"]))


@main.command()
@click.argument("system")
@_json_option
def pause(system: str, as_json: bool) -> None:
    """Stop attempting a system's actions; what is under way ends.

    Example: connectorctl pause billing
    """
    _call("pause", as_json, lambda answer: f"{answer['name']}: paused", system=system)


@main.command()
@click.argument("system")
@_json_option
def resume(system: str, as_json: bool) -> None:
    """Let a paused system go on.

    Example: connectorctl resume billing
    """
    _call("resume", as_json, lambda answer: f"{answer['name']}: goes on", system=system)


@main.command()
@click.option("--plan", is_flag=True, help="Only say what it would do.")
@_json_option
def reload(plan: bool, as_json: bool) -> None:
    """Apply connectord.toml, all of it or nothing.

    Example: connectorctl reload --plan
    """
    _call("reload", as_json, show_as.plan_text, plan=plan)


@main.command()
@_json_option
def status(as_json: bool) -> None:
    """Show the daemon.

    Example: connectorctl status
    """
    _call("status", as_json, show_as.status_text)


@main.command()
@click.option("--id", "action_id", help="Only this action.")
@click.option("--system", help="Only this system.")
@click.option("--state", help="Only changes to this state.")
@_json_option
def watch(action_id: str | None, system: str | None, state: str | None, as_json: bool) -> None:
    """Print every change as it happens, until interrupted.

    Example: connectorctl watch --system billing
    """
    filters = {"id": action_id, "system": system, "state": state}
    params = {"filters": {name: value for name, value in filters.items() if value is not None}}
    with ControlClient(click.get_current_context().obj) as client:
        for event in client.notifications("watch", params):
            click.echo(json.dumps(event, ensure_ascii=False) if as_json else _event_line(event))


@main.command()
@click.option("--now", is_flag=True, help="Do not wait for the attempts under way.")
@_json_option
def shutdown(now: bool, as_json: bool) -> None:
    """Drain and stop the daemon.

    Example: connectorctl shutdown
    """
    _call("shutdown", as_json, lambda _: "stopping", now=now)


def _stands(action: dict[str, Any]) -> str:
    return f"{action['id']}: {show_as.state_words(action)}"


def _event_line(event: dict[str, Any]) -> str:
    return (
        f"{show_as.short_time(event['at'])}  {event['action']}  {event['system']}  "
        f"{event['from'] or 'new'} -> {event['to']}  {event['why']} (rule {event['rules']}, {event['who']})"
    )


if __name__ == "__main__":
    main()
