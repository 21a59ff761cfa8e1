"""connectord.toml: applying it, and the configurations that were in force before."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import click

from connectord.cli import candidates, rendering
from connectord.cli.commands.calling import call, complain, connect, present
from connectord.cli.commands.group import cli, command, subcommand
from connectord.cli.effects import EffectListing
from connectord.cli.groups import Commands
from connectord.cli.progress import Progress
from connectord.cli.retention_rendering import retention_card
from connectord.control.client import ControlClient

RELOAD_SECONDS = 900
"""How long to wait for a reload: one that closes a million actions takes a minute, on a busy machine several."""


@command("reload", "reload --plan")
@click.option("--plan", is_flag=True, help="Only say what it would do, and to which actions.")
@click.option(
    "--to",
    type=click.IntRange(min=1),
    metavar="VERSION",
    help="Go back to an older version's text.",
    shell_complete=candidates.versions,
)
@click.option("--all", "list_all", is_flag=True, help="List every action concerned, not only some of each kind.")
def reload(plan: bool, to: int | None, list_all: bool, as_json: bool) -> None:
    """Apply connectord.toml, or the text of an older version.

    It says what it changed, and what that meant for which actions. With --json, --all prints the actions after the
    answer, a page a line.
    """
    params = present(plan=plan or None, to=to)
    with connect(RELOAD_SECONDS) as client:
        if as_json:
            answer = client.raw_call("reload", params)
            click.echo(answer)
            pages = _effect_pages(client, params)
            for line in pages if list_all else ():
                click.echo(line)
            return
        result = client.call("reload", params)
        click.echo(rendering.plan_text(result))
        counts = result["plan"]["actions"]
        listing = EffectListing(counts, list_all=list_all)
        with Progress("looking for the actions", sum(counts.values())) as progress:
            for line in _effect_pages(client, params):
                effects = json.loads(line)["effects"]
                progress.advance(len(effects))
                if listing.add(effects):
                    break
        if text := listing.text():
            click.echo(f"\n{text}")
    if to is not None and not plan:
        complain(
            "the file was not touched: the next reload or start takes what stands there; "
            f"connectorctl config show {result['version']} prints what is in force"
        )


def _effect_pages(client: ControlClient, params: dict[str, Any]) -> Iterator[str]:
    after: dict[str, Any] = {}
    wanted = params if params.get("plan") else {}
    while True:
        line = client.raw_call("reload_effects", {**wanted, **after})
        yield line
        after = {"after": json.loads(line)["next"]}
        if after["after"] is None:
            return


@command("retention", "retention --plan")
@click.option("--plan", is_flag=True, help="Go by what connectord.toml says now, as a reload would apply it.")
def retention(plan: bool, as_json: bool) -> None:
    """Show how long closed actions are kept, what was removed, and what is due to go."""
    call("retention", present(plan=plan or None), as_json, lambda result: retention_card(result, plan=plan))


@cli.group("config", cls=Commands, epilog="Example: connectorctl config history")
def config() -> None:
    """Look at the configurations that are and were in force."""


@subcommand(config, "history", "config history --limit 10")
@click.option("--limit", type=click.IntRange(1, 1000), metavar="N", help="How many; 50 if left out.")
def config_history(limit: int | None, as_json: bool) -> None:
    """List the versions, the newest first: since when, and who put them in force."""
    call("config_history", present(limit=limit), as_json, rendering.config_table)


@subcommand(config, "show", "config show 3")
@click.argument("version", type=click.IntRange(min=1), required=False, shell_complete=candidates.versions)
def config_show(version: int | None, as_json: bool) -> None:
    """Print a version's text; of the one in force without VERSION.

    Into a file it goes unchanged: connectorctl config show 3 > connectord.toml
    """
    if as_json or sys.stdout.isatty():
        call("config_show", present(version=version), as_json, lambda result: rendering.plain(result["text"]))
        return
    with connect() as client:
        click.echo(client.call("config_show", present(version=version))["text"], nl=False)


@subcommand(config, "diff", "config diff 3 4")
@click.argument("a", type=click.IntRange(min=1), shell_complete=candidates.versions)
@click.argument("b", type=click.IntRange(min=1), shell_complete=candidates.versions)
def config_diff(a: int, b: int, as_json: bool) -> None:
    """Show what has changed from version A to version B."""
    call("config_diff", {"a": a, "b": b}, as_json, rendering.config_diff_text)
