"""connectorctl: the admins' client of the daemon. Imports little, so that it answers at once."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar

import click

from connectord.cli import case_rendering, notification_rendering, rendering
from connectord.cli.effects import EffectListing
from connectord.cli.queues import queues_text, work_table
from connectord.cli.times import parse_when
from connectord.control.client import ControlClient
from connectord.errors import DaemonUnreachable, RequestFailed
from connectord.paths import default_control_socket

Function = TypeVar("Function", bound=Callable[..., Any])

REASONS = click.Choice(["updated_by_integration", "timeout"])
RESOLUTIONS = click.Choice(["done_successfully", "not_done_successfully"])
EXIT_REFUSED = 1
EXIT_NO_DAEMON = 3
RERUN_SECONDS = 300


def _when(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    try:
        return None if value is None else parse_when(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx=ctx, param=param) from None


def _data(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    if value is None:
        return None
    text: str | bytes = value
    try:
        if value == "-":
            text = sys.stdin.buffer.read()
        elif value.startswith("@"):
            with open(value[1:], "rb") as file:  # noqa: PTH123 - pathlib is one more import
                text = file.read()
        return json.loads(text, parse_constant=_no_constant)
    except OSError as error:
        raise click.BadParameter(f"{value[1:]}: {error.strerror}", ctx=ctx, param=param) from None
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"not JSON: {error}", ctx=ctx, param=param) from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _destination(ctx: click.Context, param: click.Parameter, value: str) -> dict[str, str]:
    kind, _, name = value.partition(":")
    if kind not in ("queue", "user") or not name:
        raise click.BadParameter("must be queue:NAME or user:NAME", ctx=ctx, param=param)
    return {kind: name}


class _Commands(click.Group):
    """A group that turns the daemon's refusals into exit codes."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RequestFailed as error:
            _say_refused(error)
            ctx.exit(EXIT_REFUSED)
        except DaemonUnreachable as error:
            _complain(str(error))
            ctx.exit(EXIT_NO_DAEMON)


def _complain(text: str) -> None:
    click.echo(f"connectorctl: {rendering.clean(text)}", err=True)


def _say_refused(error: RequestFailed, about: str = "") -> None:
    _complain(f"{about}{error}")
    problems = error.data.get("errors") if isinstance(error.data, dict) else None
    for problem in problems if isinstance(problems, list) else []:
        if isinstance(problem, dict):
            place = f"{problem.get('file')}:{problem.get('line')}: {problem.get('key')}: {problem.get('message')}"
            click.echo(rendering.clean(place), err=True)


def _present(**params: Any) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}


def _connect(timeout_seconds: float = 30) -> ControlClient:
    return ControlClient(click.get_current_context().find_root().obj, timeout_seconds)


def _paged(render: Callable[[Any], str]) -> Callable[[Any], str]:
    """``render``, and a word on stderr where there is another page."""

    def render_page(page: Any) -> str:
        text = render(page)
        if page.get("next") is not None:
            click.echo(f"there are more: --after {rendering.clean(page['next'])}", err=True)
        return text

    return render_page


def _alarming(line: str) -> str:
    # where it is no terminal, click leaves the colours out by itself
    return line if os.environ.get("NO_COLOR") else click.style(line, fg="red", bold=True)


def _call(method: str, params: dict[str, Any], as_json: bool, render: Callable[[Any], str]) -> None:
    with _connect() as client:
        _call_on(client, method, params, as_json, render)


def _call_on(
    client: ControlClient, method: str, params: dict[str, Any], as_json: bool, render: Callable[[Any], str]
) -> None:
    click.echo(client.raw_call(method, params) if as_json else render(client.call(method, params)))


def _headed(heading: str, result: Any) -> str:
    return heading + rendering.records(_items(result))


def _short(action: Any) -> str:
    if not isinstance(action, dict):
        return rendering.clean(action)
    assigned = rendering.assigned_text(action.get("assigned_to"))
    text = f"{rendering.clean(action.get('id'))}  {rendering.state_label(action)}"
    return f"{text}  ({rendering.clean(assigned)})" if assigned else text


def _items(result: Any) -> list[Any]:
    """The list in a result that is one, or has one as a member."""
    if isinstance(result, dict):
        result = next((value for value in result.values() if isinstance(value, list)), [])
    return result if isinstance(result, list) else []


