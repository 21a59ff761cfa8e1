"""Every command of connectorctl against a real daemon, for people and with --json; none is left out."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import click
import trio
from connectord.cli.control import cli
from connectord.control.signatures import SIGNATURES
from connectord.testing.daemon_process import DaemonProcess
from helpers.ctl import Ctl

INTERACTIVE = {"top", "watch"}
"""What goes on until it is stopped: tests/e2e/test_top.py and test_watch.py, and the last test here."""

LAST = {"shutdown"}


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


async def test_every_command_for_people_and_for_programs(daemon: DaemonProcess, configure: Callable[..., None]) -> None:
    configure(depot='retry.delay = "1h"\nretry.limit = 5', erp='timeout = "1h"')
    await daemon.start()
    ctl = Ctl(daemon)
    ran: set[tuple[str, ...]] = set()

    async def both(*words: str, says: str, answers: str, path: int = 1) -> None:
        """Run it twice: people read ``says``, programs get an object with the member ``answers``."""
        ran.add(words[:path])
        assert says in await ctl(*words), words
        lines = (await ctl(*words, "--json")).splitlines()
        assert answers in json.loads(lines[0]), words

    async def each(*words: str, of: list[str], says: str) -> None:
        """As ``both``, for what can be done once to an action: one for people, another for programs."""
        ran.add(words[:1])
        assert says in await ctl(words[0], of[0], *words[1:]), words
        assert json.loads(await ctl(words[0], of[1], *words[1:], "--json"))["id"] == of[1], words

    async def submit(count: int, system: str, **data: object) -> list[str]:
        actions = [{"system": system, "case": "C-1", "owner": "anna", "data": data} for _ in range(count)]
        return [action["id"] for action in (await daemon.call("submit_many", actions=actions))["actions"]]

    ran.add(("submit",))
    retried = [(await ctl("submit", "depot", "--case", "C-1")).strip()]
    retried.append(json.loads(await ctl("submit", "depot", "--case", "C-1", "--json"))["id"])
    todo = await submit(4, "erp", play="fail")
    for action_id in todo:
        await daemon.until(action_id, "todo")
    with trio.fail_after(20):
        for action_id in retried:
            while (await daemon.call("show", id=action_id))["connection_error"] is None:
                await trio.sleep(0.02)

    lines = daemon.directory / "actions.jsonl"
    lines.write_text('{"system": "erp", "data": {"play": "answer"}}\n')
    await both("submit-many", str(lines), says="0", answers="actions")
    ran.add(("completion",))
    assert "_connectorctl_completion" in await ctl("completion", "zsh")
    await both("list", "--system", "depot", says="Retrying", answers="next")
    await both("show", retried[0], says="Tried 1 of 5 times", answers="connection_error")
    await both("why", retried[0], says="You can", answers="can_do")
    await both("case", "C-1", says="anna", answers="fields")
    await both("queues", says="default", answers="people")
    await both("systems", says="depot", answers="systems")
    ran.add(("doctor",))
    assert "depot" in await ctl("doctor", code=1, stdout=True)
    assert json.loads(await ctl("doctor", "--json", code=1, stdout=True))["errors"] == 1
    await both("retention", says="kept for ever", answers="history_from")
    await both("retention", "--plan", says="Would go now", answers="due")
    await both("status", says="version 1 of", answers="config_version")
    await each("take", "--as", "ben", of=todo, says="user ben")
    await each("release", of=todo, says="queue default")
    await each("assign", "--to", "user:eva", of=todo, says="user eva")
    await each("complete", "--note", "done by phone", of=todo, says="Done Successfully")
    await each("complete", "--unsuccessful", of=todo[2:], says="Not Done Successfully")
    await each("retry", of=retried, says=retried[0])
    with trio.fail_after(20):
        for action_id in retried:
            while (await daemon.call("show", id=action_id))["attempts"] < 2:
                await trio.sleep(0.02)
            await daemon.until(action_id, "pending")
    await each("cancel", "--note", "not needed", of=retried, says="Not Done Successfully")
    await both("rerun", todo[0], says="Pending", answers="actions")
    await both("notifications", "--all", says="C-1", answers="backlog")
    await both("pause", "depot", says="depot is paused", answers="paused")
    await both("resume", "depot", says="depot goes on", answers="paused")
    configure(depot="retry.limit = 6")
    await both("call", "show", json.dumps({"id": todo[0]}), says='"case": "C-1"', answers="case")
    await both("reload", "--plan", says="retry.limit: 5 -> 6", answers="plan")
    await both("reload", says="as version 2", answers="applied")
    await both("config", "history", says="*  2", answers="running", path=2)
    await both("config", "show", "1", says="retry.limit = 5", answers="text", path=2)
    await both("config", "diff", "1", "2", says="retry.limit: 5 -> 6", answers="changed", path=2)

    ran.add(("shutdown",))
    assert json.loads(await ctl("shutdown", "--json")) == {"stopping": True}
    assert await daemon.wait() == 0
    await daemon.start()
    assert "draining" in await ctl("shutdown")
    assert await daemon.wait() == 0
    assert {" ".join(path) for path in commands(cli)} - {" ".join(path) for path in ran} == INTERACTIVE


async def test_watch_for_people_and_for_programs(daemon: DaemonProcess, configure: Callable[..., None]) -> None:
    configure()
    await daemon.start()
    action = await daemon.call("submit", system="erp", data={"play": "answer"})
    await daemon.until(action["id"], "closed")
    command = [sys.executable, "-m", "connectord.cli.control", "--socket", str(daemon.socket), "watch", "--after", "0"]
    for arguments in ([], ["--json"]):
        process = await trio.lowlevel.open_process([*command, *arguments], stdout=subprocess.PIPE)
        assert process.stdout is not None
        told = b""
        with trio.fail_after(20):
            while told.count(b"\n") < 3:
                told += await process.stdout.receive_some()
        process.send_signal(signal.SIGINT)
        with trio.fail_after(20):
            await process.wait()
        await process.stdout.aclose()
        lines = told.decode().splitlines()
        if arguments:
            assert [json.loads(line)["to"] for line in lines] == ["pending", "attempting", "closed"]
        else:
            assert [line.split()[1] for line in lines] == ["seq=1", "seq=2", "seq=3"]


def test_every_method_of_the_socket_has_a_command() -> None:
    # what a command calls under another name, or along with others
    called = {
        "submit_many": "submit-many",
        "history": "show",
        "attempts": "show",
        "case_merges": "case",
        "notifications_retry": "notifications",
        "reload_effects": "reload",
    }
    names = {"_".join(path) for path in commands(cli)}
    assert {called.get(method, method) for method in SIGNATURES} == names - {"top", "call", "completion"}
