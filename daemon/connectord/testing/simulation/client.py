"""A client of the control socket: one connection, one line a request, and what it may believe of an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from connectord.errors import ConnectordError

if TYPE_CHECKING:
    from connectord.testing.simulation.world import World

ANSWER_SECONDS = 60.0


class ControlLost(ConnectordError):
    """There was no answer: whether the request was done is unknown."""


class ControlRefused(ConnectordError):
    """The daemon refused; ``code`` is JSON-RPC's."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


Tell = Callable[[dict[str, Any]], None]


class ControlClient:
    """One connection to the daemon that runs now.

    What the daemon sends is looked at as it leaves, before anybody reads it: ``notified`` gets every notification, and
    the observer every answer.
    """

    def __init__(self, world: World, notified: Tell | None = None) -> None:
        """Raises :class:`ControlLost` where no daemon listens."""
        self._world = world
        self.machine = world.machine
        self._notified = notified
        self._seen = bytearray()
        self._number = 0
        self._answers: dict[int, dict[str, Any]] = {}
        self._checks: dict[int, Tell] = {}
        try:
            self.stream = world.connect_control(self._sees)
        except ConnectionRefusedError as error:
            raise ControlLost("nobody listens there") from error

    async def call(self, method: str, params: dict[str, Any], check: Tell | None = None) -> Any:
        """Ask, and give the result; ``check`` sees it as it leaves the daemon.

        Raises :class:`ControlRefused` and :class:`ControlLost`.
        """
        self._number += 1
        number = self._number
        if check is not None:
            self._checks[number] = check
        line = msgspec.json.encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + b"\n"
        try:
            with trio.fail_after(ANSWER_SECONDS):
                await self.stream.send_all(line)
                while number not in self._answers:
                    if not await self.stream.receive_some():
                        raise ControlLost("the connection was closed")
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ControlLost("the connection broke") from error
        except trio.TooSlowError as error:
            raise ControlLost("no answer") from error
        answer = self._answers.pop(number)
        if "error" in answer:
            raise ControlRefused(answer["error"]["code"], answer["error"]["message"])
        return answer["result"]

    async def aclose(self) -> None:
        """Hang up."""
        with trio.CancelScope(shield=True):
            await self.stream.aclose()

    def _sees(self, data: bytes) -> None:
        self._seen += data
        while (end := self._seen.find(b"\n")) >= 0:
            message = msgspec.json.decode(self._seen[:end])
            del self._seen[: end + 1]
            if "method" in message:
                if self._notified is not None:
                    self._notified(message["params"])
                continue
            check = self._checks.pop(message["id"], None)
            if check is not None and "result" in message:
                check(message["result"])
            self._answers[message["id"]] = message