def _entries(result: Any) -> str:
    return rendering.records(_items(result))


json_option = click.option("--json", "as_json", is_flag=True, help="Print the daemon's answer unchanged, as JSON.")


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
@click.pass_context
def cli(ctx: click.Context, socket_path: str | None) -> None:
    """Look at and steer a running connectord.

    Exit codes: 0 done; 1 the daemon refused; 2 usage; 3 no daemon there.
    """
    ctx.obj = socket_path or str(default_control_socket(os.environ))


def _command(name: str, example: str) -> Callable[[Function], click.Command]:
    def decorate(function: Function) -> click.Command:
        return cli.command(name, epilog=f"Example: connectorctl {example}")(json_option(function))

    return decorate


@_command("submit", "submit billing --case C-1001 --data '{\"amount\": 12}' --due +5m")
@click.argument("system")
@click.option("--case", metavar="ID", help="The case it belongs to.")
@click.option("--owner", metavar="WHO", help="Who owns the case.")
@click.option("--key", metavar="KEY", help="The same key again gives the same action.")
@click.option("--data", callback=_data, metavar="JSON|@FILE|-", help="What the system is sent.")
@click.option("--due", callback=_when, metavar="WHEN", help="RFC 3339, or +30s, +5m, +2h, +1d.")
def submit(
    system: str, case: str | None, owner: str | None, key: str | None, data: Any, due: str | None, as_json: bool
) -> None:
    """Submit a new action; prints its id."""
    params = _present(system=system, case=case, owner=owner, key=key, data=data, due_at=due)
    _call("submit", params, as_json, lambda action: rendering.clean(action.get("id")))


@_command("list", "list --system billing --state pending --limit 20")
@click.option("--state", metavar="S")
@click.option("--system", metavar="S")
@click.option("--case", metavar="ID")
@click.option("--reason", metavar="R")
@click.option("--resolution", type=RESOLUTIONS)
@click.option("--queue", metavar="NAME", help="What waits or is in progress in this queue.")
@click.option("--user", metavar="NAME", help="What this user has, or is meant to take.")
@click.option("--retrying", is_flag=True, default=None, help="Only pending ones whose last attempt failed.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N")
def list_actions(as_json: bool, **filters: Any) -> None:
    """List actions, newest first."""

    def render(result: Any) -> str:
        if result.get("next"):
            click.echo("there are more: a larger --limit or a filter shows them", err=True)
        people = filters.get("queue") or filters.get("user")
        return work_table(result["actions"]) if people else rendering.action_table(result["actions"])

    _call("list", _present(**filters), as_json, render)


@_command("show", "show 01JDE4ZQ --history")
@click.argument("action_id", metavar="ID")
@click.option("--history", is_flag=True, help="Every change of state too.")
@click.option("--attempts", is_flag=True, help="Every attempt too.")
def show(action_id: str, history: bool, attempts: bool, as_json: bool) -> None:
    """Show an action's info card.

    With --json, --history and --attempts print their own answers after the card's, a line each.
    """
    params = {"id": action_id}
    with _connect() as client:
        _call_on(client, "show", params, as_json, rendering.card)
        for wanted, method in ((history, "history"), (attempts, "attempts")):
            if wanted:
                if not as_json:
                    click.echo(f"\n{method.capitalize()}")
                _call_on(client, method, params, as_json, _entries)


@_command("why", "why 01JDE4ZQ")
@click.argument("action_id", metavar="ID")
def why(action_id: str, as_json: bool) -> None:
    """Say why an action is where it is.

    What it waits for, until when, which rule and which configuration decided, what happens next by itself, and what
    can be done now with which command.
    """
    _call("why", {"id": action_id}, as_json, rendering.explanation)


