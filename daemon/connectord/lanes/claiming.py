"""Claiming what is due: up to as many attempts and probes as there are places for."""

from __future__ import annotations

from functools import partial

import trio

from connectord.errors import StoreFull
from connectord.lanes.attempting import attempt
from connectord.lanes.context import LaneContext
from connectord.lanes.instances import Instance
from connectord.lanes.probing import Probes
from connectord.ledger import operations as op
from connectord.ledger.standing import StandingClaim

CLAIM_LIMIT = 64


class Claims:
    """Waits for the lane's one timer, however many actions are pending, and begins what is due."""

    def __init__(self, context: LaneContext, probes: Probes) -> None:
        self.alarm = context.ledger.lane_alarm(context.name)
        self._context = context
        self._probes = probes

    async def run(self, instance: Instance, nursery: trio.Nursery) -> None:
        """Claim until the instance has ended. What begins goes on in ``nursery``."""
        admission = self._context.admission
        try:
            while not instance.ended:
                self._context.pulse.beat()
                if places := self._reserve():
                    await self._claim(instance, nursery, places)
                else:
                    await instance.wait(admission.wait)
        finally:
            admission.leave_attempts()

    def _reserve(self) -> int:
        """Hold places for what may begin now; how many. :meth:`_begin` must follow, if any."""
        if self._context.paused:
            self._context.admission.leave_attempts()
            return 0
        return self._context.admission.reserve_attempts(CLAIM_LIMIT)

    async def _claim(self, instance: Instance, nursery: trio.Nursery, places: int) -> None:
        # never cut off by the end of the instance: what is claimed is on disk, and must begin
        context = self._context
        claims = await context.ledger.claim(context.name, places, tuple(self._probes.under_way))
        while self._begin(claims, instance, nursery) < places:
            # nothing more was due; where every place was taken, more may be
            standing = StandingClaim(partial(self._claim_for_submission, instance))
            with context.ledger.standing_claim(context.name, standing):
                await instance.wait(partial(standing.wait, self.alarm.wait))
            if standing.answer is None:
                return
            places = context.admission.reserved_attempts
            try:
                claims = await standing.answer()
            except StoreFull:  # nothing was submitted either
                context.admission.leave_attempts()
                return
            if standing.condition_came:
                self._begin(claims, instance, nursery)
                return

    def _claim_for_submission(self, instance: Instance) -> op.Claim | None:
        if instance.ended or not (places := self._reserve()):
            return None
        return op.Claim(self._context.name, places, tuple(self._probes.under_way))

    def _begin(self, claims: op.Claims, instance: Instance, nursery: trio.Nursery) -> int:
        """Begin what was claimed; how many attempts and probes that were."""
        context = self._context
        now = context.clock.now_ms()
        for claimed in claims.attempts:
            if claimed.due_at is not None:
                context.measures.late_seconds.observe(max(now - claimed.due_at, 0) / 1000)
            context.attempts[claimed.action.id] = claimed.action.attempts
            instance.begin_call()
            nursery.start_soon(attempt, context, instance, claimed)
        probes = () if instance.ended else claims.probes
        for claimed in probes:
            self._probes.begin(instance, claimed, nursery)
        begun = len(claims.attempts) + len(probes)
        more = claims.next_due_at is not None and claims.next_due_at <= now
        context.admission.begin_attempts(begun, more_wait=more)
        self.alarm.set(claims.next_due_at)
        return begun
