"""People's work through the real socket and connectorctl: who gets it, what is to do, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import trio
from connectord.errors import RequestFailed
from connectord.testing.daemon_process import DaemonProcess
from helpers.ctl import Ctl

Configure = Callable[..., None]

PEOPLE = """
[groups]
seniors = ["anna", "ben"]
[queues]
back-office = "what others hand on"
[[allocation]]
when = "data.amount > `1000`"
group = "seniors"
[[allocation]]
owner = ["olga", "otto"]
when = "case_data.checked && reason == 'updated_by_integration'"
to_owner = true
[[allocation]]
reason = "timeout"
queue = "late-answers"
[[allocation]]
when = "length(data.amount) > `0`"
queue = "never"
"""


async def failed(daemon: DaemonProcess, **params: Any) -> dict[str, Any]:
    """A new action of the system erp that comes to people."""
    params["data"] = {"play": "fail", **params.get("data", {})}
    action = await daemon.call("submit", system="erp", **params)
    return await daemon.until(action["id"], "todo")


async def history(daemon: DaemonProcess, action_id: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (await daemon.call("history", id=action_id))["history"]
    return rows


async def test_rule_04_rules_turns_and_owners_over_a_crash(daemon: DaemonProcess, configure: Configure) -> None:
    configure(erp='timeout = "300ms"', extra=PEOPLE)
    await daemon.start()
    turns = []
    for number in range(5):
        if number == 3:
            daemon.kill()
            await daemon.start()
        action = await failed(daemon, data={"amount": 1001 + number})
        turns.append(action["assigned_to"]["user"])
    assert turns == ["anna", "ben", "anna", "ben", "anna"]
    # what a member hands back waits in the group's queue
    await daemon.call("take", id=action["id"], user="anna")
    assert (await daemon.call("release", id=action["id"]))["assigned_to"] == {"queue": "seniors"}
    # the fake system's answer has `checked`, which is in the case's data when the rule is asked
    assert (await failed(daemon, case="C-1", owner="olga"))["assigned_to"] == {"user": "olga"}
    assert (await failed(daemon, case="C-2", owner="zoe"))["assigned_to"] == {"queue": "default"}
    silent = await daemon.call("submit", system="erp", case="C-1", data={"play": "silent"})
    assert (await daemon.until(silent["id"], "todo"))["assigned_to"] == {"queue": "late-answers"}


async def test_rule_04_a_rule_that_fails_is_logged_once_and_the_next_one_decides(
    daemon: DaemonProcess, configure: Configure
) -> None:
    configure(extra=PEOPLE)
    await daemon.start()
    for _ in range(3):
        assert (await failed(daemon, data={"amount": 1}))["assigned_to"] == {"queue": "default"}
    lines = [line for line in daemon.log().splitlines() if "an allocation rule failed" in line]
    assert len(lines) == 1
    told = json.loads(lines[0])
    assert told["rule"] == "allocation[3].when"
    assert "In function length(), invalid type for value: 1" in told["error"]


async def test_rules_are_reloaded_and_a_wrong_one_changes_nothing(daemon: DaemonProcess, configure: Configure) -> None:
    configure(extra=PEOPLE)
    await daemon.start()
    ctl = Ctl(daemon)
    configure(extra=PEOPLE.replace("data.amount > `1000`", "data.amount >").replace('group = "seniors"', 'group = "s"'))
    refused = await ctl("reload", code=1)
    line = daemon.config_file.read_text().splitlines().index('when = "data.amount >"') + 1
    assert f"{daemon.config_file}:{line}: allocation[0].when: is no JMESPath" in refused
    assert "Incomplete expression" in refused
    assert 'allocation[0].group: there is no group "s"; groups: seniors' in refused
    assert (await failed(daemon, data={"amount": 1001}))["assigned_to"] == {"user": "anna"}
    # the group changes while it is anna's turn that was last
    configure(extra=PEOPLE.replace('["anna", "ben"]', '["zoe", "anna", "eva"]'))
    plan = json.loads(await ctl("reload", "--plan", "--json"))["plan"]
    assert [(change["key"], change["new"]) for change in plan["other"]] == [("groups.seniors", "[zoe, anna, eva]")]
    await ctl("reload")
    assert (await failed(daemon, data={"amount": 1001}))["assigned_to"] == {"user": "eva"}
    assert (await failed(daemon, data={"amount": 1001}))["assigned_to"] == {"user": "zoe"}


async def test_queues_and_lists_of_work(daemon: DaemonProcess, configure: Configure) -> None:
    configure(extra=PEOPLE)
    await daemon.start()
    ctl = Ctl(daemon)
    annas = await failed(daemon, data={"amount": 2000})
    bens = await failed(daemon, data={"amount": 2000})
    first = await failed(daemon)
    second = await failed(daemon)
    handed_on = await failed(daemon)
    closed = await failed(daemon)
    await daemon.call("take", id=bens["id"], user="ben")
    await daemon.call("take", id=second["id"], user="eva")
    await daemon.call("assign", id=handed_on["id"], queue="back-office")
    await daemon.call("complete", id=closed["id"])

    view = json.loads(await ctl("queues", "--json"))
    now = await daemon.call("queues")
    assert [item | {"oldest_seconds": None} for item in view["queues"]] == [
        item | {"oldest_seconds": None} for item in now["queues"]
    ]
    queues = {queue["name"]: queue for queue in view["queues"]}
    assert list(queues) == ["default", "back-office", "late-answers", "never", "seniors"]
    numbers = {name: (queue["todo"], queue["in_progress"]) for name, queue in queues.items()}
    assert numbers == {
        "default": (1, 1),
        "back-office": (1, 0),
        "late-answers": (0, 0),
        "never": (0, 0),
        "seniors": (1, 1),
    }
    assert queues["back-office"]["description"] == "what others hand on"
    assert queues["default"]["oldest_at"] == first["todo_at"]
    assert 0 < queues["default"]["oldest_seconds"] < 60
    assert (queues["never"]["oldest_at"], queues["never"]["oldest_seconds"]) == (None, None)
    people = {person["user"]: (person["todo"], person["in_progress"]) for person in view["people"]}
    assert people == {"anna": (1, 0), "ben": (0, 1), "eva": (0, 1)}

    printed = await ctl("queues")
    assert "QUEUE" in printed
    assert [line.split()[:3] for line in printed.splitlines() if line.startswith("back-office")] == [
        ["back-office", "1", "0"]
    ]
    assert "what others hand on" in printed
    assert [line.split()[:3] for line in printed.splitlines() if line.startswith("eva")] == [["eva", "0", "1"]]

    async def listed(*args: str) -> list[str]:
        answer = json.loads(await ctl("list", *args, "--json"))
        return [action["id"] for action in answer["actions"]]

    assert await listed("--queue", "default") == [second["id"], first["id"]]
    assert await listed("--queue", "seniors") == [bens["id"], annas["id"]]
    assert await listed("--user", "ben") == [bens["id"]]
    assert await listed("--queue", "seniors", "--state", "todo") == [annas["id"]]
    work = await ctl("list", "--user", "anna")
    assert annas["id"] in work
    assert "user anna" in work
    assert "Vendor unknown" in work
    assert "'queue' and 'user' find To Do and In Progress" in await ctl(
        "list", "--queue", "q", "--state", "closed", code=1
    )

    # a queue that the file does not name any more shows as long as it has actions
    configure(extra=PEOPLE.replace("back-office", "front-office"))
    await ctl("reload")
    left = {queue["name"]: queue["known"] for queue in json.loads(await ctl("queues", "--json"))["queues"]}
    assert (left["back-office"], left["front-office"]) == (False, True)
    assert "back-office (not configured)" in await ctl("queues")
    await daemon.call("complete", id=handed_on["id"])
    assert "back-office" not in await ctl("queues")


async def test_rule_05_each_command_for_people_and_for_scripts(daemon: DaemonProcess, configure: Configure) -> None:
    configure(extra=PEOPLE)
    await daemon.start()
    ctl = Ctl(daemon)
    action_id = (await failed(daemon))["id"]

    async def both(label: str, assigned: dict[str, str], *args: str, undo: tuple[str, ...] | None = None) -> None:
        """Once as people use it and, after ``undo``, once as scripts do."""
        printed = await ctl(*args)
        assert printed.startswith(f"{action_id}  {label}")
        assert " ".join(*assigned.items()) in printed
        if undo is not None:
            await ctl(*undo)
            answer = json.loads(await ctl(*args, "--json"))
            assert (answer["label"], answer["assigned_to"]) == (label, assigned)
            shown = await daemon.call("show", id=action_id)
            assert answer == shown

    take, release = ("take", action_id, "--as", "ben"), ("release", action_id)
    await both("In Progress", {"user": "ben"}, *take, undo=release)
    await both("To Do", {"queue": "default"}, *release, undo=take)
    to_user = ("assign", action_id, "--to", "user:eva")
    await both("To Do", {"queue": "back-office"}, "assign", action_id, "--to", "queue:back-office", undo=to_user)
    await both("To Do", {"user": "eva"}, *to_user, undo=("assign", action_id, "--to", "queue:default"))

    by_hand = [row for row in await history(daemon, action_id) if row["rules"] == "5"]
    assert len({row["who"] for row in by_hand} - {"callback", "scheduler"}) == 1
    assert [row["why"] for row in by_hand] == [
        *["taken by a person: ben", "handed back"] * 3,
        *["handed on: to queue back-office", "handed on: to user eva"] * 2,
        "handed on: to queue default",
        "handed on: to user eva",
    ]

    for args, label in (
        (("complete", "{}", "--data", '{"invoice": 7}', "--note", "by phone"), "Closed - Done Successfully"),
        (("complete", "{}", "--unsuccessful", "--note", "gone"), "Closed - Not Done Successfully"),
    ):
        for scripted in (False, True):
            subject = (await failed(daemon, case="C-9", owner="zoe"))["id"]
            command = [part.format(subject) if part == "{}" else part for part in args]
            printed = await ctl(*command, *(["--json"] if scripted else []))
            assert (json.loads(printed)["label"] == "Closed") if scripted else (label in printed)
            last = (await history(daemon, subject))[-1]
            assert (last["to"], last["rules"], last["note"]) == ("closed", "5", args[-1])
    assert (await daemon.call("case", id="C-9"))["data"]["invoice"] == 7
    for scripted in (False, True):
        subject = (await daemon.call("submit", system="erp", data={"play": "silent"}))["id"]
        await daemon.until(subject, "waiting")
        printed = await ctl("cancel", subject, "--note", "not needed", *(["--json"] if scripted else []))
        assert (json.loads(printed)["state"] == "closed") if scripted else ("Not Done Successfully" in printed)
        assert (await history(daemon, subject))[-1]["note"] == "not needed"


@pytest.mark.parametrize("scripted", [(), ("--json",)], ids=["people", "scripts"])
async def test_what_cannot_be_had_is_refused_with_the_reason_and_changes_nothing(
    scripted: tuple[str, ...], daemon: DaemonProcess, configure: Configure
) -> None:
    configure(extra=PEOPLE)
    await daemon.start()
    ctl = Ctl(daemon)
    waiting, taken, closed = [(await failed(daemon))["id"] for _ in range(3)]
    await daemon.call("take", id=taken, user="ben")
    await daemon.call("complete", id=closed, note="done")
    ids = (waiting, taken, closed)
    before = [(await daemon.call("show", id=each), await history(daemon, each)) for each in ids]

    known = "known queues: default, back-office, late-answers, never, seniors"
    for command, reason in (
        (("take", taken, "--as", "eva"), "ben has taken it (In Progress); it has to be released first"),
        (("complete", closed), "it is closed"),
        (("complete", closed, "--unsuccessful"), "it is closed"),
        (("take", closed, "--as", "eva"), "it is closed"),
        (("release", closed), "it is closed"),
        (("release", waiting), "nobody has taken it"),
        (("assign", closed, "--to", "queue:default"), "it is closed"),
        (("cancel", taken, "--note", "n"), "ben has taken it (In Progress); complete --unsuccessful closes it"),
        (
            ("assign", waiting, "--to", "queue:back-ofice"),
            f'there is no queue "back-ofice"; did you mean "back-office"? {known}',
        ),
        (("assign", taken, "--to", "queue:xyz"), f'there is no queue "xyz"; {known}'),
    ):
        assert (await ctl(*command, *scripted, code=1)).strip() == f"connectorctl: {reason}"
    with pytest.raises(RequestFailed) as caught:
        await daemon.call("assign", id=waiting, queue="back-ofice")
    assert caught.value.code == -32001
    with pytest.raises(RequestFailed) as caught:
        await daemon.call("take", id=taken, user="eva")
    assert (caught.value.code, (caught.value.data or {})["state"]) == (-32002, "in_progress")

    assert [(await daemon.call("show", id=each), await history(daemon, each)) for each in ids] == before


async def test_two_who_take_at_once(daemon: DaemonProcess, configure: Configure) -> None:
    await daemon.start()
    action_id = (await failed(daemon))["id"]
    outcomes: dict[str, str] = {}

    async def take(user: str) -> None:
        try:
            await daemon.call("take", id=action_id, user=user)
            outcomes[user] = "has it"
        except RequestFailed as error:
            outcomes[user] = str(error)

    async with trio.open_nursery() as nursery:
        for user in ("anna", "ben", "eva"):
            nursery.start_soon(take, user)
    (winner,) = [user for user, outcome in outcomes.items() if outcome == "has it"]
    assert (await daemon.call("show", id=action_id))["assigned_to"] == {"user": winner}
    assert all(outcome.startswith(f"{winner} has taken it") for user, outcome in outcomes.items() if user != winner)
