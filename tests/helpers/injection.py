"""A system call of a running daemon that fails, as strace makes it."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from helpers.processes import is_alive

CANDIDATES = (
    "pwrite64",
    "pread64",
    "fdatasync",
    "fsync",
    "ftruncate",
    "openat",
    "read",
    "fallocate",
    "unlink",
    "newfstatat",
)
"""What the store does to its files. Not fcntl: a lock that only seems to fail is still held by the kernel."""

_CALL = re.compile(r"^\d+ +(?:<\.\.\. )?(\w+)(?: resumed|\()")
_ATTACH_SECONDS = 20
_DETACH_SECONDS = 2


@dataclass(slots=True)
class Injected:
    """What strace saw, once the block has ended."""

    calls: Counter[str] = field(default_factory=Counter)
    failed: bool = False
    """Whether the N-th call came, and was made to fail."""


@asynccontextmanager
async def injecting(
    pid: int, paths: Sequence[Path], output: Path, call: str | None = None, error: str = "EIO", when: int = 1
) -> AsyncIterator[Injected]:
    """Make the ``when``-th ``call`` on one of ``paths`` fail with ``error`` until the block ends; without, only count.

    strace counts in every thread of its own. The store's calls run in one thread, as long as nothing else asks.
    """
    found = Injected()
    traced = call or ",".join(CANDIDATES)
    command = ["strace", "-f", "-p", str(pid), "-o", str(output), "-e", f"trace={traced}"]
    if call is not None:
        command += ["-e", f"inject={call}:error={error}:when={when}"]
    for path in paths:
        command += ["-P", str(path)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE)  # noqa: ASYNC220  - waits for nothing
    try:
        with trio.fail_after(_ATTACH_SECONDS):
            await _attached(tracer)
        yield found
    finally:
        await _end(tracer, pid)
    for line in output.read_text(errors="replace").splitlines():
        found.failed = found.failed or "(INJECTED)" in line
        match = _CALL.match(line)
        if match is not None and "<unfinished" not in line:
            found.calls[match[1]] += 1


async def _end(tracer: subprocess.Popen[bytes], pid: int) -> None:
    """Let strace go. Asked to detach from a process that is just ending it may wait for ever, so it is killed then."""
    with trio.CancelScope(shield=True):
        steps = (tracer.terminate, tracer.kill) if is_alive(pid) else (None, tracer.terminate, tracer.kill)
        for step in steps:
            if step is not None:
                step()
            with trio.move_on_after(_DETACH_SECONDS):
                while tracer.poll() is None:
                    await trio.sleep(0.01)
                break
    tracer.communicate()


async def _attached(tracer: subprocess.Popen[bytes]) -> None:
    told = b""
    pipe = tracer.stderr
    if pipe is None:
        raise OSError("strace has no error output")
    while b"attached" not in told:
        await trio.lowlevel.wait_readable(pipe)
        piece = pipe.read1()  # type: ignore[attr-defined]
        if not piece:
            raise OSError(f"strace cannot attach: {told.decode()}")
        told += piece
    # it tells of the process when the last of its threads is its own
