"""The daemon and its systems: how they are, stop and go, the stream of changes."""

from __future__ import annotations

import json
import os
import shlex
import sys
from typing import Any

import click

from connectord import __version__
from connectord.cli import candidates, rendering
from connectord.cli.commands.calling import call, complain, connect, present
from connectord.cli.commands.group import EXIT_NO_DAEMON, EXIT_REFUSED, command
from connectord.cli.commands.options import STATES, parse_data
from connectord.cli.doctor_rendering import diagnosis_text
from connectord.cli.status_rendering import status_screen
from connectord.errors import DaemonUnreachable, RequestFailed

DOCTOR_MARGIN_SECONDS = 30
"""Beyond the time of one check: systems wait for each other where there are very many."""


@command("systems", "systems")
def systems(as_json: bool) -> None:
    """List the external systems: adapter, health, backlog, in flight."""
    call("systems", {}, as_json, lambda result: rendering.system_table(result["systems"]))


@command("pause", "pause billing")
@click.argument("system", shell_complete=candidates.systems)
def pause(system: str, as_json: bool) -> None:
    """Stop sending to a system."""
    call("pause", {"system": system}, as_json, lambda _: f"{rendering.clean(system)} is paused")


@command("resume", "resume billing")
@click.argument("system", shell_complete=candidates.systems)
def resume(system: str, as_json: bool) -> None:
    """Go on sending to a system; closes its circuit, if that is open."""
    call("resume", {"system": system}, as_json, lambda _: f"{rendering.clean(system)} goes on")


@command("status", "status --json")
def status(as_json: bool) -> None:
    """Say whether the daemon is well, and show how it is on one screen.

    The first line is the answer: well, degraded and why, or not well and why. The lines below have the other reasons,
    each with the command that looks into it.
    """
    call("status", {}, as_json, status_screen)


@command("doctor", "doctor --all")
@click.option("--all", "everything", is_flag=True, help="What is all right too.")
@click.option(
    "--timeout",
    "seconds",
    type=click.FloatRange(0.5, 300),
    default=10.0,
    metavar="SECONDS",
    show_default=True,
    help="How long each check may take; all of them run at the same time.",
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(),
    metavar="FILE",
    help="Where no daemon answers: the configuration to examine, found as connectord run finds it.",
)
def doctor(everything: bool, seconds: float, config_file: str | None, as_json: bool) -> None:
    """Examine the daemon and all that it needs, and say what to do about what is wrong.

    Configuration, permissions, disk, clock, database, plugins, limits, whether each system can be reached, certificates
    and what was left lying. It changes nothing. The daemon runs the checks; where none answers, those that the
    configuration file is enough for are run here.

    Exit codes: 0 no error, warnings perhaps; 1 an error was found, or the daemon refused.
    """
    try:
        with connect(seconds + DOCTOR_MARGIN_SECONDS) as client:
            answer = client.raw_call("doctor", {"timeout_seconds": seconds})
            other = rendering.clean(client.call("status").get("version"))
    except DaemonUnreachable as error:
        from pathlib import Path

        from connectord.cli.examining import examine_without_daemon  # the whole daemon's modules: only now

        file = None if config_file is None else Path(config_file)
        answer = examine_without_daemon(str(error), connect().path, file, seconds)
        other = __version__
    diagnosis = json.loads(answer)
    click.echo(answer if as_json else diagnosis_text(diagnosis, everything=everything))
    if other != __version__:
        complain(f"this is connectorctl {__version__}, but the daemon is {other}: restart it with the new version")
    if diagnosis["errors"]:
        sys.exit(EXIT_REFUSED)


@command("call", """call acme.report '{"since": "2026-11-01"}'""")
@click.argument("method")
@click.argument("params", callback=parse_data, default="{}", metavar="[JSON|@FILE|-]")
def call_method(method: str, params: Any, as_json: bool) -> None:
    """Call any method of the control socket by its name, also one that a plugin brought.

    PARAMS is a JSON object with the method's parameters. The answer is printed as JSON; with --json in one line, as it
    came.
    """
    if not isinstance(params, dict):
        raise click.BadParameter("must be a JSON object: parameters are named", param_hint="PARAMS")
    call(method, params, as_json, lambda result: rendering.plain(json.dumps(result, indent=2, ensure_ascii=False)))


@command("watch", "watch --system billing --after 1200")
@click.option("--id", metavar="ID", help="Only of this action.", shell_complete=candidates.ids())
@click.option("--system", metavar="S", help="Only of this system's actions.", shell_complete=candidates.systems)
@click.option("--case", metavar="ID", help="Only of this case's actions.", shell_complete=candidates.cases)
@click.option("--state", type=STATES, metavar="S", help="Only what comes to this state.")
@click.option("--after", type=click.IntRange(min=0), metavar="SEQ", help="First everything after this number.")
def watch(as_json: bool, after: int | None, **filters: Any) -> None:
    """Print every change as it happens, until Ctrl-C.

    Every change has a number, seq. When the stream ends for another reason (it was too slow, or the daemon stopped),
    it is said after which number to go on, so that nothing is missed.
    """
    wanted = present(**filters)
    seq = after
    try:
        with connect() as client:
            if seq is None:
                # from now on; known by its number, so that it can be said after which one to go on
                seq = client.call("status").get("last_seq")
            for notification in client.notifications("watch", present(filters=wanted or None, after=seq)):
                click.echo(notification.text if as_json else rendering.event_line(notification.params))
                seq = notification.params.get("seq", seq)
    except KeyboardInterrupt:
        return
    except (DaemonUnreachable, RequestFailed) as error:
        if isinstance(error, RequestFailed) and isinstance(error.data, dict):
            seq = error.data.get("resume_after", seq)
        complain(str(error))
        if seq is not None:
            complain(f"to go on: connectorctl watch --after {seq}{_as_options(wanted)}")
        sys.exit(EXIT_REFUSED if isinstance(error, RequestFailed) else EXIT_NO_DAEMON)


def _as_options(values: dict[str, str]) -> str:
    return "".join(f" --{name} {shlex.quote(value)}" for name, value in values.items())


@command("top", "top")
def top(as_json: bool) -> None:
    """Show systems and actions, live; ? shows the keys.

    With --json, print what it would show once: the daemon's answers to status, systems and list, a line each.
    """
    if as_json:
        with connect() as client:
            for method in ("status", "systems", "list"):
                click.echo(client.raw_call(method))
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM", "dumb") == "dumb":
        raise click.UsageError("top needs a terminal; connectorctl status, systems and list print to anything")
    from connectord.cli.top.loop import run  # rich and trio are for this command alone

    run(connect().path, keys=sys.stdin.fileno(), output=sys.stdout.fileno(), encoding=sys.stdout.encoding)


@command("shutdown", "shutdown --now")
@click.option("--now", is_flag=True, help="Do not wait for what is under way.")
def shutdown(now: bool, as_json: bool) -> None:
    """Drain and stop the daemon."""
    call("shutdown", {"now": True} if now else {}, as_json, lambda _: "stopping" if now else "draining, then stopping")
