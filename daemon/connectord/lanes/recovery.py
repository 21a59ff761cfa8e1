"""How a lane comes back after an outage: its circuit, and the ramp that follows when it closes."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
import trio

from connectord.clock import Clock
from connectord.config import CircuitPolicy
from connectord.lanes.circuit import Circuit, CircuitState
from connectord.lanes.ramp import FEW, Ramp

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Standing:
    """How the circuit of a lane stands, for people. ``next_trial_at`` is milliseconds; None where it is not open."""

    state: CircuitState
    next_trial_at: int | None


class Recovery:
    """Hears what attempts come to, and says whether and how many may begin.

    What began before the circuit opened, or before the ramp began anew, says nothing about how things are since: every
    attempt belongs to the round in which it began.
    """

    def __init__(self, system: str, policy: CircuitPolicy | None, concurrency: int, ramp: Ramp, clock: Clock) -> None:
        self.openings = 0
        """How often the circuit opened, or opened again after trials that failed."""
        self._system = system
        self._circuit = Circuit(policy)
        self._concurrency = concurrency
        self._ramp = ramp
        self._clock = clock
        self._round = 0

    @property
    def standing(self) -> Standing:
        """How the circuit stands."""
        state = self._circuit.state
        if state != "open":
            return Standing(state, None)
        left_seconds = max(self._circuit.next_trial_at - trio.current_time(), 0.0)
        return Standing(state, self._clock.now_ms() + int(left_seconds * 1000))

    @property
    def is_closed(self) -> bool:
        """Whether the circuit is closed."""
        return self._circuit.state == "closed"

    @property
    def places_allowed(self) -> int:
        """How many attempts may begin by themselves and be under way now."""
        if self._circuit.state == "open":
            return 0
        allowed = self._ramp.allowed
        return self._concurrency if allowed is None else min(allowed, self._concurrency)

    @property
    def seconds_to_trial(self) -> float | None:
        """How long until trials may begin; None where the circuit is not open."""
        if self._circuit.state != "open":
            return None
        return max(self._circuit.next_trial_at - trio.current_time(), 0.0)

    def room(self) -> int | None:
        """How many attempts may begin by themselves; None where nothing but places and rate counts."""
        if self._circuit.state != "closed":
            was_open = self._circuit.state == "open"
            if self._circuit.is_open(trio.current_time()):
                return 0
            if was_open:
                self._ramp.begin(1)
        return self._ramp.room

    def begin(self, count: int) -> int:
        """So many attempts and probes begin; the round to hand back with what they come to."""
        self._ramp.under_way += count
        return self._round

    def end(self, began_in: int) -> None:
        """An attempt or a probe has ended, whatever it came to."""
        if began_in == self._round:
            self._ramp.under_way -= 1

    def reached(self, began_in: int) -> None:
        """An attempt reached the system."""
        if began_in == self._round:
            if self._circuit.state == "open":
                self._ramp.begin(1)
            self._ramp.reached(self._concurrency)
            if self._circuit.reached(trio.current_time()):
                log.info("circuit closed", system=self._system, why="trials went well")

    def failed(self, began_in: int, began_at: float, action_id: str, message: str) -> None:
        """An attempt that began at ``began_at`` did not reach the system (rule 12)."""
        if began_in != self._round:
            return
        now = trio.current_time()
        self._ramp.failed(began_at, now)
        if self._circuit.failed(now, action_id):
            self.openings += 1
            self._begin_round()
            # the pause says enough; a ramp begins with the trials
            self._ramp.finish()
            log.warning("circuit opened", system=self._system, pause_seconds=self._circuit.pause_seconds, error=message)

    def close(self, why: str) -> None:
        """Close the circuit, if it is not; a person wants attempts to go out."""
        if not self.is_closed:
            self._circuit.close()
            self._begin_round()
            self._ramp.begin(1)
            log.info("circuit closed", system=self._system, why=why)

    def begin_ramp(self, backlog: int) -> None:
        """Go slowly at first where ``backlog`` is more than may be under way at once."""
        if self.is_closed and backlog > self._concurrency > FEW:
            self._begin_round()
            self._ramp.begin_untroubled()

    def drained(self) -> None:
        """Nothing more is due: whatever the ramp was for is done."""
        if self.is_closed:
            self._ramp.finish()

    def configure(self, policy: CircuitPolicy | None, concurrency: int, *, other_target: bool) -> None:
        """Go on with other settings. ``other_target``: so does the adapter, so what failed is worth a trial at once."""
        self._concurrency, now = concurrency, trio.current_time()
        self._circuit.configure(policy, now)
        if policy is None:
            self.close("it was switched off")
        elif other_target:
            self._circuit.try_by(now)

    def _begin_round(self) -> None:
        self._round += 1
        self._ramp.under_way = 0
