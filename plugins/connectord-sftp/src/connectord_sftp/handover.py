"""Putting an action's file where the system looks for it: whole, once, under one name."""

from __future__ import annotations

import enum
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectord.adapters import Call

from connectord_sftp.answers import StatusError, Truncated
from connectord_sftp.names import join, temporary_name
from connectord_sftp.settings import SftpSettings

if TYPE_CHECKING:
    from connectord_sftp.session import Session

_EARLIER_ATTEMPTS = 20
"""How many earlier attempts' temporary files are looked after."""


class Standing(enum.Enum):
    """What there is to see of an attempt on the server."""

    TAKEN = "taken"
    """The file, or a trace of the system having taken it, is there."""

    NOT_THERE = "not there"
    """It was never put there, and cannot come any more."""

    MISSING = "missing"
    """Neither the file nor anything of the attempt: it never began, or the system has taken the file away."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the file of one attempt goes."""

    temporary: str
    earlier: tuple[str, ...]
    """What earlier attempts may have left unfinished."""
    final: str
    traces: tuple[str, ...]
    """Where something stands once the system has taken the file: moved there, or answered there."""

    @classmethod
    def of(cls, settings: SftpSettings, call: Call) -> Place:
        """The place of a call. Raises :class:`connectord_sftp.names.NameRefused`."""
        name = settings.name.render(call)
        directory = settings.directory
        earlier = range(max(1, call.attempt - _EARLIER_ATTEMPTS), call.attempt)
        traces = [join(each, name) for each in settings.taken_directories]
        if settings.response != "none":
            response = settings.response.name.render(call)
            traces.append(join(settings.response.directory, response))
            if settings.response.archive is not None:
                traces.append(join(settings.response.archive, response))
        return cls(
            temporary=join(directory, temporary_name(name, call.attempt)),
            earlier=tuple(join(directory, temporary_name(name, attempt)) for attempt in earlier),
            final=join(directory, name),
            traces=tuple(traces),
        )


class HandOver:
    """One attempt. Called with a session it puts the file in its place, unless it, or a trace of it, is there.

    Raises :class:`StatusError` and :class:`Truncated`.
    """

    def __init__(self, place: Place, content: bytes, mode: int | None) -> None:
        self.may_have_arrived = False
        """Whether the file may stand there by now, whatever came after."""
        self._place = place
        self._content = content
        self._mode = mode

    def __call__(self, session: Session) -> None:
        place = self._place
        for path in place.earlier:
            # an earlier attempt's rename that is still on its way, on a connection given up, finds nothing from now on
            session.remove_if_there(path)
        if _stands(session, place):
            return
        try:
            session.write(place.temporary, self._content, self._mode)
            self.may_have_arrived = True
            session.replace(place.temporary, place.final)
        except (StatusError, Truncated):
            # the server has answered, so that this much is known
            self.may_have_arrived = False
            with suppress(StatusError):
                session.remove_if_there(place.temporary)
            raise


def look_for(session: Session, place: Place) -> Standing:
    """What became of an attempt. Raises :class:`StatusError`."""
    # first, so that what is still on its way cannot arrive after the look
    was_unfinished = session.remove_if_there(place.temporary)
    if _stands(session, place):
        return Standing.TAKEN
    return Standing.NOT_THERE if was_unfinished else Standing.MISSING


def _stands(session: Session, place: Place) -> bool:
    return any(session.version(path) is not None for path in (place.final, *place.traces))
