"""``why`` through the real socket and connectorctl, for every situation that people ask about."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import trio
from connectord.control.results import Explanation
from connectord.errors import RequestFailed
from connectord.testing.daemon_process import DaemonProcess
from connectord.testing.fake_system import FakeSystem
from helpers.ctl import Ctl

Configure = Callable[..., None]


class Asking:
    """Asks why, both ways, and does what the answer offers."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self.daemon = daemon
        self.ctl = Ctl(daemon)

    async def submit(self, system: str, play: str = "succeed", **params: Any) -> str:
        return str((await self.daemon.call("submit", system=system, data={"play": play}, **params))["id"])

    async def why(self, action_id: str) -> dict[str, Any]:
        """The socket's answer, once connectorctl has printed the same; an owner may be told in between."""
        with trio.fail_after(20):
            while True:
                told: dict[str, Any] = await self.daemon.call("why", id=action_id)
                printed = await self.ctl("why", action_id)
                if stable(printed) == stable(told["text"]):
                    break
        assert set(told) == set(Explanation.__struct_fields__)
        for part in (told["waits_for"], *(remedy["command"] for remedy in told["can_do"])):
            assert stable(part)[0] in printed
        return told

    async def do(self, told: dict[str, Any], command: str) -> str:
        """Run the one offered command that begins like this, its blanks filled in."""
        (offered,) = [
            remedy["command"] for remedy in told["can_do"] if remedy["command"].startswith(f"connectorctl {command}")
        ]
        filled = offered.replace("TEXT", "enough").replace("USER", "ben").replace("NAME", "seniors")
        return await self.ctl(*shlex.split(filled)[1:])

    async def until_tried(self, action_id: str, attempts: int) -> None:
        with trio.fail_after(20):
            while True:
                action = await self.daemon.call("show", id=action_id)
                if action["attempts"] == attempts and action["state"] != "attempting":
                    return
                await trio.sleep(0.02)


def stable(text: str) -> list[str]:
    """The text without what passes between two questions: how long ago something was."""
    return [line.split(" (")[0] for line in text.splitlines()]


def commands(told: dict[str, Any]) -> list[str]:
    return [remedy["command"].split()[1] for remedy in told["can_do"]]


@pytest.fixture
async def asking(daemon: DaemonProcess, configure: Configure) -> Asking:
    return Asking(daemon)


async def test_retrying(asking: Asking, daemon: DaemonProcess, configure: Configure) -> None:
    configure(depot='retry.delay = "1h"\nretry.limit = 3')
    await daemon.start()
    action_id = await asking.submit("depot", case="C 1", owner="anna")
    await asking.until_tried(action_id, 1)
    told = await asking.why(action_id)
    action = await daemon.call("show", id=action_id)
    assert (told["state"], told["label"], told["case"]) == ("pending", "Retrying", "C 1")
    assert told["waits_for"] == "It waits for the time of its next automatic try."
    assert told["until"] == action["due_at"]
    as_json = json.loads(await asking.ctl("why", action_id, "--json"))
    assert as_json.keys() == told.keys()
    assert [as_json[part] for part in ("until", "can_do")] == [told[part] for part in ("until", "can_do")]
    assert told["decided_by"]["rules"] == ["7"]
    assert (told["decided_by"]["config_version"], told["config_version"]) == (1, 1)
    assert told["next"][0].startswith("Try 2 of 3 begins by itself at ")
    assert "1 h later at the earliest, 3 times in all at most (rule 7)." in told["next"][1]
    assert "Tried 1 of 3 times (rule 7)." in told["known"][0]
    assert commands(told) == ["retry", "cancel"]

    await asking.do(told, "retry")
    await asking.until_tried(action_id, 2)
    told = await asking.why(action_id)
    assert told["next"][0].startswith("Try 3 of 3 begins")
    assert "the case owner anna is notified (rule 9)" in told["next"][1]
    await asking.do(told, "retry")
    closed = await daemon.until(action_id, "closed")
    with trio.fail_after(10):
        while not any("was told to the case owner anna" in fact for fact in (await asking.why(action_id))["known"]):
            await trio.sleep(0.05)
    told = await asking.why(action_id)
    assert (told["decided_by"]["rules"], told["until"]) == (["9"], None)
    assert told["decided_by"]["at"] == closed["closed_at"]
    assert told["label"] == "Closed - Not Done Successfully"
    assert "Tried 3 of 3 times (rule 7)." in told["known"][0]
    assert commands(told) == ["rerun", "case"]
    assert "C 1" in await asking.do(told, "case")

    configure(depot='retry.delay = "1h"\nretry.limit = 7')
    await daemon.call("reload")
    told = await asking.why(action_id)
    assert any("The retry limit is 7 today" in fact and "(rule 10a)" in fact for fact in told["known"])
    assert (told["decided_by"]["config_version"], told["config_version"]) == (1, 2)
    assert "under version 1 of the configuration; version 2 is in force now" in told["decided_by"]["text"]
    again = (await asking.do(told, "rerun")).split()[0]
    assert f"It was run again as {again} (rule 16)." in (await asking.why(action_id))["known"]
    assert f"It is a rerun of {action_id} (rule 16)." in (await asking.why(again))["known"]


