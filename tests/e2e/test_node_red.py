"""Node-RED as an external system: it takes, waits and calls back, and goes down in the middle of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
from connectord.client import AsyncClient, Submit
from connectord.control.results import Action
from connectord.testing.daemon_process import DaemonProcess
from helpers.nodered import TOKEN, NodeRed, node_red, require_node_red
from helpers.ports import lasting_port

RETRY_LIMIT = 60
# how 20 actions are played; the mixture repeats
PLAYS = ["succeed"] * 14 + ["fail"] * 2 + ["reject"] * 2 + ["answer"] * 2
UNFINISHED = {"pending", "attempting", "waiting"}


@pytest.fixture
def callback_port() -> int:
    return lasting_port()


@pytest.fixture
def command() -> list[str]:
    return require_node_red()


@pytest.fixture
async def peer(command: list[str], tmp_path: Path, callback_port: int) -> AsyncIterator[NodeRed]:
    with node_red(command, tmp_path / "node-red", f"http://127.0.0.1:{callback_port}/callback/") as peer:
        await peer.start()
        yield peer


@pytest.fixture
async def started(tmp_path: Path, peer: NodeRed, callback_port: int) -> AsyncIterator[DaemonProcess]:
    """A daemon with the systems ``books`` and, in the other dialect, ``enate``; ``hasty`` waits 5 s for a response."""
    daemon = DaemonProcess(tmp_path, {"NODE_RED_AUTHORIZATION": f"Bearer {TOKEN}"})
    systems = [("books", "connectord", "1h"), ("enate", "enate", "1h"), ("hasty", "connectord", "5s")]
    daemon.configure(
        daemon.head(callback_port)
        + f'[retry]\nlimit = {RETRY_LIMIT}\ndelay = "250ms"\nfactor = 1.5\nmax_delay = "1s"\n'
        + "".join(
            f'[systems.{name}]\nadapter = "http"\ntimeout = "{timeout}"\nheartbeat_extends = true\n'
            f'[systems.{name}.http]\nurl = "{peer.url}"\ndialect = "{dialect}"\n'
            'headers.Authorization = { env = "NODE_RED_AUTHORIZATION" }\n'
            for name, dialect, timeout in systems
        )
    )
    await daemon.start()
    yield daemon
    daemon.kill()


def play(number: int, kind: str) -> dict[str, Any]:
    return {"play": kind, "amount": number, "vendor": f"V{number}"}


def assert_ended_as_its_data_says(action: Action) -> None:
    number, kind = action.data["amount"], action.data["play"]
    end = (action.state, action.resolution, action.reason, action.rejected_reason)
    match kind:
        case "succeed" | "answer" | "progress":
            assert end == ("closed", "done_successfully", None, None), action
            assert action.response_data["booked"] == number, action
        case "fail":
            assert end == ("todo", None, "updated_by_integration", f"the vendor V{number} is unknown"), action
        case "reject":
            assert end == ("todo", None, "updated_by_integration", f"the vendor V{number} is blocked"), action
    assert ("reference" in action.response_data) is (kind != "reject"), action
    assert not action.late_responses, action


def assert_attempts_fit(outcomes: list[str | None], kind: str) -> None:
    """All but the last could not connect; a callback may also outrun the try after a lost answer (rule 15)."""
    assert set(outcomes[:-1]) <= {"not_connected"}, outcomes
    ends = {"answer": {"succeeded"}, "reject": {"rejected"}}.get(kind, {"taken", "not_connected"})
    assert outcomes[-1] in ends, (kind, outcomes)


async def until_all_ended(client: AsyncClient) -> None:
    while not UNFINISHED.isdisjoint(state for state, count in (await client.status()).counts.items() if count):
        await trio.sleep(0.1)


async def test_1000_actions_end_as_their_data_says_though_node_red_is_killed_in_between(
    started: DaemonProcess, peer: NodeRed
) -> None:
    async with AsyncClient(started.socket) as client:
        with trio.fail_after(150):
            await client.submit_many(
                [
                    Submit("books", case=f"C-{number // 10}", key=f"job-{number}", data=play(number, kind))
                    for number, kind in enumerate(PLAYS * 50)
                ]
            )
            while len(peer.events("seen")) < 300:
                await trio.sleep(0.02)
            peer.kill()
            owed = peer.owed()
            assert owed, "it was killed with nothing left to do"
            while {item.name: item.health for item in (await client.systems()).systems}["books"] != "failing":
                await trio.sleep(0.02)
            await peer.start()
            await until_all_ended(client)
        actions = [action async for action in client.iter_actions(system="books", limit=500)]
        assert len(actions) == 1000
        failed = 0
        for action in actions:
            assert_ended_as_its_data_says(action)
            attempts = (await client.attempts(action.id)).attempts
            assert [item.number for item in attempts] == list(range(1, action.attempts + 1))
            assert action.attempts <= RETRY_LIMIT
            outcomes = [item.outcome for item in attempts]
            assert_attempts_fit(outcomes, action.data["play"])
            failed += outcomes.count("not_connected")
    assert failed >= 1
    assert sum((await started.call("status"))["counts"].values()) == 200
    peer.assert_one_key_for_each_action({action.id: action.attempts for action in actions})
    await until_nothing_is_owed(peer)
    worked_on = {action.id for action in actions if action.data["play"] in ("succeed", "fail")}
    assert set(peer.done()) == worked_on >= set(owed)


async def until_nothing_is_owed(peer: NodeRed) -> None:
    # it puts a job away once it has read connectord's answer
    with trio.fail_after(20):
        while peer.owed():
            await trio.sleep(0.05)


async def test_the_flow_speaks_the_dialect_enate_too(started: DaemonProcess, peer: NodeRed) -> None:
    async with AsyncClient(started.socket) as client:
        kinds = ["succeed", "fail", "reject", "answer", "progress"] * 4
        await client.submit_many([Submit("enate", data=play(number, kind)) for number, kind in enumerate(kinds)])
        with trio.fail_after(60):
            await until_all_ended(client)
        actions = [action async for action in client.iter_actions(system="enate")]
    assert len(actions) == 20
    for action in actions:
        assert_ended_as_its_data_says(action)
    peer.assert_one_key_for_each_action({action.id: action.attempts for action in actions})


async def test_heartbeats_are_shown_and_silence_ends_as_timeout_rules_4_and_21(started: DaemonProcess) -> None:
    async with AsyncClient(started.socket) as client:
        beating = await client.submit("hasty", data=play(1, "progress"))
        silent = await client.submit("hasty", data=play(2, "silent"))
        done = await client.wait(beating.id, timeout=60)
        assert_ended_as_its_data_says(done)
        assert done.progress is not None
        assert (done.progress.text, done.progress.percent) == ("booking", 75)
        timed_out = await client.wait(silent.id, timeout=60)
    assert (timed_out.state, timed_out.reason, timed_out.attempts) == ("todo", "timeout", 1)


async def test_what_the_flow_cannot_write_down_is_tried_again(started: DaemonProcess, peer: NodeRed) -> None:
    owed = peer.jobs / "owed"
    owed.rename(peer.jobs / "away")
    async with AsyncClient(started.socket) as client:
        action = await client.submit("books", data=play(1, "succeed"))
        with trio.fail_after(30):
            while (card := await client.show(action.id)).connection_error is None:
                await trio.sleep(0.05)
        assert card.connection_error.message == "HTTP 503 Service Unavailable"
        (peer.jobs / "away").rename(owed)
        assert_ended_as_its_data_says(await client.wait(action.id, timeout=60))


async def test_the_flow_refuses_who_does_not_know_its_token(started: DaemonProcess) -> None:
    started.configure(started.config_file.read_text().replace('{ env = "NODE_RED_AUTHORIZATION" }', '"Bearer guess"'))
    async with AsyncClient(started.socket) as client:
        assert (await client.reload()).applied
        action = await client.wait((await client.submit("books", data=play(1, "succeed"))).id, timeout=60)
    assert (action.state, action.rejected_reason) == ("todo", "the token is missing or wrong")


async def test_responses_that_come_while_the_daemon_is_down_are_taken_after(
    started: DaemonProcess, peer: NodeRed
) -> None:
    submitted = [{"system": "books", "data": play(number, "succeed")} for number in range(20)]
    actions = (await started.call("submit_many", actions=submitted))["actions"]
    with trio.fail_after(60):
        while len(peer.events("taken")) < 20:
            await trio.sleep(0.02)
        started.kill()
        while "connect ECONNREFUSED" not in peer.log():
            await trio.sleep(0.05)
        await started.start()
        async with AsyncClient(started.socket) as client:
            ends = [await client.wait(action["id"]) for action in actions]
    for end in ends:
        assert_ended_as_its_data_says(end)
    await until_nothing_is_owed(peer)
    # an attempt whose answer the daemon did not live to read was interrupted, and came again (rule 14)
    peer.assert_one_key_for_each_action({end.id: end.attempts for end in ends})


async def test_the_flow_makes_one_job_of_one_key(peer: NodeRed) -> None:
    action = {"id": "A-1", "attempt": 1, "data": play(1, "succeed")}
    async with peer.client() as client:
        answers = [await client.post("", json={"action": action, "callback_url": None}) for _ in range(2)]
        await until_done(peer, 1)
        answers.append(await client.post("", json={"action": action, "callback_url": None}))
    assert [answer.status_code for answer in answers] == [202] * 3
    assert {answer.json()["reference"] for answer in answers} == {peer.done()["A-1"]["reference"]}
    assert (len(peer.events("taken")), len(peer.events("known"))) == (1, 2)


async def test_the_flow_stops_calling_back_where_connectord_refuses_it(
    started: DaemonProcess, peer: NodeRed, callback_port: int
) -> None:
    action = {"id": "A-1", "attempt": 1, "data": play(1, "succeed")}
    url = f"http://127.0.0.1:{callback_port}/callback/nonsense"
    async with peer.client() as client:
        assert (await client.post("", json={"action": action, "callback_url": url})).status_code == 202
    await until_done(peer, 1)
    assert "connectord refused the response to A-1: 404" in peer.log()


async def test_the_flow_says_what_is_wrong(peer: NodeRed) -> None:
    elsewhere = {"action": {"id": "A-1", "data": {}}, "callback_url": "http://127.0.0.1:1/elsewhere"}
    bad: list[tuple[dict[str, str], dict[str, Any], str]] = [
        ({"Idempotency-Key": "../x"}, {}, "the Idempotency-Key is missing, or no plain word"),
        ({}, {"action": {"id": "A-1"}}, "there is no action in the body"),
        ({}, elsewhere, "the callback address is not connectord's"),
    ]
    async with peer.client() as client:
        for headers, body, detail in bad:
            answer = await client.post("", json=body, headers=headers)
            assert (answer.status_code, answer.json()["detail"]) == (400, detail)
    assert peer.owed() == peer.done() == {}


async def until_done(peer: NodeRed, count: int) -> None:
    with trio.fail_after(20):
        while len(peer.done()) < count:
            await trio.sleep(0.05)
