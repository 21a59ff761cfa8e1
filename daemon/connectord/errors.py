"""Every error that connectord raises, under one root.

::

    ConnectordError
    ├── ConfigurationRefused      connectord.toml cannot be used; carries every problem at once (exit 78)
    ├── StartRefused              the daemon cannot start here (exit 1)
    │   ├── StateDirectoryBusy      another daemon holds the state directory
    │   ├── StateDirectoryUnusable  it cannot be created, read or written
    │   └── AddressUnusable         a socket address cannot be bound
    ├── StoreError                the store could not do what it was asked; nothing was changed
    │   ├── StoreFull               no room on the disk: try again later
    │   ├── StoreFailed             an I/O error: the daemon stops with exit 74 and must be restarted
    │   └── StoreTooNew             the database was written by a newer connectord
    ├── RequestError              what somebody asked for cannot be done; nothing was changed
    │   ├── InvalidRequest          the request itself is malformed
    │   ├── NotFound                there is no such action, case or system
    │   ├── Refused                 not in this state (rule 16 and the like)
    │   ├── NotAllowed              the caller's role does not permit it
    │   ├── Overloaded              nothing was taken; try again
    │   └── KeyConflict             rule 17: the key was used with another payload
    ├── AdapterError              something about an adapter or a plugin
    │   ├── NotConnected            rule 12: the attempt failed to connect; raised by adapters
    │   ├── InvalidCallback         a callback's body cannot be read; raised by adapters
    │   ├── CallbackNotAllowed      a callback without a valid signature; raised by adapters
    │   ├── TargetRefused           an address that an action's data or a redirect named is not allowed
    │   └── PluginRefused           a plugin could not be loaded
    └── ControlError              a client of the control socket
        ├── DaemonUnreachable       nobody listens there (connectorctl exits 3)
        └── RequestFailed           the daemon answered with an error
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class ConnectordError(Exception):
    """The root of all errors that connectord raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration: where it stands, and what to do about it.

    ``line`` counts from 1; 0 means that the problem belongs to the file as a whole.
    """

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.key}: {self.message}"


class ConfigurationRefused(ConnectordError):
    """The configuration has problems; all of them are in :attr:`problems`, in the order of their lines."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class StartRefused(ConnectordError):
    """The daemon cannot start in this place; the message says what to change."""


class StateDirectoryBusy(StartRefused):
    """Another daemon holds the lock on the state directory."""


class StateDirectoryUnusable(StartRefused):
    """The state directory cannot be created, read or written."""


class AddressUnusable(StartRefused):
    """A TCP port or a unix socket path cannot be bound."""


class StoreError(ConnectordError):
    """The store could not do what it was asked. The transaction was rolled back: nothing was changed."""


class StoreFull(StoreError):
    """The disk is full. What is stored stays; the same request may succeed once there is room."""


class StoreFailed(StoreError):
    """An I/O error. What the disk holds is no longer known, so the daemon stops with exit 74."""


class StoreTooNew(StoreError):
    """The database has migrations that this version of connectord does not know."""


class RequestError(ConnectordError):
    """A request cannot be carried out. Nothing was changed."""


class InvalidRequest(RequestError):
    """The request is malformed: a wrong type, a missing or unknown field, a value out of range."""


class NotFound(RequestError):
    """There is no such action, case or system."""


class Refused(RequestError):
    """The lifecycle does not allow this in the action's present state.

    ``state`` is the state it is in; ``reason`` says in plain words why not, and what can be done instead.
    """

    def __init__(self, state: str | None, reason: str) -> None:
        self.state = state
        self.reason = reason
        super().__init__(reason)


class NotAllowed(RequestError):
    """The caller's role does not permit the method."""


class Overloaded(RequestError):
    """The daemon cannot take this now. Nothing was taken; try again."""


class KeyConflict(RequestError):
    """Rule 17: the key was used before, for the same system, with another payload."""


class AdapterError(ConnectordError):
    """Something about an adapter or a plugin."""


class NotConnected(AdapterError):
    """Rule 12: the attempt failed to connect, or the system said 'not now'. An adapter raises it.

    ``retry_after_seconds`` is the system's own wish (``Retry-After``), 0 or more; it is obeyed as a lower
    bound of the time until the next automatic try, up to a cap.
    """

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(message)


class InvalidCallback(AdapterError):
    """A callback's body cannot be read as a response. The message is sent back to the caller with HTTP 400."""


class CallbackNotAllowed(AdapterError):
    """A callback does not prove who sent it, as where its signature is missing or wrong.

    The message is sent back to the caller with HTTP 401, so it must not help to forge one.
    """


class TargetRefused(AdapterError):
    """A target that an action's data or a redirect named must not be connected to; the message says why."""


class PluginRefused(AdapterError):
    """A plugin could not be loaded: an import error, another API version, or a name used twice."""


class ControlError(ConnectordError):
    """A client of the control socket could not get an answer, or got an error."""


class DaemonUnreachable(ControlError):
    """Nobody listens on the control socket, or the connection broke before the answer came."""


class RequestFailed(ControlError):
    """The daemon answered with a JSON-RPC error.

    ``code`` is one of those in docs/control-protocol.md; ``data`` carries the details, if any.
    """

    def __init__(self, code: int, message: str, data: dict[str, Any] | None = None) -> None:
        self.code = code
        self.data = data
        super().__init__(message)
