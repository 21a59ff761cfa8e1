"""What the parts of one lane share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from operator import attrgetter

import structlog
import trio
from structlog.typing import FilteringBoundLogger

from connectord.adapters import Adapter, AdapterContext, Call, Network
from connectord.clock import Clock
from connectord.config import SystemConfig
from connectord.lanes.admission import Admission
from connectord.lanes.health import Health
from connectord.lanes.pulse import Pulse
from connectord.lanes.recovery import Recovery
from connectord.lanes.under_way import AdapterCall, CallsUnderWay
from connectord.ledger.ledger import Ledger
from connectord.ledger.operations import ClaimedCall
from connectord.lifecycle.action import Action
from connectord.measures import LaneMeasures
from connectord.times import rfc3339


@dataclass(slots=True)
class LaneContext:
    """One system, its configuration of the moment, and what its lane works with."""

    config: SystemConfig
    adapter_class: type[Adapter]
    ledger: Ledger
    clock: Clock
    network: Network
    callback_url: Callable[[str], str]
    admission: Admission
    health: Health
    recovery: Recovery
    paused: bool = False
    reconfigured: trio.Event = field(default_factory=trio.Event)
    """Set, and made anew, when the configuration becomes another one."""
    attempts: dict[str, int] = field(default_factory=dict)
    """The attempts under way: their numbers, by their actions."""
    calls: CallsUnderWay = field(default_factory=CallsUnderWay)
    """The calls of the adapter that have a time limit and a place in ``concurrency``."""
    measures: LaneMeasures = field(default_factory=LaneMeasures)
    traceparent: Callable[[Action], str | None] = attrgetter("traceparent")
    """What the system is told of an action's trace."""
    pulse: Pulse = field(default_factory=Pulse)
    """Of the loop that claims, or whatever the lane does before and after it."""
    log: FilteringBoundLogger = field(default_factory=lambda: structlog.get_logger().bind())
    """Bound once: a lazy one is bound anew for every line, whether the line is wanted or not."""

    @property
    def name(self) -> str:
        """The system's name."""
        return self.config.name

    @property
    def limit_seconds(self) -> float:
        """How long one call of the adapter may take."""
        return self.config.attempt_timeout_ms / 1000

    def reconfigure(self, config: SystemConfig) -> None:
        """Go on with another configuration of the same adapter."""
        before, self.config = self.config, config
        self.recovery.configure(config.circuit, config.concurrency, other_target=config.settings != before.settings)
        self.admission.configure(config.concurrency, config.rate, config.policy.retry.budget)
        self.reconfigured.set()
        self.reconfigured = trio.Event()

    def begin_call(
        self,
        method: str,
        action_id: str,
        settle: Callable[[str], Awaitable[None]],
        free_place: Callable[[], None],
        scope: trio.CancelScope | None = None,
    ) -> AdapterCall:
        """A call of the adapter begins; ``calls.end`` must follow. See :class:`AdapterCall`."""
        call = AdapterCall(method, action_id, self.limit_seconds, settle, free_place, scope)
        self.calls.begin(call)
        return call

    def new_adapter(self) -> Adapter:
        """A fresh instance, not opened."""
        context = AdapterContext(self.name, self.config.concurrency, self.network)
        return self.adapter_class(self.config.settings, context)

    def call_for(self, claimed: ClaimedCall) -> Call:
        """What the adapter is told of an action."""
        action = claimed.action
        expected = self.config.policy.response_expected
        return Call(
            action_id=action.id,
            system=action.system,
            case_id=action.case_id,
            owner=claimed.owner,
            attempt=action.attempts,
            submitted_at=rfc3339(action.submitted_at),
            data=claimed.data,
            case_data=claimed.case_data,
            callback_url=self.callback_url(action.id) if expected else None,
            idempotency_key=action.id,
            reference=action.reference,
            traceparent=self.traceparent(action),
        )
