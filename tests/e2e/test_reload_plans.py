"""What a reload would do and does, action by action; older configurations; systems that go and come back."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from connectord.errors import RequestFailed
from connectord.lifecycle.action import Action, Reason, State
from connectord.store.base import NewAction, WriteSet
from connectord.store.sqlite_writer import SqliteWriter
from connectord.testing.daemon_process import DaemonProcess
from connectord.testing.fake_system import FakeSystem
from helpers.ctl import Ctl

LIVE = 10_000


def seed(state_directory: Path) -> None:
    """Ten thousand live actions of ``depot``, tried nought to nine times under a limit of 10."""
    state_directory.mkdir(mode=0o700, exist_ok=True)
    writer = SqliteWriter(state_directory / "connectord.db")
    far = 4_000_000_000_000
    inserted = []
    for number in range(LIVE):
        attempts = number % 10
        state = (State.PENDING, State.PENDING, State.PENDING, State.WAITING, State.TODO)[number // 10 % 5]
        failed = attempts > 0
        action = Action(
            id=f"01J{number:023}",
            system="depot",
            submitted_at=1,
            state=state,
            reason=Reason.TIMEOUT if state is State.TODO else None,
            attempts=attempts,
            due_at=far if state is State.PENDING else None,
            scheduled_at=far if state is State.PENDING else None,
            deadline=far if state is State.WAITING else None,
            limit_at_failure=10 if failed else None,
            error_at=1 if failed and state is State.PENDING else None,
            error_message="connection refused" if failed and state is State.PENDING else None,
        )
        inserted.append(NewAction(action, "{}"))
    writer.begin()
    writer.write(WriteSet(inserted=inserted))
    writer.commit()
    writer.close()


async def all_effects(daemon: DaemonProcess, **params: Any) -> dict[str, dict[str, tuple[str, str]]]:
    found: dict[str, dict[str, tuple[str, str]]] = defaultdict(dict)
    after: dict[str, Any] = {}
    while True:
        page = await daemon.call("reload_effects", **params, **after)
        for effect in page["effects"]:
            assert effect["id"] not in found[effect["effect"]]
            found[effect["effect"]][effect["id"]] = (effect["before"], effect["after"])
        if page["next"] is None:
            return dict(found)
        after = {"after": page["next"]}


async def test_a_plan_on_ten_thousand_actions_names_exactly_what_the_reload_changes(
    daemon: DaemonProcess, configure: Callable[..., None], tmp_path: Path, fake: FakeSystem
) -> None:
    fake.callback_delay_seconds = 0.0
    seed(tmp_path / "state")
    configure(depot="retry.limit = 10")
    await daemon.start()
    before = await shown(daemon)
    configure(depot="retry.limit = 4")
    plan = await daemon.call("reload", plan=True)
    foretold = await all_effects(daemon, plan=True)
    assert plan["applied"] is False
    assert {kind: len(ids) for kind, ids in foretold.items()} == {
        kind: count for kind, count in plan["plan"]["actions"].items() if count
    }
    assert await shown(daemon) == before  # a plan changes nothing

    answers: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_busy, daemon, answers)
        while len(answers) < 20:
            await trio.sleep(0.01)
        result = await daemon.call("reload")
        nursery.cancel_scope.cancel()
    assert result["applied"] is True
    assert result["plan"] == plan["plan"]
    assert await all_effects(daemon) == foretold

    after = await shown(daemon)
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {action_id for ids in foretold.values() for action_id in ids} - unseen(foretold, before)
    closed = {key for key in before if after[key][0] == "closed"}
    assert closed == set(foretold["close"])
    assert len(closed) == 3600
    for kind in ("go_on", "show"):
        for action_id, (_, text) in foretold[kind].items():
            assert after[action_id] == (before[action_id][0], text)
    for action_id, (_, text) in foretold["close"].items():
        assert after[action_id][1] == text  # rule 10c: still shows 4 of 10
        assert text.endswith("of 10")
    assert attempts_and_callbacks_during_the_reload(tmp_path / "state" / "connectord.db") > 0


def unseen(foretold: dict[str, dict[str, tuple[str, str]]], before: dict[str, tuple[str, str]]) -> set[str]:
    """Those that go on until another limit, but still show the one that was in force when they failed last."""
    return {action_id for action_id, (old, new) in foretold["go_on"].items() if old == new}


async def shown(daemon: DaemonProcess) -> dict[str, tuple[str, str]]:
    """State and tries of every action of ``depot``, as people see them."""
    found: dict[str, tuple[str, str]] = {}
    after: dict[str, Any] = {}
    while True:
        page = await daemon.call("list", system="depot", limit=1000, **after)
        for action in page["actions"]:
            found[action["id"]] = (action["state"], f"{action['attempts']} of {action['retry_limit']}")
        if page["next"] is None:
            return found
        after = {"after": page["next"]}


async def keep_busy(daemon: DaemonProcess, answers: list[str]) -> None:
    async def one_after_the_other() -> None:
        while True:
            action = await daemon.call("submit", system="erp", data={"play": "succeed"})
            await daemon.until(action["id"], "closed")
            answers.append(action["id"])

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(one_after_the_other)


def attempts_and_callbacks_during_the_reload(database: Path) -> int:
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        first, last = connection.execute(
            "SELECT min(seq), max(seq) FROM history WHERE event = 'LimitChanged'"
        ).fetchone()
        counts = connection.execute(
            "SELECT event, count(*) FROM history WHERE seq BETWEEN ? AND ? GROUP BY event", (first, last)
        )
        events: dict[str, int] = dict(counts)
    connection.close()
    return min(events.get("AttemptStarted", 0), events.get("SuccessReceived", 0))


async def test_plan_and_reload_in_words(daemon: DaemonProcess, configure: Callable[..., None], tmp_path: Path) -> None:
    seed(tmp_path / "state")
    configure(depot="retry.limit = 10")
    await daemon.start()
    ctl = Ctl(daemon)
    configure(depot="retry.limit = 4\nconcurrency = 3")
    text = await ctl("reload", "--plan")
    assert "~ depot" in text
    assert "    retry.limit: 10 -> 4" in text
    assert "    concurrency: 16 -> 3" in text
    assert "not applied: would be version 2" in text
    assert "3600 actions: closed: tried as often as the limit allows" in text
    assert "... and 3590 more (--all lists them)" in text
    assert "4 of 10  Closed - Not Done Successfully" in text
    whole = await ctl("reload", "--plan", "--all")
    assert whole.count("Closed - Not Done Successfully") == 3600
    answer, *pages = (await ctl("reload", "--plan", "--all", "--json")).splitlines()
    assert json.loads(answer) == await daemon.call("reload", plan=True)
    assert sum(len(json.loads(page)["effects"]) for page in pages) == sum(
        json.loads(answer)["plan"]["actions"].values()
    )
    text = await ctl("reload")
    assert "applied as version 2" in text
    assert "3600 actions: closed: tried as often as the limit allows" in text
    # the same file again changes nothing, and is no new version
    text = await ctl("reload")
    assert "no changes" in text
    assert "applied as version 2" in text
    assert "actions:" not in text


async def test_a_plan_on_a_broken_file_is_refused_and_nothing_changes(
    daemon: DaemonProcess, configure: Callable[..., None]
) -> None:
    configure(depot='retry.limit = 5\nretry.delay = "1h"')
    await daemon.start()
    ctl = Ctl(daemon)
    good = daemon.config_file.read_text()
    daemon.configure(good.replace("retry.limit = 5", 'retry.limit = "five"'))
    line = daemon.config_file.read_text().splitlines().index('retry.limit = "five"') + 1
    for arguments in (["reload", "--plan"], ["reload"]):
        text = await ctl(*arguments, code=1)
        assert f"{daemon.config_file}:{line}: systems.depot.retry.limit: " in text
    with pytest.raises(RequestFailed) as refused:
        await daemon.call("reload_effects", plan=True)
    assert refused.value.code == -32004
    history = await daemon.call("config_history")
    assert [version["version"] for version in history["versions"]] == [1]
    assert (await daemon.call("systems"))["systems"][1]["retry_limit"] == 5
    with pytest.raises(RequestFailed, match="'to' goes with 'plan'"):
        await daemon.call("reload_effects", to=1)


async def test_versions_are_kept_and_one_can_go_back(daemon: DaemonProcess, configure: Callable[..., None]) -> None:
    configure(depot="retry.limit = 5")
    await daemon.start()
    ctl = Ctl(daemon)
    first = daemon.config_file.read_text()
    configure(depot="retry.limit = 7", extra="# with a\ttab, and a word that is not in the other one\n")
    second = daemon.config_file.read_text()
    await daemon.call("reload")

    # the history names the version that decided
    refused = (await daemon.call("submit", system="depot"))["id"]
    assert {row["config_version"] for row in (await daemon.call("history", id=refused))["history"]} == {2}

    text = await ctl("config", "diff", "1", "2")
    assert "~ depot\n    retry.limit: 5 -> 7" in text
    assert "-retry.limit = 5" in text.splitlines()
    assert "+retry.limit = 7" in text.splitlines()
    assert json.loads(await ctl("config", "diff", "1", "2", "--json")) == await daemon.call("config_diff", a=1, b=2)
    assert await ctl("config", "show", "1") == first
    assert await ctl("config", "show") == second  # to the letter, as it would go into a file
    assert json.loads(await ctl("config", "show", "1", "--json"))["text"] == first

    plan = await ctl("reload", "--plan", "--to", "1")
    assert "    retry.limit: 7 -> 5" in plan
    assert "not applied: would be version 3" in plan
    assert (await daemon.call("reload", to=1))["version"] == 3
    status = await daemon.call("status")
    assert status["config_version"] == 3
    assert "version 3 of" in await ctl("status")
    assert daemon.config_file.read_text() == second  # the file is the admin's
    lines = (await ctl("config", "history")).splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [
        ["*", "3"],
        ["2", lines[2].split()[1]],
        ["1", lines[3].split()[1]],
    ]
    assert "back to 1" in lines[1]
    history = json.loads(await ctl("config", "history", "--json"))
    assert history == await daemon.call("config_history")
    assert [(version["version"], version["back_to"]) for version in history["versions"]] == [
        (3, 1),
        (2, None),
        (1, None),
    ]
    assert (await daemon.call("config_history", before=3, limit=1))["versions"][0]["version"] == 2

    # a restart takes the file, which is a change like any other
    assert await daemon.stop() == 0
    await daemon.start()
    assert (await daemon.call("status"))["config_version"] == 4
    daemon.signal(signal.SIGHUP)
    await trio.sleep(0.3)
    assert (await daemon.call("status"))["config_version"] == 4  # nothing has changed


async def test_going_back_to_what_cannot_be_had_is_refused(
    daemon: DaemonProcess, configure: Callable[..., None]
) -> None:
    os.environ["ONCE"] = "a-secret-of-once"
    daemon_with_secret = DaemonProcess(daemon.directory, {"ONCE": "a-secret-of-once"})
    configure(erp_http='headers.Authorization = { env = "ONCE" }')
    await daemon_with_secret.start()
    del os.environ["ONCE"]
    assert await daemon_with_secret.stop() == 0
    configure()
    daemon = DaemonProcess(daemon.directory)
    await daemon.start()
    try:
        ctl = Ctl(daemon)
        text = await ctl("reload", "--to", "1", code=1)
        assert "version 1 of" in text
        assert "the environment variable ONCE is not set" in text
        assert "there is no version 9" in await ctl("reload", "--to", "9", code=1)
        assert "there is no version 9" in await ctl("config", "show", "9", code=1)
        difference = await daemon.call("config_diff", a=1, b=2)
        assert difference["changed"] is None
        assert any("ONCE" in problem for problem in difference["problems"])
        assert "-headers.Authorization" in difference["text"]
        assert "cannot be read any more" in await ctl("config", "diff", "1", "2")
        assert (await daemon.call("status"))["config_version"] == 2
    finally:
        daemon.kill()


async def test_no_secret_shows_in_the_versions(daemon: DaemonProcess, configure: Callable[..., None]) -> None:
    daemon = DaemonProcess(daemon.directory, {"CANARY": "canary-4711"})
    # somebody wrote a comment that they should not have written
    configure(erp_http='headers.Authorization = { env = "CANARY" }', extra="# it is canary-4711\n")
    await daemon.start()
    try:
        configure(erp_http='headers.Authorization = { env = "CANARY" }', extra="# it is not\n")
        await daemon.call("reload")
        assert "canary-4711" not in json.dumps(await daemon.call("config_show", version=1))
        assert "canary-4711" not in json.dumps(await daemon.call("config_diff", a=1, b=2))
    finally:
        daemon.kill()


async def test_a_removed_system_holds_its_actions_and_they_go_on_when_it_is_back(
    daemon: DaemonProcess, configure: Callable[..., None], fake: FakeSystem
) -> None:
    configure(depot='retry.limit = 9\nretry.delay = "1h"', erp='timeout = "1h"')
    await daemon.start()
    ctl = Ctl(daemon)
    waiting = (await daemon.call("submit", system="erp", data={"play": "late", "seconds": 1.5}))["id"]
    retried = (await daemon.call("submit", system="depot"))["id"]
    await daemon.until(waiting, "waiting")
    with trio.fail_after(10):
        while (await daemon.call("show", id=retried))["attempts"] < 1:
            await trio.sleep(0.02)
    whole = daemon.config_file.read_text()
    without = whole.split("[systems.erp]")[0]
    daemon.configure(without)
    text = await ctl("reload", "--plan")
    assert "- depot  (its actions are held)" in text
    assert "- erp  (its actions are held)" in text
    assert "1 action: held: the system is not configured any more" in text
    result = await daemon.call("reload")
    assert sorted(result["plan"]["held"]) == ["depot", "erp"]
    assert result["plan"]["actions"]["hold"] == 1  # the one that waits for its answer goes on waiting
    assert set((await all_effects(daemon))["hold"]) == {retried}
    view = await daemon.call("show", id=retried)
    assert view["held"] is True
    assert "held" in await ctl("systems")
    refusal = await ctl("retry", retried, code=1)
    assert "not configured any more" in refusal
    # no poison loop: nothing is attempted, and nothing written
    commits = (await daemon.call("status"))["commits"]
    # the answer of a removed system is taken all the same (rule 2)
    closed = await daemon.until(waiting, "closed")
    assert closed["resolution"] == "done_successfully"
    assert (await daemon.call("status"))["commits"] <= commits + 1
    # over a restart too
    assert await daemon.stop() == 0
    await daemon.start()
    assert (await daemon.call("show", id=retried))["held"] is True

    daemon.configure(whole)
    plan = await ctl("reload", "--plan")
    assert "+ depot  (its actions go on)" in plan
    assert "+ erp\n" in plan
    result = await daemon.call("reload")
    assert result["plan"]["back"] == ["depot"]
    assert result["plan"]["actions"]["resume"] == 1
    await ctl("retry", retried)
    with trio.fail_after(10):
        while (await daemon.call("show", id=retried))["attempts"] < 2:
            await trio.sleep(0.02)
    assert (await daemon.call("show", id=retried))["held"] is False


async def test_a_reload_puts_the_level_of_the_log_in_force(
    daemon: DaemonProcess, configure: Callable[..., None]
) -> None:
    daemon.configure(daemon.head().replace("[callbacks]", 'log_level = "error"\n[callbacks]'))
    await daemon.start()
    await daemon.call("reload")
    daemon.configure(daemon.head().replace("[callbacks]", 'log_level = "info"\nlog_format = "console"\n[callbacks]'))
    await daemon.call("reload")
    assert "[info     ] reloaded" in daemon.log()
    assert daemon.log().count("reloaded") == 1
