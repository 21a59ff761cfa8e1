"""The one writer: gathers what arrives, does it in one transaction, and tells everybody once it is committed.

What arrives while a commit is under way goes into the next one (group commit), so the number of commits does not
grow with the load.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from operator import attrgetter
from typing import Any, cast

import structlog
import trio

from connectord.callers import Caller, Role
from connectord.clock import LONGEST_SLEEP_SECONDS, STEP_BACK_MS, Alarm, Clock, ClockWatch
from connectord.errors import Overloaded, RequestError, StoreError, StoreFailed, StoreFull
from connectord.ledger import asking
from connectord.ledger import operations as op
from connectord.ledger.ids import IdSource
from connectord.ledger.limiting import FIRST_SLICE, LARGEST_SLICE, EnforceLimit
from connectord.ledger.log_growth import LogGrowth
from connectord.ledger.log_lines import log_history
from connectord.ledger.masking import Mask, masked
from connectord.ledger.pace import Pace
from connectord.ledger.policies import PolicyBook
from connectord.ledger.polled import PolledActions
from connectord.ledger.requests import Request, RequestQueue
from connectord.ledger.standing import StandingClaim
from connectord.ledger.submission import Submission
from connectord.ledger.unit import Consequences, Unit
from connectord.ledger.watchers import Watchers
from connectord.lifecycle.action import CLOSED, PENDING, WAITING, Action
from connectord.lifecycle.events import Event
from connectord.lifecycle.transitions import Transition
from connectord.measures import LedgerMeasures
from connectord.store.base import Executor, WriteStore

BATCH_LIMIT = 256
GATHERING_TURNS = 12
IDLE_TURNS = 3
QUEUE_LIMIT = 4096
STORE_FULL_PAUSE_SECONDS = 1.0

_change_key = attrgetter("system", "event", "from_state", "to_state")

log = structlog.get_logger()


class Ledger:
    """Only the ledger changes an action. Nothing is acknowledged before its commit."""

    def __init__(
        self,
        store: WriteStore,
        *,
        executor: Executor,
        clock: Clock,
        rng: random.Random,
        policies: Callable[[], PolicyBook],
        mask: Mask = str,
    ) -> None:
        self.mask = mask
        """Takes secrets out of what systems and adapters say."""
        self._store = store
        self._executor = executor
        self._clock = clock
        # jitter is no secret: drawing it from the system for every event would cost a system call each
        self._jitter = random.Random(rng.getrandbits(128))  # noqa: S311
        self._ids = IdSource(rng, store.last_id())
        self._policies = policies
        self._last_seq = store.last_seq()
        self._written = store.written()
        self._queue = RequestQueue()
        self._clock_watch = ClockWatch(clock)
        self._clock_went_back = trio.Event()
        self._lane_alarms: dict[str, Alarm] = {}
        self._polled: dict[str, PolledActions] = {}
        self._standing: dict[str, StandingClaim] = {}
        self.deadline_alarm = Alarm(clock)
        self.outbox_alarm = Alarm(clock)
        self.watchers = Watchers(self._last_seq)
        self.counts: Counter[tuple[str, str]] = Counter(store.live_counts())
        """How many actions of (system, state) there are, for the live states; read once, then kept by commits."""
        self.undelivered, self.undelivered_since = store.undelivered()
        """How many notifications wait to be delivered, and since when the oldest does; kept as the counts are."""
        self.log_growth = LogGrowth(self._written)
        self._waiting_for_room = 0
        self.commits = 0
        """Commits that changed an action."""
        self.measures = LedgerMeasures()
        self.commit_began_at: float | None = None
        """Since when the commit is under way that is, on trio's clock."""
        self.full_since: int | None = None
        """Since when the store refuses to take anything, for there is no room; milliseconds since the epoch."""

    @property
    def last_seq(self) -> int:
        """The number of the newest row of the history; 0 where there is none."""
        return self._last_seq

    def lane_alarm(self, system: str) -> Alarm:
        """The alarm that goes off when an action of the system is due."""
        alarm = self._lane_alarms.get(system)
        if alarm is None:
            alarm = self._lane_alarms[system] = Alarm(self._clock)
        return alarm

    def polled(self, system: str) -> PolledActions:
        """When the polled actions of the system are due, and the polls under way."""
        polled = self._polled.get(system)
        if polled is None:
            polled = self._polled[system] = PolledActions(self._clock)
        return polled

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write, batch after batch, until cancelled. Raises :class:`StoreFailed`: then the daemon must stop."""
        task_status.started()
        # one scope whose shield goes up for each batch: a scope for each costs ten times as much
        with trio.CancelScope() as scope:
            while True:
                batch = [await self._queue.take()]
                await self._gather(batch)
                if self._clock_watch.went_back():
                    self._clock_went_back.set()
                scope.shield = True
                await self._commit(batch + self._standing_claims(batch))
                scope.shield = False

    async def _gather(self, batch: list[Request]) -> None:
        """Add what comes while everybody who is ready has a turn, and another one as long as turns bring more.

        A lane whose attempts have just ended claims the next with them. And the writer gets to work when the loop has
        little to do: each of them needs the interpreter's lock, and to take it from the other costs both.
        """
        idle = 0
        for _ in range(GATHERING_TURNS):
            before = len(batch)
            await trio.lowlevel.cancel_shielded_checkpoint()
            self._queue.take_more(batch, BATCH_LIMIT)
            idle = idle + 1 if len(batch) == before else 0
            if idle == IDLE_TURNS or len(batch) == BATCH_LIMIT:
                break

    def _standing_claims(self, batch: Sequence[Request]) -> list[Request]:
        """The claims that lanes have left here for what the batch submits; they come last in it."""
        claims: list[Request] = []
        for request in batch if self._standing else ():
            if not isinstance(request.operation, op.Submit):
                continue
            for submission in request.operation.submissions:
                standing = self._standing.get(submission.system) if submission.due_at is None else None
                if standing is not None and (claim := standing.reserve()) is not None:
                    del self._standing[submission.system]
                    claims.append(Request(claim))
                    standing.make(claims[-1].answer)
        return claims

    async def _commit(self, batch: Sequence[Request]) -> None:
        began_at = self.commit_began_at = trio.current_time()
        try:
            outcomes, consequences = await self._executor.run(self._perform, batch)
        except (StoreError, MemoryError) as raised:
            # without memory for it nothing was written either: as on a full disk, it may be tried again
            error = raised if isinstance(raised, StoreError) else StoreFull("there is no memory for it; try again")
            self._refuse(batch, error)
            if isinstance(error, StoreFailed):
                raise
            return
        finally:
            self.commit_began_at = None
        measures = self.measures
        measures.commit_seconds.observe(trio.current_time() - began_at)
        measures.batch_sizes.observe(len(batch))
        if self.full_since is not None:
            log.info("store takes again", full_seconds=round((self._clock.now_ms() - self.full_since) / 1000, 3))
            self.full_since = None
        self.log_growth.note(self._written)
        if consequences.history:
            self.commits += 1
        self._tell(consequences)
        for request, (result, refusal) in zip(batch, outcomes, strict=True):
            request.finish(result, refusal)

    def _refuse(self, batch: Sequence[Request], error: StoreError) -> None:
        if isinstance(error, StoreFailed):
            log.critical("store failed", error=str(error), todo="the daemon ends, and must be started again")
        else:
            self.measures.refused_batches += 1
            if self.full_since is None:
                self.full_since = self._clock.now_ms()
                log.error("store full", error=str(error), todo="nothing is lost: make room on the disk")
        for request in batch:
            request.finish(None, error)

    def _perform(self, batch: Sequence[Request]) -> tuple[list[tuple[Any, Exception | None]], Consequences]:
        # runs in the executor; everything it touches belongs to the writer alone
        store = self._store
        unit = Unit(
            store,
            now=self._clock.now_ms(),
            rng=self._jitter,
            ids=self._ids,
            policies=self._policies(),
            last_seq=self._last_seq,
        )
        outcomes: list[tuple[Any, Exception | None]] = []
        if self.log_growth.rest_wanted:
            self.log_growth.rest_wanted = False
            with suppress(StoreFull):  # there may be room for this batch all the same
                store.write_back_rest()
        store.begin()
        try:
            unit.load_ahead({each.operation.action_id for each in batch if isinstance(each.operation, op.Apply)})
            for request in batch:
                try:
                    outcomes.append((request.operation.perform(unit), None))
                except RequestError as error:
                    outcomes.append((None, error))
            unit.flush()
            store.commit()
        except BaseException:
            store.rollback()
            raise
        self._last_seq = unit.last_seq
        self._written = store.written()
        return outcomes, unit.consequences

    def _tell(self, told: Consequences) -> None:
        for system, due_at in told.due.items():
            self.lane_alarm(system).set(due_at)
        self.deadline_alarm.set(told.deadline)
        self.undelivered += told.outbox - told.delivered
        if told.delivered:
            self.undelivered_since = told.oldest_undelivered
        for system, poll_at in told.polls.items():
            self.polled(system).alarm.set(poll_at)
        for system, action_id in told.unpolled:
            self.polled(system).cancel(action_id)
        if told.outbox:
            if self.undelivered_since is None:
                self.undelivered_since = told.at
            self.outbox_alarm.set(0)
        self.watchers.publish(told.history)
        measures = self.measures
        for (system, event, before, after), count in Counter(map(_change_key, told.history)).items():
            measures.changes[system, event, after] += count
            if before is not None:
                self.counts[system, before] -= count
            if after != CLOSED:
                self.counts[system, after] += count
        for system, milliseconds in told.responded:
            measures.time(measures.response_seconds, system, milliseconds)
        for system, milliseconds in told.closed:
            measures.time(measures.life_seconds, system, milliseconds)
        log_history(told.history)

    # -- asking

    async def perform(self, operation: op.Operation) -> Any:
        """Have ``operation`` done; returns once it is committed.

        For the daemon's own tasks, whose number is limited: there is always a place for what each of them waits for.
        Raises what the operation raises, or :class:`StoreError` where nothing was written.
        """
        request = Request(operation)
        # who is cancelled by now wants nothing done; anybody else waits once, for the answer
        await trio.lowlevel.checkpoint_if_cancelled()
        self._queue.put(request)
        return await request.answer()

    async def perform_at_once(self, operation: op.Operation) -> Any:
        """As :meth:`perform`, for the edges: raises :class:`Overloaded` where the queue is full."""
        if len(self._queue) >= QUEUE_LIMIT:
            raise Overloaded("the ledger's queue is full; nothing was taken, try again")
        request = Request(operation)
        self._queue.put(request)
        return await request.answer()

    async def insist(self, operation: op.Operation) -> Any:
        """As :meth:`perform`, for what has happened already and must not be lost: waits out a full disk."""
        while True:
            try:
                return await self.perform(operation)
            except StoreFull:
                self._waiting_for_room += 1
                try:
                    await trio.sleep(STORE_FULL_PAUSE_SECONDS)
                finally:
                    self._waiting_for_room -= 1

    @property
    def waits_for_room(self) -> bool:
        """Whether somebody waits for room on the disk, to write what has happened already."""
        return self._waiting_for_room > 0

    async def ask_writer(self) -> None:
        """Return once the writer has come round: as :meth:`perform`, with nothing to do."""
        await self.perform(op.Answer())

    async def submit(self, submissions: Sequence[Submission], who: str) -> list[Action]:
        """Take new actions, all or none. Raises :class:`KeyConflict`, :class:`Overloaded`, :class:`StoreFull`."""
        began_at = trio.current_time()
        actions = cast("list[Action]", await self.perform_at_once(op.Submit(submissions, who)))
        self.measures.submit_seconds.observe(trio.current_time() - began_at)
        return actions

    async def apply(self, action_id: str, event: Event, who: str, note: str | None = None) -> Transition:
        """Let an event happen to an action. Raises :class:`NotFound`, :class:`Refused`, :class:`Overloaded`."""
        return cast("Transition", await self.perform_at_once(op.Apply(action_id, masked(event, self.mask), who, note)))

    async def submit_for(self, caller: Caller, submissions: Sequence[Submission]) -> list[Action]:
        """:meth:`submit` on behalf of an operator. Raises :class:`NotAllowed`, too."""
        caller.require(Role.OPERATOR, "submitting an action")
        return await self.submit(submissions, caller.name)

    async def apply_for(self, caller: Caller, action_id: str, event: Event, note: str | None = None) -> Transition:
        """:meth:`apply` on behalf of an operator. Raises :class:`NotAllowed`, too."""
        caller.require(Role.OPERATOR, "changing an action")
        return await self.apply(action_id, event, caller.name, note)

    async def rerun_for(self, caller: Caller, ids: Sequence[str], *, once: bool, at_once: bool) -> list[Action]:
        """New actions from closed ones, all or none, on behalf of an operator; ``once`` leaves out what was before.

        Raises :class:`NotAllowed`, :class:`NotFound`, :class:`Refused`, :class:`StoreFull` and, with ``at_once``,
        :class:`Overloaded` where the queue is full.
        """
        caller.require(Role.OPERATOR, "running actions again")
        operation = op.Rerun(ids, caller.name, once)
        return cast("list[Action]", await (self.perform_at_once(operation) if at_once else self.perform(operation)))

    async def report(self, action_id: str, event: Event, who: str) -> Transition | None:
        """Record what an attempt came to, whatever the disk says; None where it is refused."""
        try:
            return cast("Transition", await self.insist(op.Apply(action_id, masked(event, self.mask), who)))
        except RequestError:
            return None

    async def claim(
        self,
        system: str,
        limit: int,
        probes_under_way: Collection[str] = (),
        *,
        retries: int = 0,
        manual_only: bool = False,
    ) -> op.Claims:
        """Begin up to ``limit`` due attempts or probes; the attempts are on disk when this returns (rule 14).

        Retries have up to ``retries`` of them, and what nothing else needs. ``manual_only``: nothing but what people
        asked for.
        """
        return cast("op.Claims", await self.insist(op.Claim(system, limit, probes_under_way, retries, manual_only)))

    @contextmanager
    def standing_claim(self, system: str, standing: StandingClaim) -> Iterator[None]:
        """Within the block, a submission for ``system`` makes the claim, as :meth:`claim` would, in its own batch.

        Once made it has to be answered for, also after the block: its attempts are on disk then, and must begin.
        """
        self._standing[system] = standing
        try:
            yield
        finally:
            if self._standing.get(system) is standing:
                del self._standing[system]

    async def find_polls(self, system: str, limit: int) -> asking.Polls:
        """Up to ``limit`` actions of a system that are due to be polled and are not being polled."""
        under_way = tuple(self.polled(system).under_way)
        return cast("asking.Polls", await self.insist(asking.FindPolls(system, limit, under_way)))

    async def end_poll(
        self, action_id: str, event: Event | None, who: str, retry_after_ms: int | None = None
    ) -> int | None:
        """Record what a poll brought, whatever the disk says; the time of the next one, if there is to be one."""
        event = None if event is None else masked(event, self.mask)
        try:
            return cast("int | None", await self.insist(asking.EndPoll(action_id, event, who, retry_after_ms)))
        except RequestError:
            return None

    async def adopt_waiting(self, system: str, after: str) -> str | None:
        """Begin to poll what the system took before it was polled: a page of it, after the id ``after``.

        Gives the ``after`` of the next page; None where this was the last one.
        """
        return cast("str | None", await self.insist(asking.AdoptWaiting(system, after)))

    async def deliver(self, action_id: str, system: str, event: Event, who: str) -> Transition:
        """Take a response from one of the system's own actions, whatever the disk says. Raises :class:`NotFound`."""
        return cast("Transition", await self.insist(asking.Deliver(action_id, system, masked(event, self.mask), who)))

    async def recover(self) -> int:
        """Rule 14, once at start: how many attempts were interrupted."""
        last_change_at = cast("int | None", await self.insist(op.LastChange()))
        if last_change_at is not None and last_change_at > self._clock.now_ms() + STEP_BACK_MS:
            await self._shorten_waits()
        return await self._in_slices(op.InterruptOpenAttempts())

    async def enforce_limit(self, system: str, who: str) -> int:
        """Rules 10 and 11: close what today's limit no longer allows to go on; how many that were."""
        pace = Pace(LARGEST_SLICE, smallest=FIRST_SLICE, first=FIRST_SLICE, step=25, short_ms=6, long_ms=15)
        touched = 0
        while True:
            done = cast("op.Slice", await self.insist(EnforceLimit(system, who, pace.size, self._clock)))
            touched += done.touched
            if not done.more:
                break
            pace.adapt(done.took_ms)
            # what came meanwhile has the writer before the next slice
            await self.insist(op.Answer())
        return touched

    async def _in_slices(self, operation: op.Operation) -> int:
        touched = 0
        while True:
            done = cast("op.Slice", await self.insist(operation))
            touched += done.touched
            if not done.more:
                return touched

    async def hasten_notifications(self) -> int:
        """Make every undelivered notification due now; how many there are."""
        return await self._hasten(self.perform)

    async def _hasten(self, perform: Callable[[op.Operation], Awaitable[Any]]) -> int:
        hastened, last = 0, 0
        while True:
            seqs = cast("Sequence[int]", await perform(op.HastenNotifications(last)))
            if not seqs:
                self.outbox_alarm.set(0)
                return hastened
            hastened, last = hastened + len(seqs), seqs[-1]

    async def watch_deadlines(self) -> None:
        """Let deadlines pass when they are over; one timer for all of them. Runs until cancelled."""
        self.deadline_alarm.set(0)
        while True:
            await self.deadline_alarm.wait()
            done = cast("op.Slice", await self.insist(op.Expire()))
            self.deadline_alarm.set(0 if done.more else done.next_at)

    async def watch_clock(self) -> None:
        """Keep waits as long as they were meant to be when the wall clock goes back. Runs until cancelled."""
        while True:
            with trio.move_on_after(LONGEST_SLEEP_SECONDS):
                await self._clock_went_back.wait()
            if self._clock_went_back.is_set() or self._clock_watch.went_back():
                self._clock_went_back = trio.Event()
                await self._shorten_waits()

    async def _shorten_waits(self) -> None:
        log.warning("the wall clock went back: what waits does not wait longer for it")
        for state in (PENDING, WAITING):
            after: str | None = ""
            while after is not None:
                after = cast("str | None", await self.insist(op.ShortenWaits(state, after)))
        await self._hasten(self.insist)
