"""How long a valid callback takes while the listener is attacked, and while it is not, in the same run.

A real daemon on loopback. Its system takes actions and says nothing; then their callbacks are sent at a steady pace,
each on a connection of its own, half of them in peace and half under attack: idle connections, heads and bodies that
come a byte at a time, forged tokens, and requests that are none, all from a process of their own::

    python benchmarks/under_attack.py [--callbacks 3000] [--pace 100] [--idle 900]

It fails unless the 99th percentile under attack is at most 50 ms above the one in peace, every callback was taken, and
the daemon grew by less than 50 MiB.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import trio
from connectord.testing.daemon_process import DaemonProcess

MOST_EXTRA_SECONDS = 0.050
MOST_GROWTH_BYTES = 50 * 1024 * 1024
BODY = b'{"status": "success", "data": {"invoice_no": "R-17"}}'
SUBMITTED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Attack:
    """How many connections do what at the same time. Each address opens at most 100 of the idle ones."""

    idle: int = 900
    slow_heads: int = 40
    slow_bodies: int = 20
    forgers: int = 4
    forged_a_second: int = 200
    malformed: int = 2


@dataclass(slots=True)
class Phase:
    """What came of one half of the callbacks."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def percentile(self, share: float) -> float:
        """The time within which that share of the callbacks was answered, in seconds."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(slots=True)
class Outcome:
    """Both halves, the daemon's memory, and what the attackers got done."""

    peace: Phase
    attacked: Phase
    growth_bytes: int
    attackers: Counter[str]


# --- the system


@asynccontextmanager
async def silent_system(urls: list[str]) -> AsyncIterator[int]:
    """A system that takes every action and keeps its callback address; yields its port."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def welcome(stream: trio.SocketStream) -> None:
        buffer = b""
        async with stream:
            while chunk := await stream.receive_some(65536):
                buffer += chunk
                while (end := buffer.find(b"\r\n\r\n")) >= 0:
                    length = int(buffer[:end].lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                    if len(buffer) < end + 4 + length:
                        break
                    urls.append(json.loads(buffer[end + 4 : end + 4 + length])["callback_url"])
                    buffer = buffer[end + 4 + length :]
                    await stream.send_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, welcome, listeners)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


# --- valid callbacks


async def call_back(url: str, phase: Phase) -> None:
    """One valid callback on a connection of its own; 0 stands for no answer."""
    address, _, path = url.removeprefix("http://").partition("/")
    host, _, port = address.partition(":")
    head = f"POST /{path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {len(BODY)}\r\nConnection: close\r\n\r\n"
    began = time.perf_counter()
    status = 0
    with trio.move_on_after(30):
        try:
            async with await trio.open_tcp_stream(host, int(port)) as stream:
                await stream.send_all(head.encode() + BODY)
                answer = bytes(await stream.receive_some(4096))
                status = int(answer[9:12]) if answer else 0
        except OSError as error:
            print(f"no answer: {error}", file=sys.stderr)
        except trio.BrokenResourceError as error:
            print(f"no answer: {error.__cause__}", file=sys.stderr)
    phase.seconds.append(time.perf_counter() - began)
    phase.statuses[status] += 1


async def call_back_all(urls: Sequence[str], pace: float) -> Phase:
    """``pace`` callbacks a second, whether those before them are answered or not."""
    phase = Phase()
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for number, url in enumerate(urls):
            await trio.sleep_until(began + number / pace)
            nursery.start_soon(call_back, url, phase)
    return phase


# --- the attackers, in a process of their own


class Attackers:
    """Attacks one listener. Whoever is cut off comes back."""

    def __init__(self, attack: Attack, port: int, token: str) -> None:
        self._attack = attack
        self._port = port
        self._path = f"/callback/{token}"
        self.done: Counter[str] = Counter()

    async def run(self, ready: Callable[[], None]) -> None:
        """Attack until cancelled; ``ready`` is called once all idle connections are open."""
        attack = self._attack
        async with trio.open_nursery() as nursery:
            for number in range(attack.idle):
                await nursery.start(self._idle, f"127.0.1.{1 + number // 100}")
            for _ in range(attack.slow_heads):
                nursery.start_soon(self._again, self._slow_head, "127.0.2.1", 0.0)
            for _ in range(attack.slow_bodies):
                nursery.start_soon(self._again, self._slow_body, "127.0.2.2", 0.0)
            for _ in range(attack.forgers):
                nursery.start_soon(self._again, self._forge, "127.0.2.3", attack.forgers / attack.forged_a_second)
            for _ in range(attack.malformed):
                nursery.start_soon(self._again, self._malformed, "127.0.2.4", 0.05)
            ready()

    async def _connect(self, source: str) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self._port, local_address=source)

    async def _idle(self, source: str, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        started = False
        while True:
            try:
                async with await self._connect(source) as stream:
                    self.done["idle connections"] += 1
                    if not started:
                        task_status.started()
                        started = True
                    await stream.receive_some(1)
            except (OSError, trio.BrokenResourceError):
                await trio.sleep(0.1)

    async def _again(self, attack: Callable[[trio.SocketStream], object], source: str, pause: float) -> None:
        while True:
            try:
                async with await self._connect(source) as stream:
                    self.done[attack.__name__.strip("_").replace("_", " ")] += 1
                    await attack(stream)  # type: ignore[misc]
            except (OSError, trio.BrokenResourceError):
                pass
            await trio.sleep(pause)

    async def _slow_head(self, stream: trio.SocketStream) -> None:
        for byte in f"POST {self._path} HTTP/1.1\r\nHost: x\r\nX-Slow: {'a' * 10_000}".encode():
            await stream.send_all(bytes([byte]))
            await trio.sleep(0.1)

    async def _slow_body(self, stream: trio.SocketStream) -> None:
        await stream.send_all(f"POST {self._path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n".encode())
        for _ in range(1048576):
            await stream.send_all(b" ")
            await trio.sleep(0.1)

    async def _forge(self, stream: trio.SocketStream) -> None:
        forged = self._path[:-4] + ("AAAA" if not self._path.endswith("AAAA") else "BBBB")
        await stream.send_all(f"POST {forged} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        await stream.receive_some(4096)

    async def _malformed(self, stream: trio.SocketStream) -> None:
        await stream.send_all(
            f"POST {self._path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
            + b"0\r\n\r\nPOST /callback/x HTTP/1.1\r\n\r\n"
        )
        await stream.receive_some(4096)


def attack_from_here(pipe: Connection, attack: Attack, port: int, token: str) -> None:
    """The attackers' process: says when it has begun, and what it did once it is told to end."""

    async def run() -> None:
        attackers = Attackers(attack, port, token)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(attackers.run, lambda: pipe.send("ready"))
            await trio.to_thread.run_sync(pipe.recv)
            nursery.cancel_scope.cancel()
        pipe.send(attackers.done)

    trio.run(run)


