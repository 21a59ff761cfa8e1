"""Submitting actions, looking at them, trying them again."""

from __future__ import annotations

import json
import sys
from typing import Any, BinaryIO

import click

from connectord.cli import candidates, rendering
from connectord.cli.commands.calling import (
    call,
    call_on,
    complain,
    connect,
    entries,
    items_of,
    present,
    say_refused,
    short,
)
from connectord.cli.commands.group import EXIT_REFUSED, command
from connectord.cli.commands.options import REASONS, RESOLUTIONS, STATES, parse_data, parse_moment
from connectord.cli.progress import Progress
from connectord.cli.queues import work_table
from connectord.cli.submitting import LineRefused, count_lines, groups_of, how_to_go_on
from connectord.errors import DaemonUnreachable, RequestFailed

RERUN_SECONDS = 300


@command("submit", "submit billing --case C-1001 --data '{\"amount\": 12}' --due +5m")
@click.argument("system", shell_complete=candidates.systems)
@click.option("--case", metavar="ID", help="The case it belongs to.", shell_complete=candidates.cases)
@click.option("--owner", metavar="WHO", help="Who owns the case.")
@click.option("--key", metavar="KEY", help="The same key again gives the same action.")
@click.option("--data", callback=parse_data, metavar="JSON|@FILE|-", help="What the system is sent.")
@click.option("--due", callback=parse_moment, metavar="WHEN", help="RFC 3339, or +30s, +5m, +2h, +1d.")
@click.option("--traceparent", metavar="TEXT", help="The trace it belongs to (W3C Trace Context).")
def submit(as_json: bool, due: str | None, **options: Any) -> None:
    """Submit a new action; prints its id."""
    params = present(due_at=due, **options)
    call("submit", params, as_json, lambda action: rendering.clean(action.get("id")))


@command("submit-many", "submit-many actions.jsonl")
@click.argument("file", type=click.File("rb"))
@click.option("--from", "first", type=click.IntRange(min=1), default=1, metavar="LINE", help="Begin with this line.")
def submit_many(file: BinaryIO, first: int, as_json: bool) -> None:
    """Submit the actions of FILE, one JSON object a line; prints their ids. - is standard input.

    A line has the members system, case, owner, key, data and due_at, of which only system must be there. Lines go in
    groups: all of a group are on disk, or none. Where it stops it says how to go on; a key makes a line safe to repeat.
    """
    name, total = getattr(file, "name", "-"), count_lines(file)
    done = first - 1
    try:
        with connect() as client, Progress("submitting", total and max(total - done, 0)) as progress:
            for group in groups_of(file, first):
                answer = client.raw_call("submit_many", {"actions": group.actions})
                click.echo(answer if as_json else "\n".join(each["id"] for each in json.loads(answer)["actions"]))
                done = group.last
                progress.advance(len(group.actions))
    except LineRefused as error:
        complain(f"{name}:{error.line}: {error}")
        complain(how_to_go_on(name, done))
        sys.exit(EXIT_REFUSED)
    except (DaemonUnreachable, RequestFailed):
        complain(how_to_go_on(name, done))
        raise


