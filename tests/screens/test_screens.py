"""docs/screens.md shows what the commands print, made from one simulated day; this test makes it anew and compares.

``python tests/screens/test_screens.py`` rewrites the page.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click
import trio
import trio.testing
from connectord.adapters import Call, NotConnected, Outcome, Rejected, Succeeded, Taken
from connectord.cli import case_rendering, notification_rendering, rendering
from connectord.cli.effects import EffectListing
from connectord.cli.queues import queues_text
from connectord.cli.status_rendering import status_screen

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

from helpers.simulated_daemon import SimulatedDaemon, simulated_daemon

PAGE = Path(__file__).parent.parent.parent / "docs" / "screens.md"

CONFIGURATION = """
[retry]
limit = 5
delay = "30s"
factor = 2.0
jitter = 0.0
[systems.billing]
adapter = "simulated"
timeout = "4h"
allocation = { queue = "billing-exceptions" }
[systems.archive]
adapter = "simulated"
retry.limit = 3
[groups]
reviewers = ["ben", "eva"]
[[allocation]]
when = "data.amount > `1000`"
group = "reviewers"
"""


def play(call: Call) -> Outcome:
    match call.data.get("play"):
        case "unreachable":
            raise NotConnected("connect timeout after 10 s")
        case "reject":
            return Rejected("Vendor unknown", {"checked": True})
        case "answer":
            return Succeeded({"invoice_no": "R-17", "booked_on": "2026-11-24"})
    return Taken()


@asynccontextmanager
async def a_day(directory: Path) -> AsyncIterator[tuple[SimulatedDaemon, dict[str, str]]]:
    """A day with everything in it that people ask about; the ids of its actions by what they are."""
    async with simulated_daemon(directory, CONFIGURATION, play) as daemon:
        ids: dict[str, str] = {}

        async def submit(name: str, system: str, case: str, owner: str, **data: Any) -> None:
            action = await daemon.call("submit", system=system, case=case, owner=owner, data=data)
            ids[name] = action["id"]
            await trio.sleep(1)

        await submit("booked", "billing", "C-1001", "anna", play="answer", invoice=17, amount=250)
        await submit("lost", "archive", "C-1001", "anna", play="unreachable", document="R-17.pdf")
        await submit("rejected", "billing", "C-1002", "omar", play="reject", invoice=18, amount=4200)
        await submit("small", "billing", "C-1003", "omar", play="reject", invoice=19, amount=12)
        await trio.sleep(600)
        await submit("waiting", "billing", "C-1002", "omar", invoice=20, amount=99)
        await daemon.respond(ids["waiting"], {"status": "progress", "text": "in approval", "percent": 40})
        await submit("retrying", "billing", "C-1001", "anna", play="unreachable", invoice=21, amount=75)
        await trio.sleep(300)
        await daemon.call("take", who="user:ben", id=ids["rejected"], user="ben")
        yield daemon, ids


async def screens(directory: Path) -> dict[str, str]:
    """What each command prints on that day."""
    async with a_day(directory) as (daemon, ids):
        made: dict[str, str] = {}

        async def screen(command: str, method: str, render: Callable[[Any], str], **params: Any) -> None:
            made[f"connectorctl {command}"] = render(await daemon.call(method, **params))

        async def of_action(name: str, command: str, method: str, render: Callable[[Any], str]) -> None:
            await screen(f"{command} {ids[name]}", method, render, id=ids[name])

        await screen("list", "list", lambda page: rendering.action_table(page["actions"]))
        await of_action("retrying", "show", "show", rendering.card)
        await of_action("rejected", "show", "show", rendering.card)
        await screen("case C-1001", "case", case_rendering.case_card, id="C-1001")
        await screen(
            "case C-1001 --merges", "case_merges", lambda page: case_rendering.merge_table(page["merges"]), id="C-1001"
        )
        await screen("notifications --all", "notifications", notification_rendering.notification_page, all=True)
        await of_action("retrying", "why", "why", lambda answer: rendering.plain(answer["text"]))
        await of_action("waiting", "why", "why", lambda answer: rendering.plain(answer["text"]))
        await of_action("lost", "why", "why", lambda answer: rendering.plain(answer["text"]))
        await screen("queues", "queues", queues_text)
        await screen("status", "status", lambda answer: click.unstyle(status_screen(of_any_machine(answer))))
        await screen("systems", "systems", lambda answer: rendering.system_table(answer["systems"]))
        text = daemon.config_file.read_text(encoding="utf-8")
        daemon.config_file.write_text(
            text.replace('timeout = "4h"', 'timeout = "8h"\nretry.limit = 4'), encoding="utf-8"
        )
        plan = await daemon.call("reload", plan=True)
        listing = EffectListing(plan["plan"]["actions"], list_all=False)
        page = await daemon.call("reload_effects", plan=True)
        while not listing.add(page["effects"]) and page["next"] is not None:
            page = await daemon.call("reload_effects", plan=True, after=page["next"])
        made["connectorctl reload --plan"] = f"{rendering.plan_text(plan)}\n\n{listing.text()}"
        # the archive goes away with fifty actions before it
        actions = [{"system": "archive", "data": {"play": "unreachable"}} for _ in range(50)]
        away = (await daemon.call("submit_many", actions=actions))["actions"]
        await trio.sleep(3)
        untried = [action["id"] for action in away if (await daemon.call("show", id=action["id"]))["attempts"] == 0]
        made["connectorctl systems   # archive is away"] = rendering.system_table(
            (await daemon.call("systems"))["systems"]
        )
        told = await daemon.call("why", id=untried[-1])
        made[f"connectorctl why {untried[-1]}"] = rendering.plain(told["text"])
        return made


def of_any_machine(status: dict[str, Any]) -> dict[str, Any]:
    """The status without what differs from run to run."""
    sizes = {"database_bytes": 3_145_728, "wal_bytes": 524_288, "free_bytes": 42_949_672_960}
    return {
        **status, "pid": 4711, "state_directory": "/var/lib/connectord", "store": sizes,
        "config_file": "/etc/connectord/connectord.toml", "callbacks": "https://connectord.example.org",
        "plugins": ["connectord-http 0.1.0"], "longest_block": None,
        "troubles": [each for each in status["troubles"] if each["about"] != "store"],
    }  # fmt: skip


def blocks(page: str) -> dict[str, str]:
    """The screens that the page shows, by their commands."""
    return dict(re.findall(r"^    \$ (connectorctl [^\n]*)\n\n```text\n(.*?)\n```$", page, re.M | re.S))


def with_blocks(page: str, made: dict[str, str]) -> str:
    """The page with every screen made anew, in its place; each command is there once."""
    fresh = list(made.items())
    found = list(re.finditer(r"^    \$ connectorctl [^\n]*\n\n```text\n.*?\n```$", page, re.M | re.S))
    if len(found) != len(fresh):
        raise ValueError(f"the page has {len(found)} screens, but there are {len(fresh)}")
    for match, (command, text) in reversed(list(zip(found, fresh, strict=True))):
        page = f"{page[: match.start()]}    $ {command}\n\n```text\n{text}\n```{page[match.end() :]}"
    return page


async def test_the_page_shows_what_the_commands_print(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    made = await screens(tmp_path)
    assert blocks(PAGE.read_text(encoding="utf-8")) == made, "run: python tests/screens/test_screens.py"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        clock = trio.testing.MockClock(autojump_threshold=0)
        printed = trio.run(screens, Path(scratch), clock=clock)
    PAGE.write_text(with_blocks(PAGE.read_text(encoding="utf-8"), printed), encoding="utf-8")
