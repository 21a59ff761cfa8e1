"""Every error that connectord raises, under one root.

::

    ConnectordError
    ├── ConfigurationRefused      connectord.toml cannot be used; carries every problem at once (exit 78)
    ├── StartRefused              the daemon cannot start here (exit 1)
    │   ├── StateDirectoryBusy      another daemon holds the state directory
    │   ├── StateDirectoryUnusable  it cannot be created, read or written
    │   ├── AddressUnusable         a socket address cannot be bound
    │   └── RestoreUnfinished       a restore was broken off in the state directory
    ├── ServiceRefused            the units of a service cannot be installed or removed; nothing was changed
    ├── StoreError                the store could not do what it was asked; nothing was changed
    │   ├── StoreFull               no room on the disk: try again later
    │   ├── StoreFailed             an I/O error: the daemon stops with exit 74 and must be restarted
    │   ├── StoreTooNew             the database was written by a newer connectord
    │   └── BackupFailed            a backup could not be made, or cannot be used; what there was is untouched
    ├── RequestError              what somebody asked for cannot be done; nothing was changed
    │   ├── InvalidRequest          the request itself is malformed
    │   ├── NotFound                there is no such action, case or system
    │   ├── Refused                 not in this state (rule 16 and the like)
    │   │   └── NotInHistory          a watcher wants to go on where the history does not reach
    │   ├── NotAllowed              the caller's role does not permit it
    │   ├── Overloaded              nothing was taken; try again
    │   │   └── WatcherTooSlow        a watcher is cut off, and can go on where it was
    │   └── KeyConflict             rule 17: the key was used with another payload
    ├── AdapterError              something about an adapter or a plugin
    │   ├── NotConnected            rule 12: the attempt failed to connect; raised by adapters
    │   ├── InvalidCallback         a callback's body cannot be read; raised by adapters
    │   ├── CallbackNotAllowed      a callback without a valid signature; raised by adapters
    │   ├── TargetRefused           an address that an action's data or a redirect named is not allowed
    │   ├── NotDelivered            a notification could not be delivered; raised by notifiers
    │   ├── PluginFault             a plugin's method of the control socket failed in a way of its own
    │   └── PluginRefused           a plugin could not be loaded
    └── ControlError              a client of the control socket
        ├── DaemonUnreachable       nobody listens there (connectorctl exits 3)
        ├── UnexpectedAnswer        the daemon's answer has not the shape that this client knows
        ├── WaitTimedOut            the action did not get there in the time given
        └── RequestFailed           the daemon answered with an error
            ├── DoesNotExist          there is no such action, case, system or queue
            ├── WrongState            not in the action's present state
            ├── NotPermitted          the caller's role is too low
            ├── ConfigurationInvalid  connectord.toml cannot be used; carries every problem
            ├── TryAgain              nothing was taken: the same again later
            ├── KeyTaken              rule 17: the key was used with another payload
            ├── BadRequest            the parameters are wrong
            ├── NoSuchMethod          the daemon does not know the method: it is of another version
            └── DaemonFault           a fault of the daemon's own; its log says more
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


class ServiceRefused(ConnectordError):
    """The service's units cannot be installed or removed here; the message says what to do."""


class RestoreUnfinished(StartRefused):
    """A restore was broken off: the state directory has the files of before or those of the backup, or some of both."""


class StoreError(ConnectordError):
    """The store could not do what it was asked. The transaction was rolled back: nothing was changed."""


class StoreFull(StoreError):
    """The disk is full. What is stored stays; the same request may succeed once there is room."""


class StoreFailed(StoreError):
    """An I/O error. What the disk holds is no longer known, so the daemon stops with exit 74."""


class StoreTooNew(StoreError):
    """The database has migrations that this version of connectord does not know."""


class BackupFailed(StoreError):
    """A backup could not be made, or one cannot be used. Nothing was changed."""


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


class NotInHistory(Refused):
    """``watch`` was to go on after a number that the history does not reach any more, or not yet.

    ``resume_after`` is the nearest number to go on after; what lies before it cannot be had.
    """

    def __init__(self, reason: str, resume_after: int) -> None:
        self.resume_after = resume_after
        super().__init__(None, reason)


class NotAllowed(RequestError):
    """The caller's role does not permit the method."""


class Overloaded(RequestError):
    """The daemon cannot take this now. Nothing was taken; try again."""