# --- both halves


def resident_bytes(pid: int) -> int:
    """How much memory a process has now."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)


async def measure(directory: Path, callbacks: int, pace: float, attack: Attack) -> Outcome:
    """Send ``callbacks`` in peace and as many under attack; the daemon lives in ``directory``."""
    urls: list[str] = []
    daemon = DaemonProcess(directory)
    async with silent_system(urls) as port:
        daemon.configure(
            daemon.head().replace("[daemon]", '[daemon]\nlog_level = "warning"')
            + f'[systems.sys]\nadapter = "http"\nconcurrency = 64\n[systems.sys.http]\nurl = "http://127.0.0.1:{port}/"\n'
        )
        await daemon.start()
        try:
            wanted = 2 * callbacks + 1
            for first in range(0, wanted, SUBMITTED_AT_ONCE):
                count = min(SUBMITTED_AT_ONCE, wanted - first)
                await daemon.call("submit_many", actions=[{"system": "sys"}] * count)
            with trio.fail_after(60 + wanted / 50):
                while len(urls) < wanted:
                    await trio.sleep(0.05)
                while (await daemon.call("status"))["in_flight"]:
                    await trio.sleep(0.05)
            spare = urls.pop()
            peace = await call_back_all(urls[:callbacks], pace)
            before = resident_bytes(daemon.pid)
            ours, theirs = multiprocessing.Pipe()
            process = multiprocessing.get_context("spawn").Process(
                target=attack_from_here,
                args=(theirs, attack, int(spare.split("/")[2].partition(":")[2]), spare.rpartition("/")[2]),
                daemon=True,
            )
            process.start()
            try:
                await trio.to_thread.run_sync(ours.recv)
                attacked = await call_back_all(urls[callbacks:], pace)
                growth = resident_bytes(daemon.pid) - before
                ours.send("end")
                attackers = await trio.to_thread.run_sync(ours.recv)
            finally:
                process.kill()
                process.join()
            await daemon.stop()
        finally:
            daemon.kill()
    return Outcome(peace, attacked, growth, attackers)


def main() -> None:
    """Parse the command line, run, print; exit with 1 where a bound does not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--callbacks", type=int, default=3000, help="valid callbacks in each half")
    parser.add_argument("--pace", type=float, default=100, help="valid callbacks a second")
    parser.add_argument("--idle", type=int, default=900, help="idle connections")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        outcome = trio.run(measure, Path(directory), given.callbacks, given.pace, Attack(idle=given.idle))
    for name, phase in (("in peace", outcome.peace), ("under attack", outcome.attacked)):
        times = ", ".join(f"{share:.0%} {phase.percentile(share) * 1000:.1f} ms" for share in (0.5, 0.95, 0.99))
        print(f"{name}: {len(phase.seconds)} valid callbacks, answered {dict(phase.statuses)}; {times}")
    print("attackers:", ", ".join(f"{count:,} {what}" for what, count in sorted(outcome.attackers.items())))
    extra = outcome.attacked.percentile(0.99) - outcome.peace.percentile(0.99)
    print(f"99th percentile: {extra * 1000:+.1f} ms under attack (at most {MOST_EXTRA_SECONDS * 1000:+.0f} ms)")
    print(f"memory: {outcome.growth_bytes / 2**20:+.1f} MiB (less than {MOST_GROWTH_BYTES / 2**20:+.0f} MiB)")
    taken = all(set(phase.statuses) == {200} for phase in (outcome.peace, outcome.attacked))
    sys.exit(0 if taken and extra <= MOST_EXTRA_SECONDS and outcome.growth_bytes < MOST_GROWTH_BYTES else 1)


if __name__ == "__main__":
    main()