async def test_held_because_its_system_was_removed(asking: Asking, daemon: DaemonProcess, configure: Configure) -> None:
    configure(depot='retry.delay = "1h"\nretry.limit = 3')
    await daemon.start()
    action_id = await asking.submit("depot")
    await asking.until_tried(action_id, 1)
    waiting_id = await asking.submit("erp", "silent")
    await daemon.until(waiting_id, "waiting")
    whole = daemon.config_file.read_text()
    daemon.configure(whole[: whole.index("[systems.erp]")])
    await daemon.call("reload")
    told = await asking.why(action_id)
    assert told["waits_for"].startswith("It is held: its system depot is not configured any more")
    assert told["until"] is None
    assert told["next"][0].startswith("It goes on by itself once depot is back in connectord.toml.")
    assert (told["decided_by"]["config_version"], told["config_version"]) == (1, 2)
    assert commands(told) == ["reload", "cancel"]
    # one that the system has taken goes on waiting, and its deadline stands
    told = await asking.why(waiting_id)
    assert told["until"] == (await daemon.call("show", id=waiting_id))["deadline"]
    assert any("erp is not configured any more" in sentence for sentence in told["next"])
    assert commands(told) == ["reload", "cancel"]
    with pytest.raises(RequestFailed, match="not configured any more"):
        await daemon.call("retry", id=action_id)

    daemon.configure(whole)
    await asking.do(await asking.why(action_id), "reload")
    told = await asking.why(action_id)
    assert told["waits_for"] == "It waits for the time of its next automatic try."
    assert commands(told) == ["retry", "cancel"]
    # what is decided from now on is decided under the new version
    await asking.do(told, "retry")
    await asking.until_tried(action_id, 2)
    told = await asking.why(action_id)
    assert (told["decided_by"]["config_version"], told["config_version"]) == (3, 3)
    assert "under version 3 of the configuration." in told["text"]


async def test_paused(asking: Asking, daemon: DaemonProcess) -> None:
    await daemon.start()
    await daemon.call("pause", system="erp")
    action_id = await asking.submit("erp", "answer")
    told = await asking.why(action_id)
    assert told["waits_for"].startswith("It waits for erp to be resumed, which the user ")
    assert (told["decided_by"]["rules"], told["until"]) == (["17"], None)
    assert commands(told) == ["resume", "cancel"]
    await asking.do(told, "resume")
    await daemon.until(action_id, "closed")
    told = await asking.why(action_id)
    assert told["decided_by"]["rules"] == ["2"]
    assert told["label"] == "Closed - Done Successfully"
    assert told["known"] == [
        "The case owner was not notified: only of actions closed unsuccessfully (rules 5 and 9)."
    ]  # fmt: skip


