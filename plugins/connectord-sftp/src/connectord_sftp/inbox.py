"""The directory of response files: looked at for one action, or gone through for all."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

import structlog
import trio
from connectord.adapters import Call, Deliver, NotFound, Progress, Rejected, Response

from connectord_sftp.answers import StatusError, Version
from connectord_sftp.names import join
from connectord_sftp.replies import Unreadable, Versions, read_reply
from connectord_sftp.settings import MARKER, ResponseFiles

if TYPE_CHECKING:
    from connectord_sftp.session import Session

T = TypeVar("T")

FILES_A_SWEEP = 1_000
"""How many files one sweep takes; what is left comes with the next."""

_NAMESAKES = 10

log = structlog.get_logger()


class Run(Protocol):
    """Lets a piece of work use a session; raises :class:`StatusError` where the server refuses."""

    def __call__(self, work: Callable[[Session], T]) -> Awaitable[T]: ...


@dataclass(frozen=True, slots=True)
class Found:
    """A response file in the directory."""

    name: str
    path: str
    action_id: str
    version: Version
    sign: str
    """The path of what tells that the file is whole: itself, or its marker."""
    sign_version: Version


class Inbox:
    """Reads response files, and puts away those whose response is on disk."""

    def __init__(self, files: ResponseFiles, system: str, run: Run) -> None:
        self._files = files
        self._run = run
        self._pattern: re.Pattern[str] = files.name.pattern(system)
        self._versions = Versions()
        self._heartbeats = Versions()
        self._ignored = Versions()

    async def look(self, call: Call) -> Response | None:
        """The response of one action, if it is there and whole.

        Raises :class:`Unreadable` where a file that has not changed for a while is not whole all the same, and
        :class:`StatusError`.
        """
        path = join(self._files.directory, self._files.name.render(call))
        version = await self._run(lambda session: self._complete_version(session, path))
        if version is None or not self._is_stable(path, version):
            return None
        answer = await self._run(lambda session: session.read(path, self._files.max_bytes))
        if answer is None:
            return None
        version, content = answer
        try:
            response = read_reply(path, version, content, self._files.max_bytes)
        except Unreadable as error:
            if self._files.complete == "stable" and not error.is_json:
                raise
            return Rejected(str(error))
        if isinstance(response, Progress):
            if self._heartbeats.is_known(path, version):
                return None
            self._heartbeats.note(path, version)
        return response

    async def sweep(self, deliver: Deliver) -> None:
        """Deliver every whole response, and put its file away once it is on disk.

        What a poll has brought already is delivered again: that changes nothing (rule 15), but tells that it was
        committed. Heartbeats, files of unknown actions, and what is no response, are left alone. Raises
        :class:`StatusError`, once every file has had its turn.
        """
        refused: StatusError | None = None
        for found in await self._run(self._list):
            try:
                if self._is_stable(found.path, found.version):
                    await self._take(found, deliver)
            except StatusError as error:
                # one file that cannot be read, or put away, holds up none of the others
                refused = refused or error
        if refused is not None:
            raise refused

    async def _take(self, found: Found, deliver: Deliver) -> None:
        answer = await self._run(lambda session: session.read(found.path, self._files.max_bytes))
        if answer is None or answer[0] != found.version:
            return
        try:
            response = read_reply(found.path, *answer, self._files.max_bytes)
        except Unreadable:
            # while its action waits, a poll tells
            self._ignored.note(found.sign, found.sign_version)
            return
        if isinstance(response, Progress):
            return
        try:
            await deliver(found.action_id, response)
        except NotFound:
            log.warning("response file of an unknown action", path=found.path, action=found.action_id)
            self._ignored.note(found.sign, found.sign_version)
            return
        await self._run(lambda session: self._put_away(session, found))
        self._versions.forget(found.path)

    def _is_stable(self, path: str, version: Version) -> bool:
        if self._files.complete != "stable":
            return True
        now = trio.current_time()
        return now - self._versions.since(path, version, now) >= self._files.stable_for / 1000

    def _complete_version(self, session: Session, path: str) -> Version | None:
        if self._files.complete == "marker" and session.version(path + MARKER) is None:
            return None
        return session.version(path)

    def _list(self, session: Session) -> list[Found]:
        """What there is to take, up to so many files."""
        suffix = MARKER if self._files.complete == "marker" else ""
        found: list[Found] = []
        for entry, version in session.entries(self._files.directory):
            match = self._pattern.fullmatch(entry.removesuffix(suffix)) if entry.endswith(suffix) else None
            sign = join(self._files.directory, entry)
            if match is not None and len(found) < FILES_A_SWEEP and not self._ignored.is_known(sign, version):
                name = match[0]
                path = join(self._files.directory, name)
                found.append(Found(name, path, match[1], version, sign, version))
        if not suffix:
            return found
        # what was seen so far is the marker's
        versions = [(each, session.version(each.path)) for each in found]
        return [replace(each, version=version) for each, version in versions if version is not None]

    def _put_away(self, session: Session, found: Found) -> None:
        if session.version(found.path) != found.version:
            # another answer has come since: the next sweep takes that
            return
        if self._files.archive is None:
            session.remove_if_there(found.path)
        else:
            _archive(session, found, self._files.archive)
        if self._files.complete == "marker":
            session.remove_if_there(found.path + MARKER)


def _archive(session: Session, found: Found, directory: str) -> None:
    """Move a file; one of the same name that is there already, of another answer, is kept."""
    for number in range(_NAMESAKES):
        target = join(directory, f"{found.name}.{number}" if number else found.name)
        try:
            session.rename_new(found.path, target)
        except StatusError:
            if session.version(target) is None:
                raise
        else:
            return
    session.replace(found.path, target)
