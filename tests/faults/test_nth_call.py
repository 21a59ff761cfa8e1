"""The N-th system call of an operation fails: for every N, until the operation needs fewer calls.

A submission, an attempt, a callback and a reload of a real daemon, each with every call on the store's files and the
configuration that it needs, failing with EIO and with ENOSPC (``make prove-nth-call``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from connectord.errors import DaemonUnreachable, RequestFailed
from connectord.testing.daemon_process import DaemonProcess
from connectord.testing.fake_system import FakeSystem
from helpers.audit import Audit, audit
from helpers.injection import Injected, injecting
from helpers.ports import lasting_port
from helpers.programs import require_program
from helpers.proofs import size

EXHAUSTIVE = bool(size("NTH_CALL", 0))
SHORT = [("fdatasync", "EIO", 1), ("pwrite64", "ENOSPC", 3)]
SYNCS = {"fsync", "fdatasync"}
WRITES = {"pwrite64", "write"}
OVERLOADED, REFUSED = -32005, -32004
STORE_FAILED = 74
WELL = {"done", f"refused {OVERLOADED}", f"refused {REFUSED}", "refused 503"}
"""What a daemon may say that goes on."""


@dataclass
class Bench:
    """A daemon, what it was asked, and what it has acknowledged."""

    daemon: DaemonProcess
    fake: FakeSystem
    port: int = field(default_factory=lasting_port)
    acknowledged: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)
    limit: int = 3
    answer: str = ""
    """What the operation came to, in a word."""

    @property
    def database(self) -> Path:
        return self.daemon.directory / "state" / "connectord.db"

    @property
    def files(self) -> list[Path]:
        state = self.database.parent
        return [self.database, state / "connectord.db-wal", state / "connectord.db-shm", state, self.daemon.config_file]

    def configure(self, limit: int = 3) -> None:
        self.limit = limit
        self.daemon.configure(
            self.daemon.head(self.port)
            # case after case fails at the same system: its circuit must not keep the next one from being tried
            + f'[retry]\nlimit = {limit}\ndelay = "1h"\n'
            + f'[systems.erp]\nadapter = "http"\ncircuit = false\n[systems.erp.http]\nurl = "{self.fake.url}"\n'
            + f'[systems.parked]\nadapter = "http"\n[systems.parked.http]\nurl = "{self.fake.url}"\n'
        )

    async def submit(self, system: str, play: str) -> str:
        action = await self.daemon.call("submit", system=system, data={"play": play}, owner="o@example.com")
        self.acknowledged.add(action["id"])
        return str(action["id"])

    async def ask(self, method: str, **params: Any) -> Any:
        """The answer; None where it is refused or the daemon dies over it. :attr:`answer` says which."""
        try:
            result = await self.daemon.call(method, **params)
        except RequestFailed as error:
            self.answer = f"refused {error.code}"
        except DaemonUnreachable:
            self.answer = "gone"
        else:
            self.answer = "done"
            return result
        return None


@dataclass(frozen=True, slots=True)
class Operation:
    """What is prepared undisturbed, what is done while a call fails, and what must be so afterwards."""

    prepare: Callable[[Bench], Awaitable[Any]]
    do: Callable[[Bench, Any], Awaitable[None]]
    check: Callable[[Bench, Any, Audit], list[str]]


async def nothing(bench: Bench) -> None:
    bench.answer = ""


async def submit(bench: Bench, _: None) -> None:
    action = await bench.ask("submit", system="parked", data={"play": "answer"}, owner="o@example.com", case="C-1")
    if action is not None:
        bench.acknowledged.add(action["id"])


async def pending_action(bench: Bench) -> str:
    await bench.daemon.call("pause", system="erp")
    return await bench.submit("erp", "answer")


async def attempt(bench: Bench, action_id: str) -> None:
    if await bench.ask("resume", system="erp") is None:
        return
    with trio.move_on_after(10):
        while True:
            action = await bench.ask("show", id=action_id)
            if action is None or action["state"] == "closed":
                return
            await trio.sleep(0.02)


async def waiting_action(bench: Bench) -> str:
    action_id = await bench.submit("erp", "silent")
    await bench.daemon.until(action_id, "waiting")
    return action_id


async def call_back(bench: Bench, action_id: str) -> None:
    url = next(
        seen.body["callback_url"] for seen in reversed(bench.fake.seen) if seen.body["action"]["id"] == action_id
    )
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        try:
            response = await client.post(url, json={"status": "success", "data": {"n": 1}})
        except httpx.TransportError:
            bench.answer = "gone"
            return
    bench.answer = "done" if response.status_code == 200 else f"refused {response.status_code}"
    if response.status_code == 200:
        bench.taken.add(action_id)


async def tried_action(bench: Bench) -> str:
    if bench.limit != 3:
        bench.configure(3)
        await bench.daemon.call("reload")
    action_id = await bench.submit("erp", "unavailable")
    with trio.fail_after(20):
        while True:
            action = await bench.daemon.call("show", id=action_id)
            if action["state"] == "pending" and action["attempts"] == 1:
                break
            await trio.sleep(0.02)
    bench.configure(1)
    return action_id


async def reload(bench: Bench, _: str) -> None:
    await bench.ask("reload")


def anything(_: Bench, __: Any, ___: Audit) -> list[str]:
    return []


def reloaded(bench: Bench, action_id: str, found: Audit) -> list[str]:
    closed = found.states[action_id] == "closed"
    if bench.answer == "done" and not closed:
        return [f"{action_id} has reached the limit that is in force, and goes on"]
    if bench.answer == f"refused {REFUSED}" and closed:
        return [f"{action_id} is closed by a limit that was refused"]
    return []


OPERATIONS = {
    "submit": Operation(nothing, submit, anything),
    "attempt": Operation(pending_action, attempt, anything),
    "callback": Operation(waiting_action, call_back, anything),
    "reload": Operation(tried_action, reload, reloaded),
}


@pytest.mark.parametrize("name", OPERATIONS)
async def test_no_failing_call_loses_what_was_acknowledged(name: str, daemon: DaemonProcess, fake: FakeSystem) -> None:
    require_program("strace")
    bench = Bench(daemon, fake)
    bench.configure()
    await daemon.start()
    await daemon.call("pause", system="parked")
    counted = await _count(bench, OPERATIONS[name])
    cases = 0
    ends: dict[str, int] = {}
    for call, error in sorted({(call, error) for call in counted.calls for error in ("EIO", "ENOSPC")}):
        misses, when = 0, 0
        while misses < 2:
            when += 1
            if not EXHAUSTIVE and (call, error, when) not in SHORT:
                if when > 3:
                    break
                continue
            end, failed = await _try(bench, OPERATIONS[name], call, error, when)
            if failed:
                cases += 1
                ends[f"{call} {error}: {end}"] = ends.get(f"{call} {error}: {end}", 0) + 1
            # strace counts by thread: once may be chance
            misses = 0 if failed else misses + 1
    print(f"\n{name}: {cases} cases; {ends}")
    assert cases >= len(SHORT)


async def _count(bench: Bench, operation: Operation) -> Injected:
    prepared = await operation.prepare(bench)
    output = bench.daemon.directory / "counted"
    async with injecting(bench.daemon.pid, bench.files, output) as counted:
        await operation.do(bench, prepared)
    assert bench.answer == "done"
    return counted


async def _try(bench: Bench, operation: Operation, call: str, error: str, when: int) -> tuple[str, bool]:
    """One case. How it ended, and whether the call has failed at all."""
    case = f"{call} {error} {when}"
    prepared = await operation.prepare(bench)
    output = bench.daemon.directory / "injected"
    async with injecting(bench.daemon.pid, bench.files, output, call, error, when) as injected:
        await operation.do(bench, prepared)
    ends = injected.failed and (call in SYNCS or (call in WRITES and error == "EIO"))
    # what it does about a failure, it does at once
    code = await bench.daemon.exited(20.0 if ends or bench.answer not in WELL else 0.3)
    if code is None and not await _answers(bench.daemon):
        code = await bench.daemon.exited(20.0)
    assert code in (None, STORE_FAILED), (case, code, bench.daemon.log()[-2000:])
    # a write or a sync that failed must end it; a full disk must not
    assert not ends or code == STORE_FAILED, (case, code, bench.answer)
    assert not (injected.failed and call in WRITES and error == "ENOSPC" and code), (case, code, bench.answer)
    if code is not None:
        await bench.daemon.start()
    else:
        assert bench.answer in WELL, (case, bench.answer)
    found = audit(bench.database)
    problems = found.problems + found.compare(
        acknowledged=bench.acknowledged, taken=bench.taken, requests=bench.fake.tries()
    )
    problems += operation.check(bench, prepared, found)
    assert problems == [], (case, code, bench.answer)
    # it goes on: the same thing works now
    assert await bench.submit("parked", "answer")
    return (f"exit {code}" if code is not None else bench.answer), injected.failed


async def _answers(daemon: DaemonProcess) -> bool:
    try:
        await daemon.call("list", limit=1)
    except (DaemonUnreachable, RequestFailed):
        return False
    return True
