"""Rule 16: running closed actions again, one or a selection, counted before and never twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from connectord.control.methods import reruns
from connectord.errors import RequestFailed
from connectord.testing.daemon_process import DaemonProcess
from helpers.ctl import Ctl


async def _given_up(daemon: DaemonProcess, count: int, **params: Any) -> list[str]:
    """So many actions of ``depot``, closed by rule 9."""
    made = await daemon.call("submit_many", actions=[{"system": "depot", **params}] * count)
    ids = [item["id"] for item in made["actions"]]
    for action_id in ids:
        await daemon.until(action_id, "closed")
    return ids


@pytest.fixture
def giving_up(daemon: DaemonProcess, configure: Callable[..., None]) -> DaemonProcess:
    # nothing keeps a system that is away from failing hundreds of actions here
    configure(depot="retry.limit = 1\ncircuit = false", erp='timeout = "1s"\non_timeout = "close"')
    return daemon


async def test_rule_16_a_rerun_has_the_same_case_owner_and_data_and_no_key(giving_up: DaemonProcess) -> None:
    await giving_up.start()
    first = await giving_up.call(
        "submit", system="depot", case="C-1", owner="anna", key="order-7", data={"n": 1, "nested": {"a": [1]}}
    )
    await giving_up.until(first["id"], "closed")
    await giving_up.call("pause", system="depot")
    await giving_up.call("submit", system="depot", case="C-1", owner="ben")
    (again,) = (await giving_up.call("rerun", ids=[first["id"]]))["actions"]
    assert {name: again[name] for name in ("case", "owner", "data", "key", "rerun_of", "system")} == {
        "case": "C-1", "owner": "anna", "data": {"n": 1, "nested": {"a": [1]}}, "key": None, "rerun_of": first["id"],
        "system": "depot",
    }  # fmt: skip
    # the case keeps the owner that it has by now
    assert (await giving_up.call("case", id="C-1"))["owner"] == "ben"
    history = (await giving_up.call("history", id=again["id"]))["history"]
    assert (history[0]["rules"], history[0]["why"]) == ("16", f"rerun of {first['id']}")


async def test_rule_16_the_same_selection_twice_makes_no_double_work(giving_up: DaemonProcess) -> None:
    await giving_up.start()
    ids = await _given_up(giving_up, 5, case="C-1")
    await giving_up.call("pause", system="depot")
    ctl = Ctl(giving_up)
    selection = ("rerun", "--system", "depot", "--resolution", "not_done_successfully", "--yes")
    text = await ctl(*selection)
    assert text.startswith("5 actions to run again\n")
    assert len(text.splitlines()) == 6
    assert await ctl(*selection) == "0 actions to run again (left out: 5 run again before)\n"
    assert json.loads(await ctl(*selection, "--json")) == {"count": 0, "left_out": 5, "actions": []}
    # by its id it is a person's clear wish
    again = json.loads(await ctl("rerun", ids[0], ids[0], "--json"))
    assert (again["count"], again["actions"][0]["rerun_of"]) == (1, ids[0])
    assert (await giving_up.call("status"))["counts"]["pending"] == 6


async def test_rule_16_filters_find_what_they_say(giving_up: DaemonProcess) -> None:
    await giving_up.start()
    old = await _given_up(giving_up, 2, case="C-1")
    timed_out = (await giving_up.call("submit", system="erp", case="C-2", data={"play": "silent"}))["id"]
    await giving_up.until(timed_out, "closed")
    border = (await giving_up.call("show", id=timed_out))["submitted_at"]
    new = await _given_up(giving_up, 1, case="C-2")

    async def count(**filters: str) -> int:
        found = await giving_up.call("rerun", filters=filters, dry_run=True)
        assert found["actions"] == []
        return int(found["count"])

    assert await count() == 4
    assert await count(until=border) == len(old)
    assert await count(since=border) == 1 + len(new)
    assert await count(case="C-2") == 2
    assert await count(case="C-2", system="depot") == 1
    assert await count(reason="timeout") == 1
    assert await count(reason="updated_by_integration") == 0
    assert await count(resolution="done_successfully") == 0
    ctl = Ctl(giving_up)
    found = json.loads(await ctl("rerun", "--case", "C-2", "--reason", "timeout", "--until", "+1h", "--yes", "--json"))
    assert [item["rerun_of"] for item in found["actions"]] == [timed_out]


async def test_another_count_than_the_one_that_was_seen_is_refused(giving_up: DaemonProcess) -> None:
    await giving_up.start()
    await _given_up(giving_up, 3)
    with pytest.raises(
        RequestFailed, match="2 actions were expected, but it is 3 now; nothing was run again"
    ) as caught:
        await giving_up.call("rerun", filters={"system": "depot"}, expect=2)
    assert caught.value.code == -32002
    assert await giving_up.call("list", state="pending") == {"actions": [], "next": None}
    assert (await giving_up.call("rerun", filters={"system": "depot"}, expect=3))["count"] == 3


async def test_one_of_several_ids_that_is_not_closed_makes_none(giving_up: DaemonProcess) -> None:
    await giving_up.start()
    (closed,) = await _given_up(giving_up, 1)
    await giving_up.call("pause", system="erp")
    pending = (await giving_up.call("submit", system="erp"))["id"]
    ctl = Ctl(giving_up)
    assert f"action {pending} is not closed" in await ctl("rerun", closed, pending, code=1)
    assert "there is no action nonsense" in await ctl("rerun", closed, "nonsense", code=1)
    assert [item["id"] for item in (await giving_up.call("list"))["actions"]] == [pending, closed]


async def test_many_are_made_in_slices_in_their_order(giving_up: DaemonProcess) -> None:
    count = reruns.SLICE * 2 + 7
    await giving_up.start()
    ids = await _given_up(giving_up, count)
    await giving_up.call("pause", system="depot")
    made = await giving_up.call("rerun", filters={"system": "depot"}, expect=count)
    assert [item["rerun_of"] for item in made["actions"]] == ids
    assert (made["count"], made["left_out"]) == (count, 0)