async def test_an_attempt_under_way_and_the_one_that_has_no_place(
    asking: Asking, daemon: DaemonProcess, configure: Configure
) -> None:
    configure(erp='concurrency = 1\nattempt_timeout = "1m"')
    await daemon.start()
    first = await asking.submit("erp", "hang")
    await daemon.until(first, "attempting")
    second = await asking.submit("erp", "answer")
    told = await asking.why(first)
    assert told["waits_for"].startswith("It waits for the end of a try: try 1 of 3 is under way since ")
    assert told["until"] is not None
    assert told["decided_by"]["rules"] == ["14"]
    assert told["next"][0] == "The try may take 1 min; without an answer by then it has failed."
    assert told["can_do"] == []
    assert "You can  only wait: an attempt is under way" in told["text"]
    told = await asking.why(second)
    assert told["waits_for"].endswith("waits for a free place: 1 of 1 attempts in erp are under way.")


async def test_a_rate_that_is_used_up(asking: Asking, daemon: DaemonProcess, configure: Configure) -> None:
    configure(erp='rate = "1/h"')
    await daemon.start()
    await daemon.until(await asking.submit("erp", "answer"), "closed")
    told = await asking.why(await asking.submit("erp", "answer"))
    assert told["waits_for"].endswith("waits for its turn: the rate of erp, 1 tries in 1 h, is used up just now.")


async def test_waiting_and_to_do_by_timeout(
    asking: Asking, daemon: DaemonProcess, fake: FakeSystem, configure: Configure
) -> None:
    late = '[[allocation]]\nreason = "timeout"\nqueue = "late-answers"\n'
    configure(erp='timeout = "1h"', extra=late)
    await daemon.start()
    action_id = await asking.submit("erp", "silent", owner="anna")
    action = await daemon.until(action_id, "waiting")
    callback = fake.seen[0].body["callback_url"]
    async with httpx.AsyncClient(trust_env=False) as client:
        beat = {"status": "progress", "text": "half\nway", "percent": 50}
        assert (await client.post(callback, json=beat)).status_code == 200
    told = await asking.why(action_id)
    assert told["until"] == action["deadline"]
    assert told["waits_for"].startswith("It waits for the response of erp, which took it at ")
    assert told["decided_by"]["rules"] == ["1"]
    assert "it becomes To Do for the queue late-answers (rule 4)" in told["next"][1]
    assert '"half way", 50 % (rule 21).' in told["known"][0]
    assert commands(told) == ["cancel"]

    configure(erp='timeout = "300ms"', extra=late)
    await daemon.call("reload")
    action_id = await asking.submit("erp", "silent", owner="anna")
    await daemon.until(action_id, "todo")
    callback = fake.seen[1].body["callback_url"]
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.post(callback, json={"status": "success", "data": {}})).status_code == 202
    told = await asking.why(action_id)
    assert told["waits_for"] == "It waits for a person to take it: it is To Do for the queue late-answers."
    assert (told["decided_by"]["rules"], told["until"]) == (["4"], None)
    known = " ".join(told["known"])
    assert "erp did not respond in the time set (rule 4, version 2 of the configuration)." in known
    assert "not of rules 3 and 4 (rule 6)" in known
    assert 'A response came too late, "success" at ' in known


