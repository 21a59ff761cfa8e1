"""One command, run in a process group of its own, from its input to its last byte of output."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import trio

ERROR_BYTES_KEPT = 64 * 1024
"""How much of standard error is kept: its end, where programs say why they gave up."""

_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Command:
    """What is run, and how much it may take. Times are seconds."""

    arguments: Sequence[str]
    directory: str
    environment: Mapping[str, str]
    timeout_seconds: float
    kill_after_seconds: float
    max_output_bytes: int


@dataclass(frozen=True, slots=True)
class Finished:
    """How it ended. ``code`` is its exit code, or the negative number of the signal that ended it."""

    code: int
    output: bytes
    error: bytes
    timed_out: bool = False
    too_much_output: bool = False


async def run(command: Command, given: bytes) -> Finished:
    """Run ``command`` with ``given`` on its standard input.

    It is over when the process has ended and nobody holds its output open any more; what it left running in its process
    group is ended with it, after a timeout, and when this is cancelled. Raises :class:`OSError` where it cannot be
    started.
    """
    process = await trio.lowlevel.open_process(
        list(command.arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=command.directory,
        env=dict(command.environment),
        start_new_session=True,
    )
    collected = _Collected(command.max_output_bytes)
    try:
        exited = os.pidfd_open(process.pid)
        try:
            with trio.move_on_after(command.timeout_seconds) as limit:
                await collected.collect(process, exited, given, command.kill_after_seconds)
        finally:
            await _end_group(process, exited, command.kill_after_seconds)
            os.close(exited)
    finally:
        with trio.CancelScope(shield=True):
            process.kill()  # does nothing where it has ended
            code = await process.wait()
            await _close(process)
    return Finished(
        code=code,
        output=bytes(collected.output),
        error=bytes(collected.error),
        timed_out=limit.cancelled_caught,
        too_much_output=collected.too_much,
    )


class _Collected:
    """The output of a process, as far as it may go."""

    def __init__(self, max_output_bytes: int) -> None:
        self.output = bytearray()
        self.error = bytearray()
        self.too_much = False
        self._most = max_output_bytes

    async def collect(self, process: trio.Process, exited: int, given: bytes, patience_seconds: float) -> None:
        """Feed it, read it, and wait for its end, which the descriptor ``exited`` tells."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_feed, process, given)
            nursery.start_soon(self._read_output, process, nursery.cancel_scope)
            nursery.start_soon(self._read_error, process)
            await trio.lowlevel.wait_readable(exited)
            # a child that it left behind may hold its output open: what comes is taken, but not for ever
            nursery.cancel_scope.deadline = trio.current_time() + patience_seconds

    async def _read_output(self, process: trio.Process, scope: trio.CancelScope) -> None:
        stream = process.stdout
        while stream is not None and (chunk := await stream.receive_some(_CHUNK)):
            self.output += chunk
            if len(self.output) > self._most:
                self.too_much = True
                scope.cancel()
                return

    async def _read_error(self, process: trio.Process) -> None:
        stream = process.stderr
        while stream is not None and (chunk := await stream.receive_some(_CHUNK)):
            self.error += chunk
            del self.error[:-ERROR_BYTES_KEPT]


async def _feed(process: trio.Process, given: bytes) -> None:
    stream = process.stdin
    if stream is None:
        return
    try:
        async with stream:
            await stream.send_all(given)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        # it does not have to read what it does not need
        return


async def _end_group(process: trio.Process, exited: int, patience_seconds: float) -> None:
    """End whatever of the group still lives.

    The process is not reaped before that: until then nobody else can get its number, which is the group's too.
    """
    with trio.CancelScope(shield=True), trio.move_on_after(patience_seconds):
        if not _has_exited(exited):
            _signal_group(process, signal.SIGTERM)
            await trio.lowlevel.wait_readable(exited)
    _signal_group(process, signal.SIGKILL)


def _has_exited(exited: int) -> bool:
    return bool(select.select([exited], [], [], 0)[0])


def _signal_group(process: trio.Process, number: signal.Signals) -> None:
    try:
        # the group bears the number of its first process as long as any of its members lives
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
    except PermissionError:
        # a member that runs as somebody else, such as after sudo; the others got the signal
        return


async def _close(process: trio.Process) -> None:
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            await stream.aclose()


def limited(arguments: Sequence[str], limits: Mapping[str, int]) -> list[str]:
    """``arguments`` under resource limits: ``limits`` are the letters and numbers of the shell's ``ulimit``.

    A shell sets them and becomes the program: nothing of ours runs between fork and exec.
    """
    if not limits:
        return list(arguments)
    shell = shutil.which("sh", path="/bin:/usr/bin") or "/bin/sh"
    steps = " && ".join(f"ulimit -{letter} {number}" for letter, number in limits.items())
    return [shell, "-c", f'{steps} && exec "$@"', "connectord-exec", *arguments]