@_command("case", "case C-1001")
@click.argument("case_id", metavar="ID")
@click.option("--merges", is_flag=True, help="All that responses have set, in order, instead of what stands now.")
@click.option("--limit", type=click.IntRange(1, 1000), metavar="N", help="How many actions, or merges.")
@click.option("--after", metavar="NEXT", help="The page after the one that ended with this.")
def case_(case_id: str, merges: bool, limit: int | None, after: str | None, as_json: bool) -> None:
    """Show a case: its owner, its data and what set it, its actions; "!" marks those closed unsuccessfully."""
    params = _present(id=case_id, limit=limit)
    if merges:
        if after is not None and not after.isdecimal():
            raise click.BadParameter("must be a number, the last page's next", param_hint="--after")
        params |= _present(after=None if after is None else int(after))
        _call("case_merges", params, as_json, _paged(lambda page: case_rendering.merge_table(page["merges"])))
        return
    params |= _present(after=after)
    _call("case", params, as_json, _paged(lambda case: case_rendering.case_card(case, _alarming)))


@_command("notifications", "notifications --owner anna@example.org")
@click.option("--all", "everything", is_flag=True, help="Those that were delivered too.")
@click.option("--owner", metavar="WHO", help="Only those to this owner.")
@click.option("--limit", type=click.IntRange(1, 1000), metavar="N")
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
        _call("notifications_retry", {}, as_json, lambda done: f"{rendering.clean(done['count'])} tried again now")
        return
    params = _present(all=everything or None, owner=owner, limit=limit, after=after)
    _call("notifications", params, as_json, _paged(notification_rendering.notification_page))


@_command("retry", "retry 01JDE4ZQ 01JDE500")
@click.argument("action_ids", metavar="ID...", nargs=-1, required=True)
def retry(action_ids: tuple[str, ...], as_json: bool) -> None:
    """Try actions again now, by hand."""
    refused = False
    with _connect() as client:
        for action_id in action_ids:
            try:
                _call_on(client, "retry", {"id": action_id}, as_json, _short)
            except RequestFailed as error:
                refused = True
                _say_refused(error, f"{action_id}: " if len(action_ids) > 1 else "")
    if refused:
        sys.exit(EXIT_REFUSED)


@_command("take", "take 01JDE4ZQ --as alice")
@click.argument("action_id", metavar="ID")
@click.option("--as", "user", required=True, metavar="USER")
def take(action_id: str, user: str, as_json: bool) -> None:
    """Take a To Do action."""
    _call("take", {"id": action_id, "user": user}, as_json, _short)


@_command("release", "release 01JDE4ZQ")
@click.argument("action_id", metavar="ID")
def release(action_id: str, as_json: bool) -> None:
    """Give a To Do action back to its queue."""
    _call("release", {"id": action_id}, as_json, _short)


@_command("assign", "assign 01JDE4ZQ --to queue:back-office")
@click.argument("action_id", metavar="ID")
@click.option("--to", required=True, callback=_destination, metavar="queue:NAME|user:NAME")
def assign(action_id: str, to: dict[str, str], as_json: bool) -> None:
    """Assign a To Do action to a queue or a user. The queues are those that `queues` lists."""
    _call("assign", {"id": action_id, **to}, as_json, _short)


@_command("complete", "complete 01JDE4ZQ --note 'booked by phone'")
@click.argument("action_id", metavar="ID")
@click.option("--unsuccessful", is_flag=True, help="Close it as not done successfully.")
@click.option("--data", callback=_data, metavar="JSON|@FILE|-", help="The response data.")
@click.option("--note", metavar="TEXT")
def complete(action_id: str, unsuccessful: bool, data: Any, note: str | None, as_json: bool) -> None:
    """Close a To Do action by hand."""
    resolution = "not_done_successfully" if unsuccessful else "done_successfully"
    _call("complete", _present(id=action_id, resolution=resolution, data=data, note=note), as_json, _short)


@_command("cancel", "cancel 01JDE4ZQ --note 'submitted by mistake'")
@click.argument("action_id", metavar="ID")
@click.option("--note", required=True, metavar="TEXT")
def cancel(action_id: str, note: str, as_json: bool) -> None:
    """Close a pending or waiting action as not done successfully, by hand."""
    _call("cancel", {"id": action_id, "note": note}, as_json, _short)


@_command("queues", "queues")
def queues(as_json: bool) -> None:
    """Show the queues and the people: how much waits, and since when."""
    _call("queues", {}, as_json, queues_text)