@command("list", "list --system billing --state pending --limit 20")
@click.option("--state", type=STATES, metavar="S", help="Only in this state: " + ", ".join(STATES.choices) + ".")
@click.option("--system", metavar="S", help="Only of this system.", shell_complete=candidates.systems)
@click.option("--case", metavar="ID", help="Only of this case.", shell_complete=candidates.cases)
@click.option(
    "--reason", type=REASONS, metavar="R", help="Only To Do for this reason: " + ", ".join(REASONS.choices) + "."
)
@click.option("--resolution", type=RESOLUTIONS, help="Only closed like this.")
@click.option(
    "--queue", metavar="NAME", help="What waits or is in progress in this queue.", shell_complete=candidates.queues
)
@click.option(
    "--user", metavar="NAME", help="What this user has, or is meant to take.", shell_complete=candidates.users
)
@click.option("--retrying", is_flag=True, default=None, help="Only pending ones whose last attempt failed.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="How many; 50 if left out.")
def list_actions(as_json: bool, **filters: Any) -> None:
    """List actions, newest first."""

    def render(result: Any) -> str:
        if result.get("next"):
            click.echo("there are more: a larger --limit or a filter shows them", err=True)
        people = filters.get("queue") or filters.get("user")
        return work_table(result["actions"]) if people else rendering.action_table(result["actions"])

    call("list", present(**filters), as_json, render)


@command("show", "show 01JDE4ZQ --history")
@click.argument("action_id", metavar="ID", shell_complete=candidates.ids())
@click.option("--history", is_flag=True, help="Every change of state too.")
@click.option("--attempts", is_flag=True, help="Every attempt too.")
def show(action_id: str, history: bool, attempts: bool, as_json: bool) -> None:
    """Show an action's info card.

    With --json, --history and --attempts print their own answers after the card's, a line each.
    """
    params = {"id": action_id}
    with connect() as client:
        call_on(client, "show", params, as_json, rendering.card)
        for wanted, method in ((history, "history"), (attempts, "attempts")):
            if wanted:
                if not as_json:
                    click.echo(f"\n{method.capitalize()}")
                call_on(client, method, params, as_json, entries)


@command("why", "why 01JDE4ZQ")
@click.argument("action_id", metavar="ID", shell_complete=candidates.ids())
def why(action_id: str, as_json: bool) -> None:
    """Say why an action is where it is.

    What it waits for, until when, which rule and which configuration decided, what happens next by itself, and what
    can be done now with which command.
    """
    call("why", {"id": action_id}, as_json, rendering.explanation)


@command("retry", "retry 01JDE4ZQ 01JDE500")
@click.argument(
    "action_ids", metavar="ID...", nargs=-1, required=True, shell_complete=candidates.ids(state=("pending",))
)
def retry(action_ids: tuple[str, ...], as_json: bool) -> None:
    """Try actions again now, by hand."""
    refused = False
    with connect() as client:
        for action_id in action_ids:
            try:
                call_on(client, "retry", {"id": action_id}, as_json, short)
            except RequestFailed as error:
                refused = True
                say_refused(error, f"{action_id}: " if len(action_ids) > 1 else "")
    if refused:
        sys.exit(EXIT_REFUSED)


@command("rerun", "rerun --system billing --since -1d --resolution not_done_successfully")
@click.argument("action_ids", metavar="[ID]...", nargs=-1, shell_complete=candidates.ids(state=("closed",)))
@click.option("--system", metavar="S", help="Those of this system.", shell_complete=candidates.systems)
@click.option("--case", metavar="ID", help="Those of this case.", shell_complete=candidates.cases)
@click.option("--reason", type=REASONS, help="Those that were To Do for this reason.")
@click.option("--resolution", type=RESOLUTIONS, help="Those closed like this.")
@click.option(
    "--since", callback=parse_moment, metavar="WHEN", help="Submitted since: RFC 3339, or -30m, -2h, -1d ago."
)
@click.option("--until", callback=parse_moment, metavar="WHEN", help="Submitted before.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def rerun(action_ids: tuple[str, ...], yes: bool, as_json: bool, **options: Any) -> None:
    """Make new actions from closed ones: the IDs, or all that the filters find.

    The filters leave out what was run again already, and say how many they find before anything is done.
    """
    filters = present(**options)
    if bool(action_ids) == bool(filters):
        raise click.UsageError("give either IDs or filters (--system, --case, --since and the like)")

    def render(result: Any) -> str:
        return "\n".join(short(action) for action in items_of(result)) or "nothing to run again"

    if action_ids:
        call("rerun", {"ids": list(action_ids)}, as_json, render)
        return
    with connect() as client:
        answer = client.raw_call("rerun", {"filters": filters, "dry_run": True})
    counted = json.loads(answer)
    count = counted["count"]
    left_out = f" (left out: {counted['left_out']} run again before)" if counted.get("left_out") else ""
    click.echo(f"{count} action{'' if count == 1 else 's'} to run again{left_out}", err=as_json)
    if count == 0:
        if as_json:
            click.echo(answer)
        return
    if not yes:
        click.confirm("Go on?", abort=True, err=True)
    # anew, for the daemon need not have waited for the answer; but only if it still finds as many
    with connect(RERUN_SECONDS) as client:
        call_on(client, "rerun", {"filters": filters, "expect": count}, as_json, render)
