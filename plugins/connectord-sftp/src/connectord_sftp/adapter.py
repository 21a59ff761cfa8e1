"""The ``sftp`` adapter: an action is a file on an SFTP server, and so is its response."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

import trio
from connectord.adapters import (
    Adapter,
    AdapterContext,
    Call,
    Deliver,
    NotConnected,
    NotThere,
    Outcome,
    PollAnswer,
    ProbeAnswer,
    Rejected,
    Taken,
    Unclear,
)

from connectord_sftp.answers import ConnectionLost, StatusError, Truncated
from connectord_sftp.contents import ContentRefused, render
from connectord_sftp.failures import REFUSED_NAME, status_words
from connectord_sftp.handover import HandOver, Place, Standing, look_for
from connectord_sftp.inbox import Inbox
from connectord_sftp.names import NameRefused
from connectord_sftp.pool import Pool
from connectord_sftp.replies import Unreadable
from connectord_sftp.settings import SftpSettings

if TYPE_CHECKING:
    from connectord_sftp.connection import Connection


class SftpAdapter(Adapter):
    """Puts a file for each action into a directory, and reads the responses that the system puts into another."""

    name = "sftp"
    Settings = SftpSettings
    settings: SftpSettings

    def __init__(self, settings: SftpSettings, context: AdapterContext) -> None:
        super().__init__(settings, context)
        connections = min(settings.connections, context.concurrency)
        # of its own: a server that hangs must not use up the threads of everybody else
        self._threads = trio.CapacityLimiter(connections + 1)
        self._pool = Pool(connections, self._connect)
        self._inbox: Inbox | None = None
        if settings.response != "none":
            self._inbox = Inbox(settings.response, context.system, self._pool.run)

    async def open(self) -> None:
        # paramiko: long enough to hold up the event loop, and every start of a daemon that does without this adapter
        await trio.to_thread.run_sync(import_module, "connectord_sftp.connection")
        # what it logs is in our own messages; without a handler it would go to standard error
        logging.getLogger("paramiko").addHandler(logging.NullHandler())

    async def close(self) -> None:
        await self._pool.close()

    async def trigger(self, call: Call) -> Outcome:
        settings = self.settings
        try:
            place = Place.of(settings, call)
            content = render(settings.content, call)
        except (NameRefused, ContentRefused) as error:
            return Rejected(str(error))
        mode = None if settings.mode is None else int(settings.mode, 8)
        work = HandOver(place, content, mode)
        try:
            await self._pool.run(work)
        except StatusError as error:
            if error.code in REFUSED_NAME:
                return Rejected(status_words(error))
            raise NotConnected(status_words(error)) from error
        except Truncated as error:
            raise NotConnected(str(error)) from error
        except ConnectionLost as error:
            raise NotConnected(str(error), outcome_unknown=work.may_have_arrived) from error
        return Taken(reference=place.final)

    async def probe(self, call: Call) -> ProbeAnswer:
        try:
            place = Place.of(self.settings, call)
        except NameRefused:
            # for the attempt that follows, to say it
            return NotThere()
        with _in_words():
            standing = await self._pool.run(lambda session: look_for(session, place))
        match standing:
            case Standing.TAKEN:
                return Taken(reference=place.final)
            case Standing.MISSING if self.settings.if_missing == "hold":
                return Unclear(
                    f"Attempt {call.attempt} was cut off, and {place.final} is not there: either it was never put "
                    "there, or the system has taken it away. Ask the system before it is tried again."
                )
            case _:
                return NotThere()

    async def poll(self, call: Call) -> PollAnswer:
        if self._inbox is None:
            return None
        try:
            with _in_words():
                return await self._inbox.look(call)
        except NameRefused as error:
            return Rejected(str(error))

    async def listen(self, deliver: Deliver) -> None:
        response = self.settings.response
        while self._inbox is not None and response != "none" and response.after != "keep":
            with _in_words():
                await self._inbox.sweep(deliver)
            await trio.sleep(response.sweep / 1000)
        await trio.sleep_forever()

    async def healthcheck(self) -> None:
        directories = [self.settings.directory, *self.settings.taken_directories]
        if self.settings.response != "none":
            directories.append(self.settings.response.directory)
            if self.settings.response.archive is not None:
                directories.append(self.settings.response.archive)
        with _in_words():
            wrong = await self._pool.run(
                lambda session: [each for each in directories if not session.is_directory(each)]
            )
        if wrong:
            raise NotConnected(f"{wrong[0]} is not a directory")

    async def _connect(self) -> Connection:
        from connectord_sftp.connection import connect

        return await connect(self.settings, self._threads)


@contextmanager
def _in_words() -> Generator[None, None, None]:
    """What keeps us from the server, and from what is there, as :class:`NotConnected`."""
    try:
        yield
    except StatusError as error:
        raise NotConnected(status_words(error)) from error
    except (ConnectionLost, Unreadable) as error:
        raise NotConnected(str(error)) from error
