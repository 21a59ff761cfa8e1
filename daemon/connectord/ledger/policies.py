"""Which policy counts for which system, and under which version of the configuration: one value per moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from connectord.lifecycle.policy import Policy


@dataclass(frozen=True, slots=True)
class PolicyBook:
    """All policies of one configuration. A batch of the ledger is decided by one book, whatever is reloaded meanwhile.

    ``version`` is the number of the configuration, 1 or more; 0 where none is kept. ``otherwise`` is for systems that
    are not configured any more: their actions are held, and what still happens to them is decided by it.
    """

    version: int = 0
    policies: Mapping[str, Policy] = field(default_factory=lambda: MappingProxyType({}))
    otherwise: Policy = field(default_factory=Policy)

    def of(self, system: str) -> Policy:
        """The policy of a system."""
        return self.policies.get(system, self.otherwise)
