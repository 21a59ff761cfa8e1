"""A real daemon, a real broker and a system that answers: nothing is lost when one of them goes away in the middle."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from connectord.testing.daemon_process import DaemonProcess
from helpers.rabbitmq import Broker

ACTIONS = 1000
LIMIT = 8


@pytest.fixture
async def daemon(tmp_path: Path, broker: Broker) -> AsyncIterator[DaemonProcess]:
    process = DaemonProcess(tmp_path, {"RABBIT_PASSWORD": "guest"})
    process.configure(
        process.head()
        # eight tries over the time that a broker needs to come back on a busy machine
        + f'[retry]\nlimit = {LIMIT}\ndelay = "1s"\nmax_delay = "15s"\njitter = 0.1\n'
        + '[systems.erp]\nadapter = "amqp"\nconcurrency = 16\ntimeout = "5m"\n'
        + f'[systems.erp.amqp]\nhost = "127.0.0.1"\nport = {broker.port}\nusername = "guest"\n'
        + 'password = { env = "RABBIT_PASSWORD" }\nrouting_key = "jobs"\n'
        + '[systems.erp.amqp.replies]\nqueue = "answers"\n'
    )
    yield process
    process.kill()


@pytest.fixture
def answers(tmp_path: Path, broker: Broker) -> Iterator[Path]:
    """A system at work; the file has what it answered."""
    file = tmp_path / "answers"
    file.touch()
    program = Path(__file__).with_name("answering_system.py")
    process = subprocess.Popen([sys.executable, str(program), str(broker.port), str(file)])
    yield file
    process.kill()
    process.wait()


async def submit(daemon: DaemonProcess, numbers: range) -> list[dict[str, Any]]:
    actions = [{"system": "erp", "key": f"n-{number}", "data": {"number": number}} for number in numbers]
    submitted: list[dict[str, Any]] = (await daemon.call("submit_many", actions=actions))["actions"]
    return submitted


async def until_answered(file: Path, count: int) -> None:
    with trio.fail_after(60):
        while len(file.read_text().splitlines()) < count:
            await trio.sleep(0.01)


async def until_nothing_is_open(daemon: DaemonProcess) -> None:
    with trio.fail_after(150):
        while any((await daemon.call("status"))["counts"].values()):
            await trio.sleep(0.2)


async def check(daemon: DaemonProcess, submitted: list[dict[str, Any]], answers: Path) -> Counter[int]:
    """All are closed successfully, each by one outcome and within the limit; how many needed how many attempts."""
    answered = Counter(line.split()[0] for line in answers.read_text().splitlines())
    assert set(answered) == {action["id"] for action in submitted}
    attempts: Counter[int] = Counter()
    for number, action in enumerate(submitted):
        end = await daemon.call("show", id=action["id"])
        assert (end["state"], end["resolution"]) == ("closed", "done_successfully"), end
        assert end["response_data"] == {"doubled": 2 * number}
        # an answer that came twice was the same one
        assert end["late_responses"] == []
        assert 1 <= end["attempts"] <= LIMIT
        attempts[end["attempts"]] += 1
    return attempts


async def test_1000_actions_and_a_broker_that_is_stopped_and_started_in_between(
    daemon: DaemonProcess, broker: Broker, answers: Path
) -> None:
    await daemon.start()
    try:
        submitted = await submit(daemon, range(ACTIONS // 2))
        await until_answered(answers, ACTIONS // 10)
        broker.stop()
        submitted += await submit(daemon, range(ACTIONS // 2, ACTIONS))
        with trio.fail_after(30):
            while (await daemon.call("systems"))["systems"][0]["health"] == "ok":
                await trio.sleep(0.05)
        assert len(answers.read_text().splitlines()) < ACTIONS
    finally:
        broker.begin()
        broker.wait()
    await until_nothing_is_open(daemon)
    attempts = await check(daemon, submitted, answers)
    assert sum(count for tries, count in attempts.items() if tries > 1) > 0, "the outage met no attempt"
    print(f"attempts: {dict(sorted(attempts.items()))}")
    assert await daemon.stop() == 0


async def test_a_daemon_that_is_killed_in_the_middle_and_started_again(
    daemon: DaemonProcess, broker: Broker, answers: Path
) -> None:
    await daemon.start()
    submitted = await submit(daemon, range(ACTIONS // 2))
    await until_answered(answers, ACTIONS // 10)
    daemon.kill()
    assert len(answers.read_text().splitlines()) < ACTIONS // 2
    await daemon.start()
    await until_nothing_is_open(daemon)
    await check(daemon, submitted, answers)
    assert await daemon.stop() == 0
    assert broker.depth("answers") == broker.depth("jobs") == 0
