"""``via = "command"``: a program gets the notification on its standard input."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from functools import partial

import trio

from connectord.notifier.channels import ChannelUnreachable, DeliveryFailed, NoAnswer, document
from connectord.store.base import OutboxItem

COMMAND_SECONDS = 30.0
TERMINATE_SECONDS = 1.0
SAID_BYTES = 500
_LAST_WORDS_SECONDS = 0.5


class CommandChannel:
    """Runs the program once for every notification; it must exit with 0 once the notification is on its way."""

    at_once = 4

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command

    async def deliver(self, item: OutboxItem) -> None:
        name = self._command[0]
        try:
            with trio.fail_after(COMMAND_SECONDS):
                code, said = await self._run(document(item))
        except OSError as error:
            raise ChannelUnreachable(f"{name} cannot be started: {error.strerror or error}") from error
        except trio.TooSlowError as error:
            raise NoAnswer(f"{name} did not end within {COMMAND_SECONDS:g} s and was stopped") from error
        if code != 0:
            raise DeliveryFailed(f"{name} exited with {code}: {said}".rstrip(": "))

    async def _run(self, content: bytes) -> tuple[int, str]:
        """The exit code, and the end of what it said on stderr. Raises :class:`OSError` where it cannot be started."""
        run = partial(
            trio.run_process,
            self._command,
            stdin=content,
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # a group of its own, so that what it has started ends with it
            start_new_session=True,
            deliver_cancel=_end_group,
        )
        said = bytearray()
        refusal: OSError | None = None
        code = 0
        async with trio.open_nursery() as nursery:
            try:
                process: trio.Process = await nursery.start(run)
            except OSError as error:
                refusal = error
            else:
                # a child that lives on may keep stderr open: its end is not waited for long
                reading = trio.CancelScope()
                nursery.start_soon(_keep_end, process, said, reading)
                code = await process.wait()
                reading.deadline = trio.current_time() + _LAST_WORDS_SECONDS
        if refusal is not None:
            raise refusal
        return code, said.decode("utf-8", "replace").strip()


async def _keep_end(process: trio.Process, said: bytearray, scope: trio.CancelScope) -> None:
    if process.stderr is None:
        return
    async with process.stderr as stream:
        with scope, suppress(trio.BrokenResourceError):
            async for chunk in stream:
                said += chunk
                del said[:-SAID_BYTES]


async def _end_group(process: trio.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with trio.move_on_after(TERMINATE_SECONDS):
            await process.wait()
            return
