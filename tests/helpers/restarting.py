"""Restarts under callbacks, with socket activation: what becomes of every single one of them.

``make restarts`` runs it at length; a short run of it stands in the tests.
"""

from __future__ import annotations

import argparse
import resource
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import trio
from connectord.callbacks import TokenKey
from connectord.client import AsyncClient, Submit
from connectord.errors import ConnectordError
from connectord.store.state_directory import TOKEN_KEY_NAME

from helpers.ports import lasting_port
from helpers.service_manager import ServiceManager, manage

CONFIGURATION = '[systems.erp]\nadapter = "exec"\ntimeout = "4h"\n[systems.erp.exec]\ncommand = ["/bin/true"]\n'
BODY = b'{"status": "success", "data": {}}'
BATCH = 500
ENOUGH = 2000
ANSWER_SECONDS = 60.0


@dataclass(slots=True)
class Tally:
    """What became of the callbacks; after a 503 (``told_to_try_again``) the same is sent again."""

    sent: int = 0
    asked: int = 0
    """Connections to the control socket, each with one question."""
    taken: int = 0
    refused: list[str] = field(default_factory=list)
    """Connections that were refused or broke off before an answer."""
    wrong: list[str] = field(default_factory=list)
    """Answers that are neither 200 nor 503."""
    told_to_try_again: int = 0
    longest_wait_seconds: float = 0.0
    restart_seconds: list[float] = field(default_factory=list)
    not_closed: int = 0

    def report(self) -> str:
        median, longest = statistics.median(self.restart_seconds), max(self.restart_seconds)
        lines = [
            f"restarts                {len(self.restart_seconds)}, median {median:.2f} s, longest {longest:.2f} s",
            f"callbacks               {self.sent}",
            f"control connections     {self.asked}",
            f"taken                   {self.taken}",
            f"refused or broken off   {len(self.refused)}",
            f"other answers           {len(self.wrong)}",
            f"told to try again       {self.told_to_try_again}",
            f"actions not closed      {self.not_closed}",
            f"longest wait            {self.longest_wait_seconds:.2f} s",
        ]
        return "\n".join([*lines, *self.refused[:5], *self.wrong[:5]])


async def restart_under_callbacks(
    manager: ServiceManager, port: int, *, restarts: int, rate: int, say: Callable[[str], None]
) -> Tally:
    """``rate`` callbacks a second, each on a connection of its own, while the service restarts again and again."""
    tally = Tally()
    key = TokenKey.load_or_create(manager.directory / "state" / TOKEN_KEY_NAME, secrets.token_bytes)
    done = trio.Event()
    ready = await _submit(manager, ENOUGH)
    submitted = len(ready)

    async with trio.open_nursery() as callers:

        async def call_back() -> None:
            next_at = trio.current_time()
            while not done.is_set():
                if ready:
                    callers.start_soon(_call_back, port, key.issue(ready.pop()), tally)
                next_at = max(next_at + 1 / rate, trio.current_time() - 1)
                await trio.sleep_until(next_at)

        async def ask() -> None:
            while not done.is_set():
                try:
                    async with AsyncClient(manager.directory / "control.sock") as client:
                        await client.status()
                except ConnectordError as error:
                    tally.refused.append(repr(error))
                tally.asked += 1
                await trio.sleep(0.05)

        callers.start_soon(call_back)
        callers.start_soon(ask)
        for _ in range(restarts):
            if len(ready) < ENOUGH:
                more = await _submit(manager, ENOUGH - len(ready))
                submitted += len(more)
                ready += more
            await trio.sleep(0.3)
            began = trio.current_time()
            await manager.restart()
            tally.restart_seconds.append(trio.current_time() - began)
            count = len(tally.restart_seconds)
            say(f"restart {count}: {tally.taken} of {tally.sent} taken, {len(tally.refused)} refused")
        await trio.sleep(0.3)
        done.set()
    async with AsyncClient(manager.directory / "control.sock") as client:
        counts = (await client.status()).counts
    tally.not_closed = sum(counts.values()) - (submitted - tally.sent)
    return tally


async def _submit(manager: ServiceManager, count: int) -> list[str]:
    """Actions that are not due for long, so that nothing but their callbacks happens to them."""
    due_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86_400))
    made: list[str] = []
    async with AsyncClient(manager.directory / "control.sock") as client:
        while len(made) < count:
            wanted = [Submit(system="erp", due_at=due_at) for _ in range(min(BATCH, count - len(made)))]
            made += [action.id for action in (await client.submit_many(wanted)).actions]
    return made


async def _call_back(port: int, token: str, tally: Tally) -> None:
    tally.sent += 1
    began = trio.current_time()
    while True:
        try:
            with trio.fail_after(ANSWER_SECONDS):
                status = await _post(port, token)
        except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
            tally.refused.append(repr(error))
            return
        if status != 503:
            break
        tally.told_to_try_again += 1
        await trio.sleep(0.5)
    if status == 200:
        tally.taken += 1
    else:
        tally.wrong.append(f"status {status}")
    tally.longest_wait_seconds = max(tally.longest_wait_seconds, trio.current_time() - began)


async def _post(port: int, token: str) -> int:
    head = f"POST /callback/{token} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(BODY)}\r\n\r\n"
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(head.encode() + BODY)
        answer = b""
        while data := await stream.receive_some(4096):
            answer += data
    if not answer:
        raise trio.BrokenResourceError("closed without an answer")
    return int(answer.split(b" ", 2)[1])


def _say_nothing(text: str) -> None:
    pass


async def run(directory: Path, *, restarts: int, rate: int, say: Callable[[str], None] = _say_nothing) -> Tally:
    """All of it in a directory of its own; ``say`` gets a line a restart."""
    port = lasting_port()
    (directory / "connectord.toml").write_text(
        f'[daemon]\nlog_level = "warning"\n[callbacks]\nbind = "127.0.0.1:{port}"\n{CONFIGURATION}'
    )
    manager = manage(directory, port)
    async with manager.running():
        await manager.start()
        assert manager.active.is_set(), manager.log()
        return await restart_under_callbacks(manager, port, restarts=restarts, rate=rate, say=say)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--restarts", type=int, default=100)
    parser.add_argument("--rate", type=int, default=200, help="callbacks a second")
    arguments = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 16_384), most))
    with tempfile.TemporaryDirectory() as directory:

        def say(text: str) -> None:
            print(text, flush=True)

        async def go() -> Tally:
            return await run(Path(directory), restarts=arguments.restarts, rate=arguments.rate, say=say)

        tally = trio.run(go)
    print(tally.report())
    raise SystemExit(bool(tally.refused or tally.wrong or tally.not_closed or tally.taken != tally.sent))


if __name__ == "__main__":
    main()
