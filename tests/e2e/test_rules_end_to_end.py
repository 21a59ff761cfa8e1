"""Every rule of the lifecycle, through the control socket, real HTTP and a real daemon process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import trio
from connectord.errors import RequestFailed
from connectord.testing.daemon_process import DaemonProcess
from connectord.testing.fake_system import FakeSystem

Configure = Callable[..., None]


async def submit(daemon: DaemonProcess, system: str, play: str = "succeed", **params: Any) -> str:
    data = {"play": play, **params.pop("data", {})}
    action = await daemon.call("submit", system=system, data=data, **params)
    return str(action["id"])


async def tried(daemon: DaemonProcess, action_id: str, attempts: int) -> dict[str, Any]:
    """Wait until the attempt with this number has failed."""
    with trio.fail_after(20):
        while True:
            action: dict[str, Any] = await daemon.call("show", id=action_id)
            if action["attempts"] == attempts and action["state"] in ("pending", "closed"):
                return action
            await trio.sleep(0.02)


async def refused(daemon: DaemonProcess, method: str, **params: Any) -> RequestFailed:
    with pytest.raises(RequestFailed) as caught:
        await daemon.call(method, **params)
    return caught.value


async def test_rule_01_taken_and_not_answered_is_waiting(daemon: DaemonProcess, configure: Configure) -> None:
    await daemon.start()
    action = await daemon.until(await submit(daemon, "erp", "silent"), "waiting")
    assert action["label"] == "Waiting"
    assert action["deadline"] is not None
    assert action["due_at"] is None


async def test_rule_02_a_successful_response_closes_and_merges(daemon: DaemonProcess, configure: Configure) -> None:
    await daemon.start()
    action_id = await submit(daemon, "erp", "succeed", case="C-1", owner="anna")
    action = await daemon.until(action_id, "closed")
    assert action["resolution"] == "done_successfully"
    assert action["response_data"] == {"done_by": "fake"}
    assert action["data"] == {"play": "succeed", "done_by": "fake"}
    case = await daemon.call("case", id="C-1")
    assert (case["owner"], case["data"]) == ("anna", {"done_by": "fake"})
    assert [item["id"] for item in case["actions"]] == [action_id]


async def test_rule_02_a_response_in_the_attempt_itself_counts(daemon: DaemonProcess, configure: Configure) -> None:
    await daemon.start()
    action_id = await submit(daemon, "erp", "answer")
    await daemon.until(action_id, "closed")
    history = (await daemon.call("history", id=action_id))["history"]
    assert [row["to"] for row in history] == ["pending", "attempting", "closed"]


async def test_rule_03_an_unsuccessful_response_is_to_do(daemon: DaemonProcess, configure: Configure) -> None:
    await daemon.start()
    action = await daemon.until(await submit(daemon, "erp", "fail"), "todo")
    assert (action["reason"], action["rejected_reason"]) == ("updated_by_integration", "Vendor unknown")
    assert action["assigned_to"] == {"queue": "default"}


async def test_rule_04_no_response_in_time_is_to_do_by_allocation(daemon: DaemonProcess, configure: Configure) -> None:
    late = '[[allocation]]\nreason = "timeout"\nqueue = "late-answers"\n'
    configure(erp='timeout = "300ms"\nallocation = { user = "eva" }', extra=late)
    await daemon.start()
    timed_out = await daemon.until(await submit(daemon, "erp", "silent"), "todo")
    assert (timed_out["reason"], timed_out["assigned_to"]) == ("timeout", {"queue": "late-answers"})
    rejected = await daemon.until(await submit(daemon, "erp", "fail"), "todo")
    assert rejected["assigned_to"] == {"user": "eva"}


async def test_rule_05_people_take_hand_back_hand_on_and_close(daemon: DaemonProcess, configure: Configure) -> None:
    configure(extra='[queues]\nseniors = "who know it all"\n')
    await daemon.start()
    action_id = await submit(daemon, "erp", "fail", case="C-5", owner="anna")
    await daemon.until(action_id, "todo")
    taken = await daemon.call("take", id=action_id, user="ben")
    assert (taken["state"], taken["assigned_to"]) == ("in_progress", {"user": "ben"})
    assert (await refused(daemon, "take", id=action_id, user="eva")).code == -32002
    assert (await daemon.call("release", id=action_id))["assigned_to"] == {"queue": "default"}
    assert (await daemon.call("assign", id=action_id, queue="seniors"))["assigned_to"] == {"queue": "seniors"}
    closed = await daemon.call("complete", id=action_id, resolution="done_successfully", data={"invoice": 1}, note="ok")
    assert (closed["state"], closed["resolution"]) == ("closed", "done_successfully")
    assert (await daemon.call("case", id="C-5"))["data"]["invoice"] == 1
    notes = [row["note"] for row in (await daemon.call("history", id=action_id))["history"]]
    assert notes[-1] == "ok"


async def test_rules_05_06_09_and_20_who_is_notified(
    daemon: DaemonProcess, fake: FakeSystem, configure: Configure
) -> None:
    configure(depot="retry.limit = 1", erp='timeout = "200ms"')
    await daemon.start()
    exhausted = await submit(daemon, "depot", owner="anna")
    rejected = await submit(daemon, "erp", "fail", owner="anna")
    silent = await submit(daemon, "erp", "silent", owner="anna")
    await daemon.until(exhausted, "closed")
    await daemon.until(rejected, "todo")
    await daemon.until(silent, "todo")
    by_hand = await submit(daemon, "erp", "fail", owner="anna")
    await daemon.until(by_hand, "todo")
    await daemon.call("complete", id=by_hand, resolution="not_done_successfully", note="gone")
    with trio.fail_after(10):
        while len(fake.notices) < 2:
            await trio.sleep(0.02)
    await trio.sleep(0.3)
    assert {notice["action"] for notice in fake.notices} == {exhausted, by_hand}
    assert "Closed - Not Done Successfully" in fake.notices[0]["text"]


async def test_rule_07_the_message_tells_when_how_often_and_what_next(
    daemon: DaemonProcess, configure: Configure
) -> None:
    configure(depot='retry.delay = "1h"')
    await daemon.start()
    action_id = await submit(daemon, "depot")
    action = await tried(daemon, action_id, 1)
    error = action["connection_error"]
    at = error["at"][:19].replace("T", " ")
    next_at = error["next_try_at"][:19].replace("T", " ")
    assert error["text"] == (
        f"Connection failed at {at} (connection refused). Tried 1 of 3 times.\n"
        f"Next automatic try at {next_at}. Retry now: connectorctl retry {action_id}"
    )
    assert action["label"] == "Retrying"


async def test_rules_08_and_13_a_manual_retry_counts_and_leaves_the_schedule(
    daemon: DaemonProcess, configure: Configure
) -> None:
    configure(depot='retry.delay = "1h"')
    await daemon.start()
    action_id = await submit(daemon, "depot")
    before = await tried(daemon, action_id, 1)
    await daemon.call("retry", id=action_id)
    after = await tried(daemon, action_id, 2)
    assert after["due_at"] == before["due_at"]
    attempts = (await daemon.call("attempts", id=action_id))["attempts"]
    assert [(item["number"], item["manual"]) for item in attempts] == [(1, False), (2, True)]


async def test_rule_09_the_last_failure_closes(daemon: DaemonProcess, configure: Configure) -> None:
    await daemon.start()
    action = await daemon.until(await submit(daemon, "depot", case="C-9"), "closed")
    assert (action["resolution"], action["attempts"]) == ("not_done_successfully", 3)
    assert action["connection_error"]["text"].endswith("Tried 3 of 3 times. No further tries: closed unsuccessfully.")


async def test_rule_10_the_three_outcomes_word_for_word(daemon: DaemonProcess, configure: Configure) -> None:
    configure(depot='retry.limit = 5\nretry.delay = "1h"')
    await daemon.start()
    exhausted, going = await submit(daemon, "depot"), await submit(daemon, "depot")
    for action_id, last in ((exhausted, 5), (going, 4)):
        await tried(daemon, action_id, 1)
        for number in range(2, last + 1):
            await daemon.call("retry", id=action_id)
            await tried(daemon, action_id, number)
    assert (await daemon.call("show", id=exhausted))["state"] == "closed"

    configure(depot='retry.limit = 7\nretry.delay = "1h"')
    assert (await daemon.call("reload"))["plan"]["actions"]["close"] == 0
    a = await daemon.call("show", id=exhausted)
    assert a["state"] == "closed"
    assert a["connection_error"]["text"].endswith("Tried 5 of 7 times. No further tries: closed unsuccessfully.")
    b = await daemon.call("show", id=going)
    assert b["state"] == "pending"
    assert "Tried 4 of 7 times.\nNext automatic try at " in b["connection_error"]["text"]
    for number in (5, 6, 7):
        await daemon.call("retry", id=going)
        b = await tried(daemon, going, number)
    assert b["connection_error"]["text"].endswith("Tried 7 of 7 times. No further tries: closed unsuccessfully.")

    configure(depot='retry.limit = 10\nretry.delay = "1h"')
    await daemon.call("reload")
    lowered = await submit(daemon, "depot")
    await tried(daemon, lowered, 1)
    for number in (2, 3, 4):
        await daemon.call("retry", id=lowered)
        await tried(daemon, lowered, number)
    configure(depot='retry.limit = 4\nretry.delay = "1h"')
    assert (await daemon.call("reload", plan=True))["plan"]["actions"]["close"] == 1
    assert (await daemon.call("show", id=lowered))["state"] == "pending"
    assert (await daemon.call("reload"))["plan"]["actions"]["close"] == 1
    c = await daemon.call("show", id=lowered)
    assert (c["state"], c["resolution"]) == ("closed", "not_done_successfully")
    assert c["connection_error"]["text"].endswith("Tried 4 of 10 times. No further tries: closed unsuccessfully.")


async def test_rule_11_a_change_while_stopped_acts_at_the_next_start(
    daemon: DaemonProcess, configure: Configure
) -> None:
    configure(depot='retry.limit = 10\nretry.delay = "1h"')
    await daemon.start()
    action_id = await submit(daemon, "depot")
    await tried(daemon, action_id, 1)
    await daemon.call("retry", id=action_id)
    await tried(daemon, action_id, 2)
    assert await daemon.stop() == 0
    configure(depot='retry.limit = 2\nretry.delay = "1h"')
    await daemon.start()
    action = await daemon.call("show", id=action_id)
    assert action["state"] == "closed"
    assert "Tried 2 of 10 times. No further tries" in action["connection_error"]["text"]


async def test_rule_12_not_now_is_retried_and_a_refusal_is_a_response(
    daemon: DaemonProcess, configure: Configure
) -> None:
    await daemon.start()
    flaky = await daemon.until(await submit(daemon, "erp", "flaky", data={"times": 2}), "closed")
    assert (flaky["resolution"], flaky["attempts"]) == ("done_successfully", 3)
    rejected = await daemon.until(await submit(daemon, "erp", "reject"), "todo")
    assert (rejected["rejected_reason"], rejected["attempts"]) == ("the amount is missing", 1)


async def test_rule_14_a_killed_daemon_leaves_an_interrupted_attempt(
    daemon: DaemonProcess, fake: FakeSystem, configure: Configure
) -> None:
    await daemon.start()
    action_id = await submit(daemon, "erp", "hang")
    with trio.fail_after(10):
        while not fake.keys_of(action_id):
            await trio.sleep(0.01)
    daemon.kill()
    await daemon.start()
    await daemon.until(action_id, "closed")
    attempts = (await daemon.call("attempts", id=action_id))["attempts"]
    assert [item["outcome"] for item in attempts] == ["interrupted", "taken"]
    assert fake.keys_of(action_id) == [action_id, action_id]


async def test_rule_14_an_interrupted_last_attempt_closes(
    daemon: DaemonProcess, fake: FakeSystem, configure: Configure
) -> None:
    configure(erp="retry.limit = 1")
    await daemon.start()
    action_id = await submit(daemon, "erp", "hang")
    with trio.fail_after(10):
        while not fake.keys_of(action_id):
            await trio.sleep(0.01)
    daemon.kill()
    await daemon.start()
    action = await daemon.call("show", id=action_id)
    assert (action["state"], action["resolution"]) == ("closed", "not_done_successfully")


async def test_rule_15_a_response_is_taken_in_any_state(
    daemon: DaemonProcess, fake: FakeSystem, configure: Configure
) -> None:
    configure(erp='timeout = "300ms"')
    await daemon.start()
    early = await daemon.until(await submit(daemon, "erp", "early"), "closed")
    assert early["resolution"] == "done_successfully"
    late_id = await submit(daemon, "erp", "late", data={"seconds": 0.6})
    await daemon.until(late_id, "todo")
    with trio.fail_after(10):
        while not (late := await daemon.call("show", id=late_id))["late_responses"]:
            await trio.sleep(0.02)
    assert (late["state"], late["data"].get("done_by")) == ("todo", None)
    assert fake.callback_answers[-1][1] == 202
    twice_id = await submit(daemon, "erp", "twice")
    twice = await daemon.until(twice_id, "closed")
    with trio.fail_after(10):
        while len(fake.callback_answers) < 4:
            await trio.sleep(0.02)
    assert [status for _, status in fake.callback_answers[-2:]] == [200, 200]
    assert (await daemon.call("show", id=twice_id)) == twice


async def test_rule_16_a_retry_is_refused_with_the_reason_and_rerun_makes_anew(
    daemon: DaemonProcess, configure: Configure
) -> None:
    await daemon.start()
    waiting = await submit(daemon, "erp", "silent")
    await daemon.until(waiting, "waiting")
    error = await refused(daemon, "retry", id=waiting)
    assert (error.code, error.data) == (
        -32002,
        {"state": "waiting", "reason": "the system has the action; its response is awaited"},
    )
    todo = await submit(daemon, "erp", "fail")
    await daemon.until(todo, "todo")
    assert (await refused(daemon, "retry", id=todo)).code == -32002
    await daemon.call("complete", id=todo, resolution="done_successfully")
    assert (await refused(daemon, "retry", id=todo)).code == -32002
    again = (await daemon.call("rerun", ids=[todo]))["actions"][0]
    assert (again["rerun_of"], again["system"]) == (todo, "erp")
    assert again["id"] != todo
    assert (await refused(daemon, "rerun", ids=[waiting])).code == -32002


async def test_rule_17_the_same_key_gives_the_same_action(daemon: DaemonProcess, configure: Configure) -> None:
    await daemon.start()
    first = await daemon.call("submit", system="erp", key="k-1", data={"play": "silent", "n": 1})
    again = await daemon.call("submit", system="erp", key="k-1", data={"n": 1, "play": "silent"})
    assert again["id"] == first["id"]
    assert (await refused(daemon, "submit", system="erp", key="k-1", data={"n": 2})).code == -32006
    other = await daemon.call("submit", system="depot", key="k-1", data={"n": 2})
    assert other["id"] != first["id"]


async def test_rule_18_every_change_is_in_the_history_with_who_and_why(
    daemon: DaemonProcess, configure: Configure
) -> None:
    await daemon.start()
    action_id = await submit(daemon, "erp", "succeed")
    await daemon.until(action_id, "closed")
    rows = (await daemon.call("history", id=action_id))["history"]
    assert [(row["from"], row["to"]) for row in rows] == [
        (None, "pending"),
        ("pending", "attempting"),
        ("attempting", "waiting"),
        ("waiting", "closed"),
    ]
    assert [row["who"].partition(":")[0] for row in rows] == ["user", "scheduler", "system", "callback"]
    assert [row["seq"] for row in rows] == sorted(row["seq"] for row in rows)
    assert rows[3]["rules"] == "2"


async def test_rule_19_no_response_expected_is_done_when_taken(
    daemon: DaemonProcess, fake: FakeSystem, configure: Configure
) -> None:
    configure(erp="response_expected = false")
    await daemon.start()
    action = await daemon.until(await submit(daemon, "erp", "silent"), "closed")
    assert action["resolution"] == "done_successfully"
    assert fake.seen[0].body["callback_url"] is None


async def test_rule_20_on_timeout_close_closes_at_the_deadline(daemon: DaemonProcess, configure: Configure) -> None:
    configure(erp='timeout = "200ms"\non_timeout = "close"')
    await daemon.start()
    action_id = await submit(daemon, "erp", "silent")
    action = await daemon.until(action_id, "closed")
    assert action["resolution"] == "not_done_successfully"
    assert (await daemon.call("history", id=action_id))["history"][-1]["why"] == "no response returned"


async def test_rule_21_heartbeats_are_shown_and_extend_where_allowed(
    daemon: DaemonProcess, configure: Configure
) -> None:
    configure(erp='timeout = "600ms"\nheartbeat_extends = true')
    await daemon.start()
    action = await daemon.until(await submit(daemon, "erp", "progress", data={"seconds": 1.2}), "closed", "todo")
    assert action["resolution"] == "done_successfully"
    assert (action["progress"]["percent"], action["progress"]["text"]) == (75, "at work")


async def test_a_forged_token_is_unknown(daemon: DaemonProcess, fake: FakeSystem, configure: Configure) -> None:
    await daemon.start()
    action_id = await submit(daemon, "erp", "silent")
    await daemon.until(action_id, "waiting")
    url = fake.seen[0].body["callback_url"]
    forged = url[:-1] + ("A" if url[-1] != "A" else "B")
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.post(forged, json={"status": "success"})).status_code == 404
        assert (await client.post(url, json={"status": "maybe"})).status_code == 400
        assert (await daemon.call("show", id=action_id))["state"] == "waiting"
        assert (await client.post(url, json={"status": "success"})).status_code == 200
    assert (await daemon.call("show", id=action_id))["state"] == "closed"
    token = url.rpartition("/")[2]
    assert token not in daemon.log()
