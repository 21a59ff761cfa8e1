"""Accepting connections on a machine that runs short of file descriptors or memory."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final, TypeVar

import trio

_OUT_OF_RESOURCES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_SECONDS_UNTIL_SOME: Final = 0.1

StreamT = TypeVar("StreamT", bound=trio.abc.AsyncResource)


async def accept_patiently(listener: trio.abc.Listener[StreamT], tell: Callable[[OSError], object]) -> StreamT:
    """The next connection. While the system has nothing left for one, ``tell`` hears why, ten times a second.

    Raises OSError where the listener is broken for good.
    """
    while True:
        try:
            return await listener.accept()
        except OSError as error:
            if error.errno not in _OUT_OF_RESOURCES:
                raise
            tell(error)
            await trio.sleep(_SECONDS_UNTIL_SOME)
