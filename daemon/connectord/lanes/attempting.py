"""One attempt: call the adapter, and report what it came to."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial

import trio

from connectord.lanes.calls import Trouble, call_adapter, no_answer, tell_fault
from connectord.lanes.context import LaneContext
from connectord.lanes.instances import Instance
from connectord.lanes.outcomes import attempt_event, attempt_failed
from connectord.lanes.under_way import AdapterCall
from connectord.ledger.operations import ClaimedCall
from connectord.lifecycle import events as on
from connectord.measures import AttemptResult

_RESULTS: Mapping[type[on.Event], AttemptResult] = {
    on.TakenBySystem: "taken",
    on.SuccessReceived: "succeeded",
    on.FailureReceived: "rejected",
    on.ConnectionFailed: "not_connected",
}


class Attempt:
    """One that was claimed: :meth:`begin` it, :meth:`make` its call, and :meth:`settle` what that came to."""

    __slots__ = ("_began_in", "_claimed", "_context", "_instance")

    def __init__(self, context: LaneContext, instance: Instance, claimed: ClaimedCall, began_in: int) -> None:
        """``began_in`` is the round that the lane's recovery gave it."""
        self._context = context
        self._instance = instance
        self._claimed = claimed
        self._began_in = began_in

    def begin(self, scope: trio.CancelScope) -> AdapterCall:
        """The call, which is cancelled by ``scope`` when its time is up. :meth:`make` must follow."""
        context, claimed = self._context, self._claimed
        context.admission.note_begin(claimed.rate_kind)
        return context.begin_call("trigger", claimed.action.id, self._give_up, self._free_place, scope)

    async def make(self, call: AdapterCall) -> on.Event | Trouble:
        """Hand the action over. Raises only :class:`trio.Cancelled`."""
        context, claimed, adapter = self._context, self._claimed, self._instance.adapter
        number = claimed.action.attempts
        try:
            return await call_adapter(
                lambda: adapter.trigger(context.call_for(claimed)),
                partial(attempt_event, attempt=number),
                adapter=context.adapter_class,
                method="trigger",
                system=context.name,
                limit_seconds=None,
                action=call.action_id,
                attempt=number,
            )
        finally:
            # the system is done with it: the next one is claimed in the transaction that records what became of this
            context.calls.end(call)

    def fault(self, error: BaseException) -> Trouble:
        """What it came to where the adapter left something open, which was found out after the call."""
        context, action = self._context, self._claimed.action
        return tell_fault(
            error,
            adapter=context.adapter_class,
            method="trigger",
            system=context.name,
            action=action.id,
            attempt=action.attempts,
        )

    async def settle(self, call: AdapterCall, outcome: on.Event | Trouble | None) -> None:
        """Report the outcome, None where its time was up. A fault of the adapter ends the instance."""
        context = self._context
        if outcome is None:
            outcome = no_answer(call.limit_seconds)
        if not call.abandoned:
            context.measures.attempt_seconds.observe(trio.current_time() - call.since)
            _learn(context, outcome, self._began_in, call)
            await _report(context, self._instance, self._claimed, outcome)
        elif not isinstance(outcome, Trouble):
            # the attempt has failed already; a response counts whenever it comes
            await context.ledger.report(call.action_id, outcome, f"system:{context.name}")

    async def _give_up(self, message: str) -> None:
        trouble = Trouble(message, fault=True, outcome_unknown=True)
        await _report(self._context, self._instance, self._claimed, trouble)

    def _free_place(self) -> None:
        self._instance.end_call()
        self._context.recovery.end(self._began_in)
        self._context.admission.end_attempt(retry=self._claimed.retry)


def _learn(context: LaneContext, outcome: on.Event | Trouble, began_in: int, call: AdapterCall) -> None:
    """Tell the lane's recovery. A fault of the adapter says nothing of the system."""
    if not isinstance(outcome, Trouble):
        context.recovery.reached(began_in)
        # the ramp may have more room by now than when the place was left
        context.admission.wake()
    elif not outcome.fault:
        context.recovery.failed(began_in, call.since, call.action_id, outcome.message)


async def _report(context: LaneContext, instance: Instance, claimed: ClaimedCall, outcome: on.Event | Trouble) -> None:
    action, number = claimed.action, claimed.action.attempts
    event: on.Event
    fault = isinstance(outcome, Trouble) and outcome.fault
    if isinstance(outcome, Trouble):
        event = attempt_failed(outcome, number)
        if fault:
            # the lane counts the fault when it starts the next instance
            context.health.last_error = outcome.message
            instance.end()
    else:
        event = outcome
    context.measures.results["fault" if fault else _RESULTS[type(event)]] += 1
    transition = await context.ledger.report(action.id, event, f"system:{context.name}")
    # an attempt that is cancelled before this stays in the books, to be reported as interrupted
    context.attempts.pop(action.id, None)
    if isinstance(event, on.ConnectionFailed):
        context.health.failed(event.message)
        level, tell = logging.WARNING, context.log.warning
    else:
        context.health.reached(context.clock.now_ms())
        level, tell = logging.DEBUG, context.log.debug
    if not context.log.is_enabled_for(level):
        return  # without having made the line that nobody wants
    tell(
        "attempt ended",
        action=action.id,
        system=context.name,
        attempt=number,
        outcome=type(event).__name__,
        state=None if transition is None else transition.action.state.value,
        error=getattr(event, "message", None) or getattr(event, "reason", None),
    )
