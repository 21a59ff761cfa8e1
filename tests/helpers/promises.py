"""What a daemon has said to the outside, read from the system calls by which it said it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from helpers.audit import Audit, action_of
from helpers.syscalls import SystemCall

_CALLBACK = re.compile(rb"POST (\S*/callback/\S+) HTTP/1\.1")
_TAKEN = re.compile(rb"HTTP/1\.1 20[02] ")
_ATTEMPT = re.compile(rb'"action":(\{.*\}),"callback_url"', re.S)


@dataclass(slots=True)
class Promises:
    """From here on this must be on disk, whatever happens."""

    acknowledged: set[str] = field(default_factory=set)
    """Actions that a caller of the control socket knows."""
    taken: set[str] = field(default_factory=set)
    """Actions whose callback was answered with 200 or 202."""
    requests: dict[str, int] = field(default_factory=dict)
    """Actions that were sent out, and the number of the last attempt (rule 14)."""
    configurations: set[int] = field(default_factory=set)
    """Versions that came into force."""
    _callbacks: dict[str, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many there are; it grows with every new one."""
        sent = sum(self.requests.values())
        return len(self.acknowledged) + len(self.taken) + sent + len(self.configurations)

    def hear(self, call: SystemCall) -> None:
        """Take in what a system call says."""
        if call.name not in ("sendto", "recvfrom"):
            return
        peer, data = call.arguments[0].path or "", call.arguments[1].data or b""
        if call.name == "recvfrom":
            for match in _CALLBACK.finditer(data):
                self._callbacks[peer] = action_of(match[1].decode())
        elif data.startswith(b'{"jsonrpc"'):
            for line in data.splitlines():
                self._hear_answer(json.loads(line).get("result"))
        elif data.startswith(b"HTTP/1.1"):
            action = self._callbacks.pop(peer, None)
            if action is not None and _TAKEN.match(data):
                self.taken.add(action)
        elif match := _ATTEMPT.search(data):
            sent = json.loads(match[1])
            self.requests[sent["id"]] = max(sent["attempt"], self.requests.get(sent["id"], 0))

    def broken(self, found: Audit, configurations: set[int]) -> list[str]:
        """Which of them the database has lost."""
        lost = found.compare(acknowledged=self.acknowledged, taken=self.taken, requests=self.requests)
        return lost + [f"lost: configuration {version}" for version in self.configurations - configurations]

    def _hear_answer(self, result: Any) -> None:
        for action in _actions(result):
            self.acknowledged.add(action["id"])
        if isinstance(result, dict) and result.get("applied"):
            self.configurations.add(result["version"])


def _actions(result: Any) -> Iterator[dict[str, Any]]:
    if isinstance(result, dict):
        if "submitted_at" in result:
            yield result
        for action in result.get("actions") or ():
            if isinstance(action, dict) and "submitted_at" in action:
                yield action
