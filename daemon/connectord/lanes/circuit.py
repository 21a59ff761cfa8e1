"""The circuit of one system: whether attempts are worth while, or the system is away.

Pure: the time comes in, in seconds on a clock that only goes forward. It counts connection failures of attempts (rule
12), and no rejections, polls or healthchecks. One action that fails again and again never opens it, whatever its own
backoff is: failures count by the actions that met them. So only what many actions meet is taken for an outage, and a
single action is never kept from its own schedule by its own failures.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Literal, TypeAlias

from connectord.config import CircuitPolicy

CircuitState: TypeAlias = Literal["closed", "open", "half_open"]

_SLOTS = 10


class Circuit:
    """Closed: attempts go out. Open: none does until the pause is over. Half-open: a few are tried.

    ``policy`` None: it never opens. Memory is bounded by the policy's ``failures``.
    """

    def __init__(self, policy: CircuitPolicy | None) -> None:
        self._policy = policy
        self.state: CircuitState = "closed"
        self.next_trial_at = -math.inf
        """When trials may begin, while it is open."""
        self.pause_seconds = 0.0
        """How long it is open for now, or was before it became half-open."""
        self._trials = 0
        self._in_a_row: dict[str, None] = {}
        self._failing: dict[str, float] = {}
        self._window = _Window()

    def reached(self, now: float) -> bool:
        """An attempt reached the system; whether that closes the circuit."""
        if self.state == "closed":
            if self._policy is not None:
                self._in_a_row.clear()
                self._window.note(now, self._policy.window_ms / 1000, failed=False)
            return False
        # one that a person asked for may be the first to get through while it is open
        self.state = "half_open"
        self._trials += 1
        if self._policy is None or self._trials >= self._policy.trials:
            self.close()
            return True
        return False

    def failed(self, now: float, action_id: str) -> bool:
        """An attempt for ``action_id`` did not reach the system; whether that opens the circuit, or opens it again."""
        policy = self._policy
        if policy is None or self.state == "open":
            return False
        if self.state == "half_open":
            self._open(now, min(self.pause_seconds * 2, policy.max_pause_ms / 1000))
            return True
        window_seconds = policy.window_ms / 1000
        self._window.note(now, window_seconds, failed=True)
        self._in_a_row[action_id] = None
        self._failing.pop(action_id, None)
        self._failing[action_id] = now
        while len(self._failing) > policy.failures:
            del self._failing[next(iter(self._failing))]
        if len(self._in_a_row) < policy.failures and not self._mostly_failing(now, policy):
            return False
        self._open(now, policy.pause_ms / 1000)
        return True

    def is_open(self, now: float) -> bool:
        """Whether no attempt may begin by itself. Once the pause is over it is half-open from then on."""
        if self.state == "open" and now >= self.next_trial_at:
            self.state = "half_open"
        return self.state == "open"

    def try_by(self, at: float) -> None:
        """Let the pause, if there is one, be over at ``at``."""
        self.next_trial_at = min(self.next_trial_at, at)

    def configure(self, policy: CircuitPolicy | None, now: float) -> None:
        """Go on by another policy."""
        if policy != self._policy:
            self._policy, self._window = policy, _Window()
            if policy is not None:
                self.try_by(now + policy.max_pause_ms / 1000)

    def close(self) -> None:
        """Let attempts go out again, and forget what failed."""
        self.state = "closed"
        self._trials = 0
        self._in_a_row.clear()
        self._failing.clear()
        self._window = _Window()

    def _mostly_failing(self, now: float, policy: CircuitPolicy) -> bool:
        window_seconds = policy.window_ms / 1000
        if len(self._failing) < policy.failures or next(iter(self._failing.values())) <= now - window_seconds:
            return False
        reached, failed = self._window.counts()
        return failed >= policy.ratio * (reached + failed)

    def _open(self, now: float, pause_seconds: float) -> None:
        self.state = "open"
        self.pause_seconds, self.next_trial_at = pause_seconds, now + pause_seconds
        self._trials = 0


class _Window:
    """How many attempts went well and how many failed lately, to a tenth of the window."""

    def __init__(self) -> None:
        self._slots: deque[list[int]] = deque()

    def note(self, now: float, seconds: float, *, failed: bool) -> None:
        number = int(now * _SLOTS / seconds)
        slots = self._slots
        if not slots or slots[-1][0] != number:
            slots.append([number, 0, 0])
            while slots[0][0] <= number - _SLOTS or len(slots) > _SLOTS:
                slots.popleft()
        slots[-1][2 if failed else 1] += 1

    def counts(self) -> tuple[int, int]:
        """What went well, and what failed."""
        return sum(slot[1] for slot in self._slots), sum(slot[2] for slot in self._slots)
