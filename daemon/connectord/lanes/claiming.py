"""Claiming what is due: up to as many attempts and probes as there are places for."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial

import trio

from connectord.errors import StoreFull
from connectord.lanes.attempting import Attempt
from connectord.lanes.context import LaneContext
from connectord.lanes.instances import Instance
from connectord.lanes.probing import Probes
from connectord.lanes.workers import Workers
from connectord.ledger import operations as op
from connectord.ledger.standing import StandingClaim

CLAIM_LIMIT = 64


class Claims:
    """Waits for the lane's one timer, however many actions are pending, and begins what is due."""

    def __init__(self, context: LaneContext, probes: Probes) -> None:
        self.alarm = context.ledger.lane_alarm(context.name)
        self._context = context
        self._probes = probes
        self._workers = Workers()

    async def run(self, instance: Instance, nursery: trio.Nursery) -> None:
        """Claim until the instance has ended. What begins goes on in ``nursery``."""
        admission = self._context.admission
        try:
            while not instance.ended:
                self._context.pulse.beat()
                claim = self._reserve()
                if claim is None:
                    await instance.wait(admission.wait)
                else:
                    await self._claim(instance, nursery, claim)
        finally:
            admission.leave_attempts()
            self._workers.release()

    def _reserve(self) -> op.Claim | None:
        """Hold places for what may begin now; the claim for them, if there are any. :meth:`_begin` must follow."""
        context, admission = self._context, self._context.admission
        if context.paused:
            admission.leave_attempts()
            return None
        room = context.recovery.room()
        places = admission.reserve_attempts(min(room or CLAIM_LIMIT, CLAIM_LIMIT))
        if not places:
            return None
        return op.Claim(
            context.name,
            places,
            tuple(self._probes.under_way),
            retries=admission.retries_first(),
            # what a person asks for does not wait for the system to be well again
            manual_only=room == 0,
        )

    async def _claim(self, instance: Instance, nursery: trio.Nursery, claim: op.Claim) -> None:
        # never cut off by the end of the instance: what is claimed is on disk, and must begin
        context = self._context
        claims = await context.ledger.claim(
            claim.system,
            claim.limit,
            claim.probes_under_way,
            retries=claim.retries,
            manual_only=claim.manual_only,
        )
        while self._begin(claim, claims, instance, nursery) < claim.limit:
            if claim.manual_only:
                await instance.wait(self._something_else)
                return
            # nothing more was due; where every place was taken, more may be
            reserved: list[op.Claim] = []
            standing = StandingClaim(partial(self._reserve_for_submission, instance, reserved))
            with context.ledger.standing_claim(context.name, standing):
                await instance.wait(partial(standing.wait, self.alarm.wait))
            if standing.answer is None:
                return
            (claim,) = reserved
            try:
                claims = await standing.answer()
            except StoreFull:  # nothing was submitted either
                context.admission.leave_attempts()
                return
            if standing.condition_came:
                self._begin(claim, claims, instance, nursery)
                return

    def _reserve_for_submission(self, instance: Instance, reserved: list[op.Claim]) -> op.Claim | None:
        claim = None if instance.ended else self._reserve()
        if claim is not None:
            reserved.append(claim)
        return claim

    def _begin(self, claim: op.Claim, claims: op.Claims, instance: Instance, nursery: trio.Nursery) -> int:
        """Begin what was claimed; how many attempts and probes that were."""
        context = self._context
        now = context.clock.now_ms()
        begun, retries = len(claims.attempts), sum(claimed.retry for claimed in claims.attempts)
        began_in = context.recovery.begin(begun)
        for claimed in claims.attempts:
            if claimed.due_at is not None:
                context.measures.late_seconds.observe(max(now - claimed.due_at, 0) / 1000)
            context.attempts[claimed.action.id] = claimed.action.attempts
            instance.begin_call()
            self._workers.begin(nursery, Attempt(context, instance, claimed, began_in))
        probes = () if instance.ended else claims.probes
        if probes:
            context.recovery.begin(len(probes))
            begun, retries = begun + len(probes), retries + sum(claimed.retry for claimed in probes)
        for claimed in probes:
            self._probes.begin(instance, claimed, nursery, began_in)
        more = claims.next_due_at is not None and claims.next_due_at <= now
        context.admission.begin_attempts(begun, retries=retries, more_wait=more)
        self.alarm.set(claims.next_due_at)
        if begun == claim.limit:
            self._workers.keep()
        elif not more and not claim.manual_only:
            context.recovery.drained()
            self._workers.release()
        return begun

    async def _something_else(self) -> None:
        """Wait until something is due, an attempt on the ramp has ended, or trials may begin."""
        async with trio.open_nursery() as nursery:

            async def end_after(wait: Callable[[], Awaitable[None]]) -> None:
                await wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(end_after, self.alarm.wait)
            nursery.start_soon(end_after, self._wait_for_room)

    async def _wait_for_room(self) -> None:
        # both are looked at in the very step in which the wait begins: of an attempt that ends in between, and of a
        # circuit that it opens, nobody would hear
        recovery = self._context.recovery
        if recovery.room() == 0:
            seconds = recovery.seconds_to_trial
            with trio.move_on_after(math.inf if seconds is None else seconds):
                await self._context.admission.wait()
