"""The outbox is delivered, at least once, by every way that [notify] knows; with real programs and real servers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
import trio
import trio.testing
from connectord.config import NotifySettings, SmtpSettings
from connectord.ledger.operations import HastenNotifications, SettleNotifications
from connectord.store.base import DeliveryReport
from helpers.http_server import Request, Response, serve
from helpers.owners import be_patient, hurry, notifying
from helpers.ports import lasting_port
from helpers.processes import is_alive


@pytest.fixture
def logged() -> Iterator[list[dict[str, object]]]:
    with structlog.testing.capture_logs() as entries:
        yield entries  # type: ignore[misc]


# -- commands


async def test_a_command_gets_the_notice_on_its_input(tmp_path: Path) -> None:
    target = tmp_path / "mail"
    settings = NotifySettings("command", command=("/bin/sh", "-c", f"cat >> {target}"))
    async with notifying(tmp_path, settings) as owners:
        (action_id,) = await owners.give_up(owner="anna", case_id="C-1")
        await owners.delivered()
    notice = json.loads(target.read_text())
    assert (notice["action"], notice["owner"], notice["case"]) == (action_id, "anna", "C-1")
    assert (notice["notice"], notice["id"]) == ("attempts_exhausted", f"{action_id}-1")
    assert "Closed - Not Done Successfully" in notice["text"]


async def test_a_command_that_fails_is_named_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch)
    settings = NotifySettings("command", command=("/bin/sh", "-c", "echo no such list >&2; exit 7"))
    async with notifying(tmp_path, settings) as owners:
        await owners.give_up(owner="anna")
        assert await owners.until(1) == [(1, "/bin/sh exited with 7: no such list", False)]
        assert owners.notifier.channel.failures == 0


async def test_a_command_that_hangs_is_stopped_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_patient(monkeypatch)
    monkeypatch.setattr("connectord.notifier.command.COMMAND_SECONDS", 1.5)
    monkeypatch.setattr("connectord.notifier.command.TERMINATE_SECONDS", 0.2)
    pid_file = tmp_path / "pid"
    script = f"trap '' TERM; sleep 300 & echo $! > {pid_file}; wait; wait; sleep 300"
    async with notifying(tmp_path, NotifySettings("command", command=("/bin/sh", "-c", script))) as owners:
        await owners.give_up(owner="anna")
        assert await owners.until(1) == [(1, "/bin/sh did not end within 1.5 s and was stopped", False)]
        assert owners.notifier.channel.failures == 1
    child = int(pid_file.read_text())
    with trio.fail_after(5):
        while is_alive(child):
            await trio.sleep(0.02)


async def test_of_a_command_that_prints_much_the_end_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch)
    script = "head -c 30000000 /dev/zero | tr '\\0' x | tee /dev/stderr; echo the end >&2; exit 3"
    async with notifying(tmp_path, NotifySettings("command", command=("/bin/sh", "-c", script))) as owners:
        await owners.give_up(owner="anna")
        ((_, error, done),) = await owners.until(1)
        assert not done
        assert error is not None
        assert error.startswith("/bin/sh exited with 3: xxx")
        assert error.endswith("x" * 100 + "the end")
        assert len(error) < 600


async def test_a_command_whose_child_lives_on_is_not_waited_for(tmp_path: Path) -> None:
    script = "sleep 300 & echo $! > pid; exit 0"
    settings = NotifySettings("command", command=("/bin/sh", "-c", f"cd {tmp_path}; {script}"))
    async with notifying(tmp_path, settings) as owners:
        await owners.give_up(owner="anna")
        await owners.delivered()
    os.kill(int((tmp_path / "pid").read_text()), 9)


async def test_a_command_that_is_not_there_holds_up_the_channel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_patient(monkeypatch)
    async with notifying(tmp_path, NotifySettings("command", command=("/nonexistent/notify",))) as owners:
        await owners.give_up(owner="anna")
        error = "/nonexistent/notify cannot be started: No such file or directory"
        assert await owners.until(1) == [(1, error, False)]
        assert (owners.notifier.channel.failures, owners.notifier.channel.error) == (1, error)


# -- webhooks


async def test_a_webhook_that_answers_500_for_a_while_gets_it_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch)
    seen: list[Request] = []

    async def moody(request: Request) -> Response:
        seen.append(request)
        return Response(500 if len(seen) < 3 else 204)

    async with serve(moody) as url, notifying(tmp_path, NotifySettings("webhook", url=url)) as owners:
        (action_id,) = await owners.give_up(owner="anna")
        await owners.delivered()
        assert owners.outbox() == [(3, None, True)]
    assert len({request.body for request in seen}) == 1
    assert {request.headers["idempotency-key"] for request in seen} == {f"{action_id}-1"}


async def test_one_that_is_refused_does_not_hold_up_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch)

    async def picky(request: Request) -> Response:
        return Response(410 if request.json()["owner"] == "gone" else 204)

    async with serve(picky) as url, notifying(tmp_path, NotifySettings("webhook", url=url)) as owners:
        await owners.give_up(owner="gone")
        await owners.give_up(20, owner="anna")
        await owners.delivered(20)
        assert owners.outbox()[0] == (1, "HTTP 410", False)
        assert owners.notifier.channel.failures == 0


async def test_a_channel_that_is_down_is_what_pauses_not_every_notification(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectord.notifier.notifier.CHANNEL_FIRST_PAUSE_MS", 50)
    monkeypatch.setattr("connectord.notifier.notifier.CHANNEL_LONGEST_PAUSE_MS", 50)
    order: list[str] = []
    answers = [503] * 24

    async def gateway(request: Request) -> Response:
        if answers:
            return Response(answers.pop())
        order.append(request.json()["action"])
        return Response(204)

    monkeypatch.setattr("connectord.notifier.channels.WebhookChannel.at_once", 1)
    async with serve(gateway) as url, notifying(tmp_path, NotifySettings("webhook", url=url)) as owners:
        await owners.give_up(200, owner="anna")
        assert owners.world.ledger.undelivered_since is not None
        await owners.delivered(200)
        assert (owners.world.ledger.undelivered, owners.world.ledger.undelivered_since) == (0, None)
        # all 24 refusals were met by the oldest one
        assert [row[0] for row in owners.outbox()] == [25] + [1] * 199
        assert order == [record.row.action_id for record in owners.records()]


async def test_one_that_never_answers_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    monkeypatch.setattr("connectord.notifier.channels.WEBHOOK_SECONDS", 0.2)
    monkeypatch.setattr("connectord.notifier.channels.WebhookChannel.at_once", 1)

    async def sleepy(request: Request) -> Response:
        return Response(204, ending="hang" if request.json()["owner"] == "poison" else "keep")

    async with serve(sleepy) as url, notifying(tmp_path, NotifySettings("webhook", url=url)) as owners:
        await owners.give_up(owner="poison")
        await owners.give_up(5, owner="anna")
        await owners.delivered(5)
        assert owners.outbox()[0][1:] == ("no answer within 0.2 s", False)


# -- the rounds


async def test_a_round_is_one_question_to_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch)
    asked: list[int] = []
    async with notifying(tmp_path, NotifySettings("log"), running=False) as owners, trio.open_nursery() as nursery:
        await owners.give_up(120, owner="anna")
        insist = owners.world.ledger.insist

        async def counting(operation: object) -> object:
            if isinstance(operation, SettleNotifications):
                asked.append(len(operation.reports))
            return await insist(operation)  # type: ignore[arg-type]

        monkeypatch.setattr(owners.world.ledger, "insist", counting)
        nursery.start_soon(owners.notifier.run)
        await owners.delivered(120)
        await trio.testing.wait_all_tasks_blocked()
        assert asked == [0, 50, 50, 20]
        nursery.cancel_scope.cancel()


async def test_a_stop_ends_what_is_under_way_and_begins_nothing_new(tmp_path: Path) -> None:
    came, go_on = trio.Event(), trio.Event()
    seen: list[str] = []

    async def slow(request: Request) -> Response:
        seen.append(request.json()["action"])
        if len(seen) == 8:
            came.set()
        await go_on.wait()
        return Response(204)

    async with serve(slow) as url, notifying(tmp_path, NotifySettings("webhook", url=url), running=False) as owners:
        await owners.give_up(20, owner="anna")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(owners.notifier.run)
            with trio.fail_after(10):
                await came.wait()
            owners.notifier.stop()
            go_on.set()
        assert [row[2] for row in owners.outbox()].count(True) == len(seen) == 8


async def test_a_stop_while_nothing_is_due_returns_at_once(tmp_path: Path) -> None:
    async with notifying(tmp_path, NotifySettings("log"), running=False) as owners:
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(owners.notifier.run)
                await trio.testing.wait_all_tasks_blocked()
                owners.notifier.stop()


async def test_nobody_to_notify_is_seen_and_not_tried_again(tmp_path: Path, logged: list[dict[str, object]]) -> None:
    async with notifying(tmp_path, NotifySettings("log")) as owners:
        await owners.give_up()
        await owners.delivered()
        words = "nobody to notify: neither the action nor its case has an owner"
        assert owners.outbox() == [(1, words, True)]
        assert words in [entry["event"] for entry in logged]
        assert owners.world.ledger.undelivered == 0


async def test_another_notify_makes_everything_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch)
    smtp = SmtpSettings("127.0.0.1", "connectord@example.org", port=lasting_port())
    async with notifying(tmp_path, NotifySettings("smtp", smtp=smtp)) as owners:
        await owners.give_up(owner="anna")
        await owners.give_up(owner="ben@example.org")
        ((_, error, _), _) = await owners.until(2)
        assert error is not None
        assert "no mail address" in error
        owners.settings = NotifySettings("log")
        owners.notifier.reconfigure()
        await owners.delivered(2)
        assert owners.notifier.channel.kind == "log"


async def test_a_fault_in_one_delivery_costs_that_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch)
    from connectord.notifier.channels import LogChannel
    from connectord.store.base import OutboxItem

    whole = LogChannel.deliver

    async def faulty(self: LogChannel, item: OutboxItem) -> None:
        if item.row.owner == "anna":
            raise KeyError("oops")
        await whole(self, item)

    monkeypatch.setattr(LogChannel, "deliver", faulty)
    async with notifying(tmp_path, NotifySettings("log")) as owners:
        await owners.give_up(owner="anna")
        await owners.give_up(owner="ben")
        await owners.delivered()
        assert owners.outbox() == [(1, "a fault in the delivery: KeyError: 'oops'", False), (1, None, True)]


async def test_counts_are_read_anew_at_a_start(tmp_path: Path) -> None:
    async with notifying(tmp_path, NotifySettings("log"), running=False) as owners:
        await owners.give_up(3, owner="anna")
        since = owners.world.ledger.undelivered_since
    async with notifying(tmp_path, NotifySettings("log"), running=False) as owners:
        assert (owners.world.ledger.undelivered, owners.world.ledger.undelivered_since) == (3, since)


@pytest.mark.parametrize("done", [True, False])
async def test_a_try_for_the_owner_of_before_says_nothing_of_one_who_was_asked_to_be_told_since(
    tmp_path: Path, autojump_clock: object, done: bool
) -> None:
    async with notifying(tmp_path, NotifySettings(), running=False) as owners:
        ledger = owners.world.ledger
        await owners.world.submit(case_id="C-1")
        await trio.sleep(1)
        (item,) = (await ledger.perform(SettleNotifications([], 10))).items
        assert item.row.owner is None
        # while it is found that there is nobody to tell, the case gets an owner, and a person asks for another try
        await owners.world.submit(case_id="C-1", owner="ida@example.org")
        await ledger.perform(HastenNotifications())
        report = DeliveryReport(item.seq, None, done=done, error="nobody", next_try_at=None)
        due = await ledger.perform(SettleNotifications([report], 10))
        assert (item.seq, "ida@example.org") in [(each.seq, each.row.owner) for each in due.items]
        undelivered = ledger.undelivered
        report = DeliveryReport(item.seq, "ida@example.org", done=True)
        assert item.seq not in [each.seq for each in (await ledger.perform(SettleNotifications([report], 10))).items]
        assert ledger.undelivered == undelivered - 1
