"""Both clients with a real daemon and a real system."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest
import trio
from connectord.client import AsyncClient, Client, Submit
from connectord.errors import (
    BadRequest,
    ConfigurationInvalid,
    DaemonUnreachable,
    DoesNotExist,
    KeyTaken,
    NoSuchMethod,
    WrongState,
)
from connectord.testing.daemon_process import DaemonProcess

Configure = Callable[..., None]
T = TypeVar("T")


@pytest.fixture
async def running(daemon: DaemonProcess, configure: Configure) -> DaemonProcess:
    await daemon.start()
    return daemon


async def blocking(daemon: DaemonProcess, use: Callable[[Client], T]) -> T:
    """Use a blocking client in a thread."""

    def in_thread() -> T:
        with Client(daemon.socket) as client:
            return use(client)

    with trio.fail_after(60):
        return await trio.to_thread.run_sync(in_thread)


async def test_the_blocking_client_goes_through_an_actions_life(running: DaemonProcess) -> None:
    def use(client: Client) -> None:
        action = client.submit("erp", case="C-1", owner="anna", key="K", data={"play": "fail"})
        assert client.submit("erp", case="C-1", owner="anna", key="K", data={"play": "fail"}).id == action.id
        todo = client.wait(action.id, timeout=20)
        assert (todo.state, todo.reason, todo.rejected_reason) == ("todo", "updated_by_integration", "Vendor unknown")
        assert client.wait(action.id, timeout=20) == todo
        assert client.take(action.id, "ben").assigned_to == {"user": "ben"}
        assert client.release(action.id).assigned_to == {"queue": "default"}
        assert client.assign(action.id, queue="default").assigned_to == {"queue": "default"}
        closed = client.complete(action.id, resolution="not_done_successfully", note="gone")
        assert (closed.state, closed.resolution) == ("closed", "not_done_successfully")
        history = client.history(action.id).history
        assert (history[0].from_, history[0].to, history[-1].note) == (None, "pending", "gone")
        assert [item.outcome for item in client.attempts(action.id).attempts] == ["taken"]
        again = client.rerun(resolution="not_done_successfully")
        assert (again.count, again.actions[0].rerun_of) == (1, action.id)
        assert {item.id for item in client.case("C-1").actions} == {action.id, again.actions[0].id}

    await blocking(running, use)


async def test_the_trio_client_goes_through_an_actions_life(running: DaemonProcess) -> None:
    with trio.fail_after(60):
        async with AsyncClient(running.socket) as client:
            action = await client.submit("erp", case="C-1", data={"play": "fail"})
            todo = await client.wait(action.id)
            assert (todo.state, todo.rejected_reason) == ("todo", "Vendor unknown")
            assert (await client.take(action.id, "ben")).state == "in_progress"
            closed = await client.complete(action.id, data={"by": "hand"})
            assert (closed.resolution, (await client.case("C-1")).data["by"]) == ("done_successfully", "hand")
            assert (await client.rerun(ids=[action.id], dry_run=True)).count == 1
            assert {item.name for item in (await client.systems()).systems} == {"erp", "depot"}
            assert (await client.pause("erp")).paused
            assert not (await client.resume("erp")).paused
            assert (await client.config_history()).running == 1
            assert not (await client.reload(plan=True)).applied


async def test_refusals_are_exceptions_with_their_details(running: DaemonProcess) -> None:
    closed = (await running.call("submit", system="erp", key="K", data={"play": "answer"}))["id"]
    await running.until(closed, "closed")
    running.configure(running.config_file.read_text() + "[nonsense]\n")

    def use(client: Client) -> None:
        with pytest.raises(DoesNotExist, match="no system 'earp'"):
            client.submit("earp")
        with pytest.raises(DoesNotExist):
            client.wait("01J")
        with pytest.raises(WrongState) as refused:
            client.retry(closed)
        assert (refused.value.state, "rerun" in refused.value.reason) == ("closed", True)
        with pytest.raises(KeyTaken):
            client.submit("erp", key="K", data={"other": 1})
        with pytest.raises(BadRequest, match="assign: give a queue or a user"):
            client.assign(closed)
        with pytest.raises(BadRequest, match="submit: .*due_at|due_at"):
            client.submit("erp", due_at="tomorrow")
        with pytest.raises(ConfigurationInvalid) as invalid:
            client.reload()
        (problem,) = invalid.value.errors
        assert (problem.key, problem.line > 1) == ("nonsense", True)
        with pytest.raises(WrongState, match="will not be todo any more"):
            client.wait(closed, states=["todo"])

    await blocking(running, use)
    async with AsyncClient(running.socket) as client:
        with pytest.raises(WrongState):
            await client.retry(closed)
        with pytest.raises(NoSuchMethod, match="did you mean 'submit'"):
            await client._request("submitt", Submit(system="erp"), type(await client.status()))
        with pytest.raises(BadRequest):
            async with client.watch(id=""):
                raise AssertionError("not refused")


async def test_many_wait_at_once_and_none_misses_its_outcome(running: DaemonProcess) -> None:
    states: list[str] = []
    with trio.fail_after(60):
        async with AsyncClient(running.socket) as client, trio.open_nursery() as nursery:

            async def carry_out(number: int) -> None:
                # an answer at once, so that the outcome races with the waiting
                action = await client.submit("erp", key=f"K{number}", data={"play": "answer"})
                states.append((await client.wait(action.id)).state)

            for number in range(300):
                nursery.start_soon(carry_out, number)
    assert states == ["closed"] * 300


async def test_waiting_one_by_one_misses_nothing_either(running: DaemonProcess) -> None:
    def use(client: Client) -> None:
        for _ in range(40):
            assert client.wait(client.submit("erp", data={"play": "answer"}).id, timeout=20).state == "closed"

    await blocking(running, use)


async def test_a_watch_tells_every_change_from_its_beginning_on(running: DaemonProcess) -> None:
    with trio.fail_after(60):
        async with AsyncClient(running.socket) as client:
            for _ in range(20):
                async with client.watch(system="erp") as events:
                    action = await client.submit("erp", data={"play": "answer"})
                    seen = []
                    async for event in events:
                        if event.action == action.id:
                            seen.append((event.from_, event.to))
                            if event.to == "closed":
                                break
                assert seen == [(None, "pending"), ("pending", "attempting"), ("attempting", "closed")]


async def test_pages_have_every_action_once(running: DaemonProcess) -> None:
    def use(client: Client) -> None:
        many = client.submit_many([Submit(system="depot", due_at="2099-01-01T00:00:00Z") for _ in range(25)]).actions
        newest_first = sorted((item.id for item in many), reverse=True)
        assert [item.id for item in client.iter_actions(system="depot", limit=10)] == newest_first
        assert list(client.iter_actions(system="erp")) == []

    await blocking(running, use)
    async with AsyncClient(running.socket) as client:
        assert len([item async for item in client.iter_actions(state="pending", limit=7)]) == 25


async def test_both_go_on_after_the_daemon_was_killed_and_started(running: DaemonProcess) -> None:
    with trio.fail_after(60):
        async with AsyncClient(running.socket) as client:
            action = await client.submit("erp", data={"play": "silent"})
            await client.wait(action.id, states=["waiting"])
            async with trio.open_nursery() as nursery:

                async def wait() -> None:
                    with pytest.raises(DaemonUnreachable):
                        await client.wait(action.id)

                nursery.start_soon(wait)
                await trio.sleep(0.2)
                running.kill()
            with pytest.raises(DaemonUnreachable):
                await client.status()
            await running.start()
            assert (await client.show(action.id)).state == "waiting"

    def start_anew() -> None:
        trio.from_thread.run_sync(running.kill)
        trio.from_thread.run(running.start)

    def use(blocking_client: Client) -> None:
        assert blocking_client.show(action.id).state == "waiting"
        start_anew()
        assert blocking_client.show(action.id).state == "waiting"

    await blocking(running, use)


async def test_a_drain_ends_a_watch(running: DaemonProcess) -> None:
    with trio.fail_after(60):
        async with AsyncClient(running.socket) as client, client.watch() as events:
            assert (await client.shutdown()).stopping
            with pytest.raises(DaemonUnreachable):
                await anext(events)
    assert await running.wait() == 0