async def test_to_do_by_failure_in_progress_and_closed_by_hand(
    asking: Asking, daemon: DaemonProcess, configure: Configure
) -> None:
    configure(extra='[queues]\nseniors = "what needs experience"\n')
    await daemon.start()
    action_id = await asking.submit("erp", "fail", case="C-5", owner="anna")
    await daemon.until(action_id, "todo")
    told = await asking.why(action_id)
    assert told["decided_by"]["rules"] == ["3"]
    assert '(rule 3, version 1 of the configuration): "Vendor unknown".' in told["known"][0]
    assert commands(told) == ["take", "assign", "assign", "complete", "complete"]
    await asking.do(told, "take")
    told = await asking.why(action_id)
    assert told["label"] == "In Progress"
    assert told["waits_for"].startswith("It waits for the user ben, who has it in progress since ")
    assert '"Vendor unknown"' in told["known"][0]
    await asking.do(told, "release")
    told = await asking.why(action_id)
    assert (told["decided_by"]["rules"], told["decided_by"]["why"]) == (["5"], "handed back")
    await asking.do(told, f"assign {action_id} --to queue:")
    told = await asking.why(action_id)
    assert told["waits_for"] == "It waits for a person to take it: it is To Do for the queue seniors."
    await asking.do(told, f"complete {action_id} --unsuccessful")
    told = await asking.why(action_id)
    assert (told["decided_by"]["rules"], told["decided_by"]["note"]) == (["5"], "enough")
    assert 'The note says "enough".' in told["text"]
    assert "told to the case owner anna" in " ".join(told["known"])


async def test_cancelled_while_waiting(asking: Asking, daemon: DaemonProcess) -> None:
    await daemon.start()
    action_id = await asking.submit("erp", "silent")
    await daemon.until(action_id, "waiting")
    await asking.do(await asking.why(action_id), "cancel")
    told = await asking.why(action_id)
    assert (told["decided_by"]["rules"], told["decided_by"]["event"]) == (["5"], "Cancelled")
    assert told["known"] == ["Nobody was notified: neither the case nor the action names an owner."]


async def test_closed_by_a_lowered_limit_under_the_version_that_lowered_it(
    asking: Asking, daemon: DaemonProcess, configure: Configure
) -> None:
    configure(depot='retry.delay = "1h"\nretry.limit = 5')
    await daemon.start()
    action_id = await asking.submit("depot", owner="anna")
    await asking.until_tried(action_id, 1)
    configure(depot='retry.delay = "1h"\nretry.limit = 1')
    await daemon.call("reload")
    await daemon.until(action_id, "closed")
    told = await asking.why(action_id)
    assert told["decided_by"]["rules"] == ["10c", "9"]
    assert told["decided_by"]["config_version"] == told["config_version"] == 2
    assert told["decided_by"]["text"].startswith("Rules 10c and 9: the retry limit was lowered to what was tried")
    assert "by the user " in told["decided_by"]["text"]
    assert "Tried 1 of 5 times (rule 7)." in told["known"][0]


async def test_closed_because_no_response_returned(asking: Asking, daemon: DaemonProcess, configure: Configure) -> None:
    configure(erp='timeout = "300ms"\non_timeout = "close"')
    await daemon.start()
    action_id = await asking.submit("erp", "silent", owner="anna")
    await daemon.until(action_id, "closed")
    told = await asking.why(action_id)
    assert (told["decided_by"]["rules"], told["decided_by"]["why"]) == (["20"], "no response returned")
    assert told["known"] == ["The case owner was not notified: not of rule 20."]


async def test_fire_and_forget(asking: Asking, daemon: DaemonProcess, configure: Configure) -> None:
    configure(erp="response_expected = false")
    await daemon.start()
    await daemon.call("pause", system="erp")
    action_id = await asking.submit("erp", "silent")
    await asking.do(await asking.why(action_id), "resume")
    await daemon.until(action_id, "closed")
    assert (await asking.why(action_id))["decided_by"]["rules"] == ["19"]


async def test_an_unknown_id_is_refused_with_the_reason(asking: Asking, daemon: DaemonProcess) -> None:
    await daemon.start()
    with pytest.raises(RequestFailed, match="there is no action 01X") as caught:
        await daemon.call("why", id="01X")
    assert caught.value.code == -32001
    assert "there is no action 01X" in await asking.ctl("why", "01X", code=1)
    assert "there is no action 01X" in await asking.ctl("why", "01X", "--json", code=1)
    await asking.ctl("why", code=2)
