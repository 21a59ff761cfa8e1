"""A case: which response set which field, what stands out, and its pages; through the real socket and connectorctl."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from connectord.testing.daemon_process import DaemonProcess
from connectord.testing.fake_system import FakeSystem
from helpers.ctl import Ctl


async def _three_answers(daemon: DaemonProcess) -> tuple[str, str, str]:
    """One action whose attempt is answered at once, one that is called back, one that a person closes."""
    answered = (await daemon.call("submit", system="erp", case="C-1", owner="anna", data={"play": "answer"}))["id"]
    await daemon.until(answered, "closed")
    called_back = (await daemon.call("submit", system="erp", case="C-1", data={"play": "fail"}))["id"]
    await daemon.until(called_back, "todo")
    by_hand = (await daemon.call("submit", system="erp", case="C-1", data={"play": "reject"}))["id"]
    await daemon.until(by_hand, "todo")
    await daemon.call(
        "complete", id=by_hand, resolution="not_done_successfully", data={"done_by": "ben", "note": "x" * 100}
    )
    return answered, called_back, by_hand


async def test_rule_2_which_response_set_which_field(daemon: DaemonProcess, configure: Callable[..., None]) -> None:
    configure()
    await daemon.start()
    answered, called_back, by_hand = await _three_answers(daemon)
    case = await daemon.call("case", id="C-1")
    assert case["data"] == {"done_by": "ben", "checked": True, "note": "x" * 100}
    fields = case["fields"]
    assert {name: field["value"] for name, field in fields.items()} == case["data"]
    assert fields["done_by"]["origin"] == fields["note"]["origin"]
    person, callback = fields["done_by"]["origin"], fields["checked"]["origin"]
    assert (person["action"], person["by"], person["attempt"]) == (by_hand, "person", None)
    assert person["who"].startswith(("user:", "uid:"))
    assert (callback["action"], callback["by"], callback["who"]) == (called_back, "callback", "callback")

    merges = (await daemon.call("case_merges", id="C-1"))["merges"]
    assert [(item["action"], item["by"], item["attempt"], item["data"]) for item in merges] == [
        (answered, "attempt", 1, {"done_by": "fake"}),
        (called_back, "callback", None, {"checked": True}),
        (by_hand, "person", None, {"done_by": "ben", "note": "x" * 100}),
    ]
    history = (await daemon.call("history", id=answered))["history"]
    assert merges[0]["seq"] in [change["seq"] for change in history]
    card = await daemon.call("show", id=answered)
    assert card["response"] == {key: value for key, value in merges[0].items() if key != "data"}
    assert (await daemon.call("show", id=called_back))["response"]["by"] == "callback"

    ctl = Ctl(daemon)
    text = await ctl("case", "C-1")
    (line,) = [line for line in text.splitlines() if line.startswith("done_by")]
    assert line.split("  ")[0] == "done_by"
    assert f"{by_hand}, by hand" in line
    assert person["at"] in line
    (line,) = [line for line in text.splitlines() if line.startswith("note")]
    assert "x" * 57 + "..." in line
    assert json.loads(await ctl("case", "C-1", "--json")) == case
    lines = (await ctl("case", "C-1", "--merges")).splitlines()
    assert [line.split()[1:3] for line in lines[1:]] == [
        ["done_by", "fake"],
        ["checked", "true"],
        ["done_by", "ben"],
        ["note", "x" * 57 + "..."],
    ]
    assert "answer to attempt 1" in lines[1]
    page = json.loads(await ctl("case", "C-1", "--merges", "--limit", "2", "--json"))
    assert [item["action"] for item in page["merges"]] == [answered, called_back]
    rest = json.loads(await ctl("case", "C-1", "--merges", "--after", str(page["next"]), "--json"))
    assert ([item["action"] for item in rest["merges"]], rest["next"]) == ([by_hand], None)
    assert "Response data (answer to attempt 1, system:erp, at" in await ctl("show", answered)


async def test_rule_9_what_was_closed_unsuccessfully_stands_out(
    daemon: DaemonProcess, configure: Callable[..., None]
) -> None:
    configure()
    await daemon.start()
    answered, called_back, by_hand = await _three_answers(daemon)
    case = await daemon.call("case", id="C-1")
    assert [(item["id"], item["label"], item["highlighted"]) for item in case["actions"]] == [
        (by_hand, "Closed - Not Done Successfully", True),
        (called_back, "To Do", False),
        (answered, "Closed", False),
    ]
    ctl = Ctl(daemon)
    text = await ctl("case", "C-1")
    assert "\x1b" not in text
    (marked,) = [line for line in text.splitlines() if line.startswith("!")]
    assert by_hand in marked
    assert "Closed - Not Done Successfully" in marked


@pytest.mark.parametrize("no_color", [False, True])
async def test_on_a_terminal_it_is_bold_and_red_unless_no_color(
    daemon: DaemonProcess, configure: Callable[..., None], no_color: bool
) -> None:
    configure()
    await daemon.start()
    _, _, by_hand = await _three_answers(daemon)
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "connectord.cli.control", "--socket", str(daemon.socket), "case", "C-1"]
    environ = {**os.environ, "NO_COLOR": "1" if no_color else "", "TERM": "xterm"}
    await trio.run_process(command, stdout=theirs, env=environ)
    os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        screen = terminal.read(65_536).decode()
    (line,) = [line for line in screen.splitlines() if by_hand in line and "!" in line]
    assert ("\x1b[31m\x1b[1m!" in line) != no_color


async def test_a_case_of_many_actions_has_pages(daemon: DaemonProcess, configure: Callable[..., None]) -> None:
    configure()
    await daemon.start()
    await daemon.call("pause", system="erp")
    actions = [{"system": "erp", "case": "C-2"}] * 1205
    ids = [item["id"] for item in (await daemon.call("submit_many", actions=actions))["actions"]]
    first = await daemon.call("case", id="C-2")
    second = await daemon.call("case", id="C-2", after=first["next"])
    assert [item["id"] for item in [*first["actions"], *second["actions"]]] == ids[::-1]
    assert (len(first["actions"]), second["next"]) == (1000, None)
    ctl = Ctl(daemon)
    page = json.loads(await ctl("case", "C-2", "--limit", "5", "--json"))
    assert (len(page["actions"]), page["next"]) == (5, ids[-5])
    assert ids[-6] in (await ctl("case", "C-2", "--limit", "1", "--after", page["next"]))


async def test_fields_from_before_merges_were_recorded_have_no_origin(
    daemon: DaemonProcess, configure: Callable[..., None]
) -> None:
    configure()
    await daemon.start()
    answered = (await daemon.call("submit", system="erp", case="C-3", data={"play": "answer"}))["id"]
    await daemon.until(answered, "closed")
    assert await daemon.stop() == 0
    database = sqlite3.connect(daemon.directory / "state" / "connectord.db")
    with database:
        database.execute("DELETE FROM merges")
    database.close()
    await daemon.start()
    case = await daemon.call("case", id="C-3")
    assert case["fields"] == {"done_by": {"value": "fake", "origin": None}}
    assert (await daemon.call("show", id=answered))["response"] is None
    ctl = Ctl(daemon)
    assert "done_by  fake   -" in await ctl("case", "C-3")
    assert await ctl("case", "C-3", "--merges") == "Nothing was merged.\n"


async def test_what_is_not_there_is_refused(
    daemon: DaemonProcess, fake: FakeSystem, configure: Callable[..., None]
) -> None:
    configure()
    await daemon.start()
    ctl = Ctl(daemon)
    assert "there is no case C-9" in await ctl("case", "C-9", code=1)
    assert "there is no case C-9" in await ctl("case", "C-9", "--merges", code=1)
    assert "must be a number" in await ctl("case", "C-9", "--merges", "--after", "x", code=2)
    assert fake.seen == []


def test_the_origin_of_a_field_is_found_without_reading_every_merge(tmp_path: Path) -> None:
    from connectord.store.sqlite_reader import SqliteReader
    from connectord.store.sqlite_writer import SqliteWriter

    SqliteWriter(tmp_path / "connectord.db").close()
    reader = SqliteReader(tmp_path / "connectord.db")
    from connectord.store import sqlite_reader

    def plan(sql: str, *args: Any) -> str:
        return " | ".join(str(row[3]) for row in reader._all(f"EXPLAIN QUERY PLAN {sql}", *args))

    of_case = plan(f"{sqlite_reader._MERGES_OF_CASE} ORDER BY m.seq DESC", "C-1")
    assert "merges_case" in of_case
    assert "TEMP B-TREE" not in of_case
    of_action = plan(f"{sqlite_reader._MERGES_OF_ACTION} WHERE h.action_id = ? ORDER BY h.seq DESC LIMIT 1", "A")
    assert "history_action" in of_action
    assert "TEMP B-TREE" not in of_action
    undelivered = plan(
        f"{sqlite_reader._OUTBOX} INDEXED BY outbox_undelivered WHERE seq < ? AND delivered_at IS NULL "
        "ORDER BY seq DESC LIMIT ?", 9, 9,
    )  # fmt: skip
    assert "TEMP B-TREE" not in undelivered
    reader.close()
