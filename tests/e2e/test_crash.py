"""SIGKILL in the middle of 200 actions: nothing is lost, no attempt number is used twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio
from connectord.testing.daemon_process import DaemonProcess
from connectord.testing.fake_system import FakeSystem

PLAYS = ["succeed", "fail", "answer", "flaky", "reject", "hang", "late", "twice"]
EXPECTED = {"fail": ("todo", None), "reject": ("todo", None)}


async def test_200_actions_survive_a_kill(
    daemon: DaemonProcess, fake: FakeSystem, configure: Callable[..., None]
) -> None:
    configure(erp="retry.limit = 4\nconcurrency = 32", erp_http='read_timeout = "1s"')
    await daemon.start()
    plays = [PLAYS[number % len(PLAYS)] for number in range(200)]
    actions = [
        {"system": "erp", "key": f"n-{number}", "data": {"play": play, "times": 1, "seconds": 0.4}}
        for number, play in enumerate(plays)
    ]
    submitted = (await daemon.call("submit_many", actions=actions))["actions"]
    with trio.fail_after(20):
        while len(fake.seen) < 60:
            await trio.sleep(0.005)
    daemon.kill()
    seen_before = len(fake.seen)
    await daemon.start()
    for action, play in zip(submitted, plays, strict=True):
        # a quarter of the tries hang until their time is over
        end = await daemon.until(action["id"], "closed", "todo", seconds=120)
        state, resolution = EXPECTED.get(play, ("closed", "done_successfully"))
        assert (end["state"], end["resolution"]) == (state, resolution), (play, end)
        attempts: list[dict[str, Any]] = (await daemon.call("attempts", id=action["id"]))["attempts"]
        assert [item["number"] for item in attempts] == list(range(1, len(attempts) + 1))
        assert len(attempts) == end["attempts"] <= 4
        assert all(item["ended_at"] is not None for item in attempts)
        assert set(fake.keys_of(action["id"])) == {action["id"]}
        assert len(fake.keys_of(action["id"])) <= len(attempts)
    assert seen_before < len(fake.seen)
    counts = (await daemon.call("status"))["counts"]
    assert {state: count for state, count in counts.items() if count} == {"todo": 50}


async def test_callbacks_that_come_while_it_is_down_are_taken_after(
    daemon: DaemonProcess, fake: FakeSystem, configure: Callable[..., None]
) -> None:
    await daemon.start()
    data = {"play": "late", "seconds": 0.5}
    action = await daemon.call("submit", system="erp", data=data)
    await daemon.until(action["id"], "waiting")
    daemon.kill()
    await trio.sleep(0.7)
    await daemon.start()
    assert (await daemon.until(action["id"], "closed"))["resolution"] == "done_successfully"