class WatcherTooSlow(Overloaded):
    """A watcher fell too far behind and is cut off. It loses nothing if it goes on after ``resume_after``."""

    def __init__(self, resume_after: int) -> None:
        self.resume_after = resume_after
        super().__init__(
            f"watch was too slow and is cut off after change {resume_after}; "
            f"watch again with after {resume_after} to go on, nothing is lost"
        )


class KeyConflict(RequestError):
    """Rule 17: the key was used before, for the same system, with another payload."""


class AdapterError(ConnectordError):
    """Something about an adapter or a plugin."""


class NotConnected(AdapterError):
    """Rule 12: the attempt failed to connect, or the system said 'not now'. An adapter raises it.

    ``retry_after_seconds`` is the system's own wish (``Retry-After``), 0 or more; it is obeyed as a lower
    bound of the time until the next automatic try, up to a cap. ``outcome_unknown`` says that the system may have got
    the action all the same (the request was sent, and no answer came): an adapter that can ``probe`` is asked before
    another try (rule 14). For any other adapter it makes no difference.
    """

    def __init__(
        self, message: str, *, retry_after_seconds: float | None = None, outcome_unknown: bool = False
    ) -> None:
        self.retry_after_seconds = retry_after_seconds
        self.outcome_unknown = outcome_unknown
        super().__init__(message)


class InvalidCallback(AdapterError):
    """A callback's body cannot be read as a response. The message is sent back to the caller with HTTP 400."""


class CallbackNotAllowed(AdapterError):
    """A callback does not prove who sent it, as where its signature is missing or wrong.

    The message is sent back to the caller with HTTP 401, so it must not help to forge one.
    """


class TargetRefused(AdapterError):
    """A target that an action's data or a redirect named must not be connected to; the message says why."""


class NotDelivered(AdapterError):
    """One notification could not be delivered. A notifier raises it; it is tried again, later and later."""


class PluginFault(AdapterError):
    """A method of the control socket that a plugin brought failed; the message names the plugin and the line."""


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

    @property
    def reason(self) -> str:
        """Why, in plain words."""
        return str(self)

    @property
    def resume_after(self) -> int | None:
        """For a stream of changes that ended: the number after which it goes on, where the daemon says one."""
        number = self.data.get("resume_after") if isinstance(self.data, dict) else None
        return number if isinstance(number, int) else None


class DoesNotExist(RequestFailed):
    """There is no such action, case, system or queue."""


class WrongState(RequestFailed):
    """The action cannot have that done to it in its present state; ``reason`` says what can be done instead."""

    @property
    def state(self) -> str | None:
        """The state that the action is in, where it is about one action."""
        state = (self.data or {}).get("state")
        return state if isinstance(state, str) else None


class NotPermitted(RequestFailed):
    """The method needs a higher role; an admin gives roles in ``[control.roles]``."""


class ConfigurationInvalid(RequestFailed):
    """The daemon refused a configuration and goes on with the one that it has."""

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Every problem, in the order of their lines."""
        found = (self.data or {}).get("errors")
        return tuple(
            Problem(str(item.get("file")), int(item.get("line") or 0), str(item.get("key")), str(item.get("message")))
            for item in (found if isinstance(found, list) else [])
            if isinstance(item, dict)
        )


class TryAgain(RequestFailed):
    """The daemon is overloaded or its disk is full. Nothing was taken: the same request may succeed later.

    It is safe to repeat any request after this. After :class:`DaemonUnreachable` nobody knows whether the request was
    carried out; ``submit`` with a ``key`` is safe to repeat then too, since the key gives the first action back (rule
    17).
    """


class KeyTaken(RequestFailed):
    """Rule 17: the key was used before, for the same system, with another payload."""


class BadRequest(RequestFailed):
    """A parameter is missing, unknown, of a wrong type or out of range, or the request is too long."""


class NoSuchMethod(RequestFailed):
    """The daemon does not know the method: it is older or newer than this client."""


class DaemonFault(RequestFailed):
    """A fault of the daemon's own, or its store failed. Its log says more."""


class UnexpectedAnswer(ControlError):
    """The daemon's answer has not the shape that this client knows: the two are of different versions."""


class WaitTimedOut(ControlError, TimeoutError):
    """The action did not get there in the time given. It goes on; one may wait again."""
