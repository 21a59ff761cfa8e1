"""People's work: cases, queues, To Do actions, and what case owners are told."""

from __future__ import annotations

from typing import Any

import click

from connectord.cli import candidates, case_rendering, notification_rendering, rendering
from connectord.cli.colours import alarming
from connectord.cli.commands.calling import call, paged, present, short
from connectord.cli.commands.group import command
from connectord.cli.commands.options import parse_data, parse_destination
from connectord.cli.queues import queues_text


@command("case", "case C-1001")
@click.argument("case_id", metavar="ID", shell_complete=candidates.cases)
@click.option("--merges", is_flag=True, help="All that responses have set, in order, instead of what stands now.")
@click.option("--limit", type=click.IntRange(1, 1000), metavar="N", help="How many actions, or merges.")
@click.option("--after", metavar="NEXT", help="The page after the one that ended with this.")
def case_(case_id: str, merges: bool, limit: int | None, after: str | None, as_json: bool) -> None:
    """Show a case: its owner, its data and what set it, its actions; "!" marks those closed unsuccessfully."""
    params = present(id=case_id, limit=limit)
    if merges:
        if after is not None and not after.isdecimal():
            raise click.BadParameter("must be a number, the last page's next", param_hint="--after")
        params |= present(after=None if after is None else int(after))
        call("case_merges", params, as_json, paged(lambda page: case_rendering.merge_table(page["merges"])))
        return
    params |= present(after=after)
    call("case", params, as_json, paged(lambda case: case_rendering.case_card(case, alarming)))


@command("queues", "queues")
def queues(as_json: bool) -> None:
    """Show the queues and the people: how much waits, and since when."""
    call("queues", {}, as_json, queues_text)


@command("take", "take 01JDE4ZQ --as alice")
@click.argument("action_id", metavar="ID", shell_complete=candidates.ids(state=("todo",)))
@click.option("--as", "user", required=True, metavar="USER", help="Who takes it.", shell_complete=candidates.users)
def take(action_id: str, user: str, as_json: bool) -> None:
    """Take a To Do action."""
    call("take", {"id": action_id, "user": user}, as_json, short)


@command("release", "release 01JDE4ZQ")
@click.argument("action_id", metavar="ID", shell_complete=candidates.ids(state=("in_progress",)))
def release(action_id: str, as_json: bool) -> None:
    """Give a To Do action back to its queue."""
    call("release", {"id": action_id}, as_json, short)


@command("assign", "assign 01JDE4ZQ --to queue:back-office")
@click.argument("action_id", metavar="ID", shell_complete=candidates.ids(state=("todo", "in_progress")))
@click.option(
    "--to",
    required=True,
    callback=parse_destination,
    metavar="queue:NAME|user:NAME",
    help="Where it goes.",
    shell_complete=candidates.destinations,
)
def assign(action_id: str, to: dict[str, str], as_json: bool) -> None:
    """Assign a To Do action to a queue or a user. The queues are those that `queues` lists."""
    call("assign", {"id": action_id, **to}, as_json, short)


@command("complete", "complete 01JDE4ZQ --note 'booked by phone'")
@click.argument("action_id", metavar="ID", shell_complete=candidates.ids(state=("todo", "in_progress")))
@click.option("--unsuccessful", is_flag=True, help="Close it as not done successfully.")
@click.option("--data", callback=parse_data, metavar="JSON|@FILE|-", help="The response data.")
@click.option("--note", metavar="TEXT", help="Why, for the history.")
def complete(action_id: str, unsuccessful: bool, data: Any, note: str | None, as_json: bool) -> None:
    """Close a To Do action by hand."""
    resolution = "not_done_successfully" if unsuccessful else "done_successfully"
    call("complete", present(id=action_id, resolution=resolution, data=data, note=note), as_json, short)


@command("cancel", "cancel 01JDE4ZQ --note 'submitted by mistake'")
@click.argument("action_id", metavar="ID", shell_complete=candidates.ids(state=("pending", "waiting")))
@click.option("--note", required=True, metavar="TEXT", help="Why, for the history.")
def cancel(action_id: str, note: str, as_json: bool) -> None:
    """Close a pending or waiting action as not done successfully, by hand."""
    call("cancel", {"id": action_id, "note": note}, as_json, short)


@command("notifications", "notifications --owner anna@example.org")
@click.option("--all", "everything", is_flag=True, help="Those that were delivered too.")
@click.option("--owner", metavar="WHO", help="Only those to this owner.")
@click.option("--limit", type=click.IntRange(1, 1000), metavar="N", help="How many; 50 if left out.")
@click.option(
    "--after", type=click.IntRange(min=0), metavar="NEXT", help="The page after the one that ended with this."
)
@click.option("--retry", is_flag=True, help="Try all that are not delivered again now.")
def notifications(
    everything: bool, owner: str | None, limit: int | None, after: int | None, retry: bool, as_json: bool
) -> None:
    """List what case owners were not told yet, newest first: why not, and when it is tried again."""
    if retry:
        if everything or owner or limit or after:
            raise click.UsageError("--retry is about all that are not delivered; give it alone")
        call("notifications_retry", {}, as_json, lambda done: f"{rendering.clean(done['count'])} tried again now")
        return
    params = present(all=everything or None, owner=owner, limit=limit, after=after)
    call("notifications", params, as_json, paged(notification_rendering.notification_page))
