"""Claiming what is due: up to as many attempts and probes as there are places for."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import trio

from connectord.lanes.attempting import attempt
from connectord.lanes.context import LaneContext
from connectord.lanes.instances import Instance
from connectord.lanes.probing import Probes

CLAIM_LIMIT = 64


class Claims:
    """Waits for the lane's one timer, however many actions are pending, and begins what is due."""

    def __init__(self, context: LaneContext, probes: Probes) -> None:
        self.alarm = context.ledger.lane_alarm(context.name)
        self._context = context
        self._probes = probes

    async def run(self, instance: Instance, nursery: trio.Nursery) -> None:
        """Claim until the instance has ended. What begins goes on in ``nursery``."""
        context, admission = self._context, self._context.admission
        try:
            while not instance.ended:
                context.pulse.beat()
                if context.paused:
                    admission.leave_attempts()
                else:
                    room = context.recovery.room()
                    # what a person asks for does not wait for the system to be well again
                    manual_only = room == 0
                    if places := admission.reserve_attempts(min(room or CLAIM_LIMIT, CLAIM_LIMIT)):
                        await self._claim(instance, nursery, places, manual_only=manual_only)
                        continue
                await instance.wait(admission.wait)
        finally:
            admission.leave_attempts()

    async def _claim(self, instance: Instance, nursery: trio.Nursery, places: int, *, manual_only: bool) -> None:
        # never cut off by the end of the instance: what is claimed is on disk, and must begin
        context = self._context
        claims = await context.ledger.claim(
            context.name,
            places,
            tuple(self._probes.under_way),
            retries=context.admission.retries_first(),
            manual_only=manual_only,
        )
        now = context.clock.now_ms()
        begun, retries = len(claims.attempts), sum(claimed.retry for claimed in claims.attempts)
        began_in = context.recovery.begin(begun)
        for claimed in claims.attempts:
            if claimed.due_at is not None:
                context.measures.late_seconds.observe(max(now - claimed.due_at, 0) / 1000)
            context.attempts[claimed.action.id] = claimed.action.attempts
            instance.begin_call()
            nursery.start_soon(attempt, context, instance, claimed, began_in)
        probes = () if instance.ended else claims.probes
        if probes:
            context.recovery.begin(len(probes))
            begun, retries = begun + len(probes), retries + sum(claimed.retry for claimed in probes)
        for claimed in probes:
            self._probes.begin(instance, claimed, nursery, began_in)
        more = claims.next_due_at is not None and claims.next_due_at <= now
        context.admission.begin_attempts(begun, retries=retries, more_wait=more)
        self.alarm.set(claims.next_due_at)
        if manual_only:
            await instance.wait(self._something_else)
        elif begun < places:
            # nothing more was due; where every place was taken, more may be
            if not more:
                context.recovery.drained()
            await instance.wait(self.alarm.wait)

    async def _something_else(self) -> None:
        """Wait until something is due, an attempt on the ramp has ended, or trials may begin."""
        seconds = self._context.recovery.seconds_to_trial
        with trio.move_on_after(math.inf if seconds is None else seconds):
            async with trio.open_nursery() as nursery:

                async def end_after(wait: Callable[[], Awaitable[None]]) -> None:
                    await wait()
                    nursery.cancel_scope.cancel()

                nursery.start_soon(end_after, self.alarm.wait)
                nursery.start_soon(end_after, self._context.admission.wait)