@_command("rerun", "rerun --system billing --since -1d --resolution not_done_successfully")
@click.argument("action_ids", metavar="[ID]...", nargs=-1)
@click.option("--system", metavar="S")
@click.option("--case", metavar="ID")
@click.option("--reason", type=REASONS)
@click.option("--resolution", type=RESOLUTIONS)
@click.option("--since", callback=_when, metavar="WHEN", help="Submitted since: RFC 3339, or -30m, -2h, -1d ago.")
@click.option("--until", callback=_when, metavar="WHEN", help="Submitted before.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def rerun(action_ids: tuple[str, ...], yes: bool, as_json: bool, **options: Any) -> None:
    """Make new actions from closed ones: the IDs, or all that the filters find.

    The filters leave out what was run again already, and say how many they find before anything is done.
    """
    filters = _present(**options)
    if bool(action_ids) == bool(filters):
        raise click.UsageError("give either IDs or filters (--system, --case, --since and the like)")

    def render(result: Any) -> str:
        return "\n".join(_short(action) for action in _items(result)) or "nothing to run again"

    if action_ids:
        _call("rerun", {"ids": list(action_ids)}, as_json, render)
        return
    with _connect() as client:
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
    with _connect(RERUN_SECONDS) as client:
        _call_on(client, "rerun", {"filters": filters, "expect": count}, as_json, render)


@_command("systems", "systems")
def systems(as_json: bool) -> None:
    """List the external systems: adapter, health, backlog, in flight."""
    _call("systems", {}, as_json, lambda result: rendering.system_table(result["systems"]))


@_command("pause", "pause billing")
@click.argument("system")
def pause(system: str, as_json: bool) -> None:
    """Stop sending to a system."""
    _call("pause", {"system": system}, as_json, lambda _: f"{rendering.clean(system)} is paused")


@_command("resume", "resume billing")
@click.argument("system")
def resume(system: str, as_json: bool) -> None:
    """Go on sending to a system."""
    _call("resume", {"system": system}, as_json, lambda _: f"{rendering.clean(system)} goes on")


@_command("reload", "reload --plan")
@click.option("--plan", is_flag=True, help="Only say what it would do, and to which actions.")
@click.option("--to", type=click.IntRange(min=1), metavar="VERSION", help="Go back to an older version's text.")
@click.option("--all", "list_all", is_flag=True, help="List every action concerned, not only some of each kind.")
def reload(plan: bool, to: int | None, list_all: bool, as_json: bool) -> None:
    """Apply connectord.toml, or the text of an older version.

    It says what it changed, and what that meant for which actions. With --json, --all prints the actions after the
    answer, a page a line.
    """
    params = _present(plan=plan or None, to=to)
    with _connect() as client:
        if as_json:
            answer = client.raw_call("reload", params)
            click.echo(answer)
            pages = _effect_pages(client, params)
            for line in pages if list_all else ():
                click.echo(line)
            return
        result = client.call("reload", params)
        click.echo(rendering.plan_text(result))
        listing = EffectListing(result["plan"]["actions"], list_all=list_all)
        for line in _effect_pages(client, params):
            if listing.add(json.loads(line)["effects"]):
                break
        if text := listing.text():
            click.echo(f"\n{text}")
    if to is not None and not plan:
        _complain(
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


@cli.group("config", epilog="Example: connectorctl config history")
def config() -> None:
    """Look at the configurations that are and were in force."""


def _config_command(name: str, example: str) -> Callable[[Function], click.Command]:
    def decorate(function: Function) -> click.Command:
        return config.command(name, epilog=f"Example: connectorctl config {example}")(json_option(function))

    return decorate


@_config_command("history", "history --limit 10")
@click.option("--limit", type=click.IntRange(1, 1000), metavar="N", help="How many; 50 if left out.")
def config_history(limit: int | None, as_json: bool) -> None:
    """List the versions, the newest first: since when, and who put them in force."""
    _call("config_history", _present(limit=limit), as_json, rendering.config_table)


@_config_command("show", "show 3")
@click.argument("version", type=click.IntRange(min=1), required=False)
def config_show(version: int | None, as_json: bool) -> None:
    """Print a version's text; of the one in force without VERSION.

    Into a file it goes unchanged: connectorctl config show 3 > connectord.toml
    """
    if as_json or sys.stdout.isatty():
        _call("config_show", _present(version=version), as_json, lambda result: rendering.plain(result["text"]))
        return
    with _connect() as client:
        click.echo(client.call("config_show", _present(version=version))["text"], nl=False)


@_config_command("diff", "diff 3 4")
@click.argument("a", type=click.IntRange(min=1))
@click.argument("b", type=click.IntRange(min=1))
def config_diff(a: int, b: int, as_json: bool) -> None:
    """Show what has changed from version A to version B."""
    _call("config_diff", {"a": a, "b": b}, as_json, rendering.config_diff_text)


@_command("status", "status --json")
def status(as_json: bool) -> None:
    """Show how the daemon is."""
    _call("status", {}, as_json, rendering.status_card)


@_command("call", """call acme.report '{"since": "2026-11-01"}'""")
@click.argument("method")
@click.argument("params", callback=_data, default="{}", metavar="[JSON|@FILE|-]")
def call(method: str, params: Any, as_json: bool) -> None:
    """Call any method of the control socket by its name, also one that a plugin brought.

    PARAMS is a JSON object with the method's parameters. The answer is printed as JSON; with --json in one line, as it
    came.
    """
    if not isinstance(params, dict):
        raise click.BadParameter("must be a JSON object: parameters are named", param_hint="PARAMS")
    _call(method, params, as_json, lambda result: rendering.plain(json.dumps(result, indent=2, ensure_ascii=False)))


@_command("watch", "watch --system billing --after 1200")
@click.option("--id", metavar="ID", help="Only of this action.")
@click.option("--system", metavar="S", help="Only of this system's actions.")
@click.option("--case", metavar="ID", help="Only of this case's actions.")
@click.option("--state", metavar="S", help="Only what comes to this state.")
@click.option("--after", type=click.IntRange(min=0), metavar="SEQ", help="First everything after this number.")
def watch(as_json: bool, after: int | None, **filters: Any) -> None:
    """Print every change as it happens, until Ctrl-C.

    Every change has a number, seq. When the stream ends for another reason (it was too slow, or the daemon stopped),
    it is said after which number to go on, so that nothing is missed.
    """
    wanted = _present(**filters)
    seq = after
    try:
        with _connect() as client:
            if seq is None:
                # from now on; known by its number, so that it can be said after which one to go on
                seq = client.call("status").get("last_seq")
            for notification in client.notifications("watch", _present(filters=wanted or None, after=seq)):
                click.echo(notification.text if as_json else rendering.event_line(notification.params))
                seq = notification.params.get("seq", seq)
    except KeyboardInterrupt:
        return
    except (DaemonUnreachable, RequestFailed) as error:
        if isinstance(error, RequestFailed) and isinstance(error.data, dict):
            seq = error.data.get("resume_after", seq)
        _complain(str(error))
        if seq is not None:
            _complain(f"to go on: connectorctl watch --after {seq}{_as_options(wanted)}")
        sys.exit(EXIT_REFUSED if isinstance(error, RequestFailed) else EXIT_NO_DAEMON)


def _as_options(values: dict[str, str]) -> str:
    return "".join(f" --{name} {shlex.quote(value)}" for name, value in values.items())


@_command("top", "top")
def top(as_json: bool) -> None:
    """Show systems and actions, live; ? shows the keys.

    With --json, print what it would show once: the daemon's answers to status, systems and list, a line each.
    """
    if as_json:
        with _connect() as client:
            for method in ("status", "systems", "list"):
                click.echo(client.raw_call(method))
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM", "dumb") == "dumb":
        raise click.UsageError("top needs a terminal; connectorctl status, systems and list print to anything")
    from connectord.cli.top.loop import run  # rich and trio are for this command alone

    run(_connect().path, keys=sys.stdin.fileno(), output=sys.stdout.fileno(), encoding=sys.stdout.encoding)


@_command("shutdown", "shutdown --now")
@click.option("--now", is_flag=True, help="Do not wait for what is under way.")
def shutdown(now: bool, as_json: bool) -> None:
    """Drain and stop the daemon."""
    _call("shutdown", {"now": True} if now else {}, as_json, lambda _: "stopping" if now else "draining, then stopping")


def main() -> None:
    """The command connectorctl."""
    cli(prog_name="connectorctl")


if __name__ == "__main__":
    main()
