"""Who asks for something, and what they may do: checked by whoever does the work, next to the work."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from connectord.errors import NotAllowed


class Role(IntEnum):
    """What a caller may do; each role may do what the ones below it may."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody on whose behalf something is done: the name is what the history says."""

    name: str
    role: Role

    def require(self, needed: Role, what: str) -> None:
        """Raise :class:`NotAllowed` unless the caller may do ``what``, which needs the role ``needed``."""
        if self.role < needed:
            raise NotAllowed(f"{what} needs the role {needed.name.lower()}; {self.name} is {self.role.name.lower()}")


SIGNAL = Caller("signal", Role.ADMIN)
"""Whoever sent the process a signal: the kernel lets only root and the daemon's own user, who are admins."""
