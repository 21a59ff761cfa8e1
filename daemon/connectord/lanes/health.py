"""How a lane's system is, as ``systems`` shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog
import trio

log = structlog.get_logger()


@dataclass(slots=True)
class Health:
    """What is known of a lane's system."""

    system: str = ""
    """For the log."""
    state: str = "starting"
    """starting, ok, failing (it was not reached when last called), fault (the adapter itself), paused, draining"""
    last_error: str | None = None
    last_success_at: int | None = None
    faults: int = 0
    not_listening: str | None = None
    """Why the adapter does not listen at the moment, although it should."""
    reached_at: float | None = None
    """When a call last reached the system, in seconds on trio's clock."""
    mask: Callable[[str], str] = str
    """Takes secrets out of errors."""

    def __setattr__(self, name: str, value: object) -> None:
        # several set an error, and a secret must not show whoever does
        masked = self.mask(value) if isinstance(value, str) and name in ("last_error", "not_listening") else value
        object.__setattr__(self, name, masked)

    @property
    def shown(self) -> str:
        """The state, in a word or two."""
        return "not listening" if self.state == "ok" and self.not_listening is not None else self.state

    def blame(self, message: str) -> None:
        """The adapter did something that costs others, while its calls went on."""
        self.faults += 1
        self.last_error = message

    def reached(self, now_ms: int) -> None:
        """A call got through to the system."""
        self.last_success_at = now_ms
        self.reached_at = trio.current_time()
        if self.state == "failing":
            self.state = "ok"
            log.info("system reached again", system=self.system)

    def failed(self, message: str) -> None:
        """A call did not get through."""
        self.last_error = message
        if self.state == "ok":
            self.state = "failing"
            log.warning("system not reached", system=self.system, error=message)
