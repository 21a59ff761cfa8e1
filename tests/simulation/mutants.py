"""Bugs that are planted into the daemon to see that the simulation catches them: `make mutants` runs them all."""

from __future__ import annotations

from dataclasses import dataclass

from helpers.planting import Edit

LEDGER = "connectord.ledger.ledger:Ledger"
OPERATIONS = "connectord.ledger.operations"
STEPS = "connectord.lifecycle.steps"
UNIT = "connectord.ledger.unit:Unit"
WRITER = "connectord.store.sqlite_writer"
DAEMON = "connectord.supervisor:Daemon"


@dataclass(frozen=True)
class Mutant:
    """One bug. ``seed`` is one that is known to catch it.

    ``needs_processes``: it makes the same seed another run in another process, and only that shows it.
    """

    name: str
    edits: tuple[Edit, ...]
    seed: int
    needs_processes: bool = False


def _mutant(name: str, *edits: tuple[str, str, str], seed: int = 0, needs_processes: bool = False) -> Mutant:
    return Mutant(name, tuple(Edit(*edit) for edit in edits), seed, needs_processes)


MUTANTS: tuple[Mutant, ...] = (
    # -- what is acknowledged is on disk
    _mutant(
        "what is asked for is answered before its commit",
        (f"{LEDGER}._perform", "    store.commit()\n", "    pass\n"),
        (f"{LEDGER}._commit", "    self._tell(consequences)\n", ""),
        (
            f"{LEDGER}._commit",
            "        request.finish(result, refusal)\n",
            (
                "        request.finish(result, refusal)\n"
                "    await self._executor.run(self._store.commit)\n"
                "    self._tell(consequences)\n"
            ),
        ),
        seed=0,
    ),
    _mutant(
        "an attempt begins before its commit",
        (
            f"{LEDGER}._perform",
            "    store.commit()\n",
            (
                "    self._claimed = any(isinstance(each.operation, op.Claim) for each in batch)\n"
                "        if not self._claimed:\n"
                "            store.commit()\n"
            ),
        ),
        (
            f"{LEDGER}._commit",
            "    self._tell(consequences)\n    for request, (result, refusal) in zip(batch, outcomes, strict=True):\n",
            (
                "    early = []\n"
                "    if self._claimed:\n"
                "        early = [each for each in batch if isinstance(each.operation, op.Claim)]\n"
                "        for request, (result, refusal) in zip(batch, outcomes, strict=True):\n"
                "            if request in early:\n"
                "                request.finish(result, refusal)\n"
                "        await self._executor.run(self._store.commit)\n"
                "    self._tell(consequences)\n"
                "    for request, (result, refusal) in zip(batch, outcomes, strict=True):\n"
                "        if request in early:\n"
                "            continue\n"
            ),
        ),
    ),
    _mutant(
        "a callback is answered before its commit",
        (
            "connectord.callback_handler:CallbackTaker.handle_callback",
            "transition = await self._ledger.apply(action_id, ",
            (
                "from types import SimpleNamespace\n"
                "    from connectord.ledger import ledger\n"
                "    def take_later(action_id, event, who):\n"
                "        self._ledger._queue.put(ledger.Request(ledger.op.Apply(action_id, event, who)))\n"
                "        return SimpleNamespace(late=False)\n"
                "    transition = take_later(action_id, "
            ),
        ),
        seed=0,
    ),
    _mutant(
        "synchronous = NORMAL",
        ("connectord.store.sqlite_connection:prepare_writer", "synchronous = FULL", "synchronous = NORMAL"),
        seed=1,
    ),
    _mutant(
        "a full disk is not rolled back",
        (f"{LEDGER}._perform", "        store.rollback()\n", "        pass\n"),
        seed=3,
    ),
    _mutant(
        "what was taken back is still taken for written",
        (f"{WRITER}:SqliteWriter.rollback", "    self._recent.forget_all()\n", ""),
        seed=3,
    ),
    _mutant(
        "what an attempt came to is dropped where the disk is full",
        (f"{LEDGER}.insist", "await trio.sleep(STORE_FULL_PAUSE_SECONDS)", "return None"),
        seed=3,
    ),
    _mutant(
        "the daemon goes on after an I/O error",
        (f"{LEDGER}._commit", "        if isinstance(error, StoreFailed):\n            raise\n", ""),
        seed=124,
    ),
    _mutant(
        "a notification is written after the transaction",
        (
            f"{UNIT}._gather",
            "writes.outbox.append(OutboxRow(",
            'vars(self.store).setdefault("late", []).append(OutboxRow(',
        ),
        (
            f"{LEDGER}._perform",
            "        store.commit()\n",
            (
                "        store.commit()\n"
                '        if late := vars(store).pop("late", None):\n'
                "            from connectord.store.base import WriteSet\n"
                "            store.begin()\n"
                "            store.write(WriteSet(outbox=late))\n"
                "            store.commit()\n"
            ),
        ),
        seed=8,
    ),
    _mutant(
        "a change without its history",
        (f"{UNIT}.apply", "if row.history:", "if row.history and after.deadline is None:"),
        seed=0,
    ),
    # -- attempts and limits
    _mutant(
        "one attempt more than the limit",
        (f"{STEPS}:limit_reached", "limit <= action.attempts", "limit < action.attempts"),
        seed=8,
    ),
    _mutant(
        "one attempt less than the limit",
        (f"{STEPS}:limit_reached", "limit <= action.attempts", "limit <= action.attempts + 1"),
        seed=4,
    ),
    _mutant(
        "a manual retry is not counted",
        (f"{STEPS}:start_attempt", "action.attempts + 1", "action.attempts + (0 if action.manual else 1)"),
        seed=25,
    ),
    _mutant(
        "a manual retry may go beyond the limit",
        (f"{STEPS}:limit_reached", "<= action.attempts", "<= action.attempts - action.manual"),
        seed=129,
    ),
    _mutant(
        "an interrupted attempt is not counted",
        (f"{STEPS}:retry_at_once", "failed, state=", "failed, attempts=action.attempts - 1, state="),
        seed=13,
    ),
    _mutant(
        "a claim does not write the attempt",
        (
            f"{UNIT}._gather",
            "case effect.OpenAttempt():\n            writes",
            "case effect.OpenAttempt():\n            WriteSet()",
        ),
        seed=0,
    ),
    _mutant(
        "recovery forgets an attempt",
        (
            f"{OPERATIONS}:InterruptOpenAttempts.perform",
            "for action_id, number in attempts:",
            "for action_id, number in attempts[1:]:",
        ),
        seed=13,
    ),
    _mutant(
        "no recovery at all",
        (f"{DAEMON}._run_services", "await self.ledger.recover()", "0"),
        seed=1,
    ),
    _mutant(
        "a reload does not close what the new limit forbids",
        (f"{DAEMON}._reload", "closed += await self.ledger.enforce_limit(name, who)", "pass"),
        seed=9,
    ),
    _mutant(
        "today's limit is shown, whatever it was at the last failure",
        (
            "connectord.lifecycle.action:shown_limit",
            "return max(limit_today, limit_at_failure)",
            "return limit_today",
        ),
        seed=3,
    ),
    _mutant(
        "each attempt has an idempotency key of its own",
        (
            "connectord.lanes.context:LaneContext.call_for",
            "idempotency_key=action.id",
            'idempotency_key=f"{action.id}-{action.attempts}"',
        ),
        seed=0,
    ),
    _mutant(
        "an attempt ends twice",
        (
            "connectord.store.sqlite_changes:writes_of",
            "writes.append((_END_ATTEMPTS, ended))",
            'writes.append((updating("attempts", ["ended_at", "outcome", "message"], ["action_id", "number"]), ended))',
        ),
        seed=7,
    ),
    _mutant(
        "more attempts at once than the system bears",
        (
            "connectord.lanes.admission:Admission.reserve_attempts",
            "min(self._free(free_for_attempts, self._polls), most)",
            "min(max(self._free(free_for_attempts, self._polls), 1), most)",
        ),
        seed=13,
    ),
    # -- keys
    _mutant(
        "a key is not looked up",
        (f"{UNIT}.check_key", "known = self._known_key(submission.system, submission.key)", "known = None"),
        seed=8,
    ),
    _mutant(
        "a key is taken whatever the payload",
        (f"{UNIT}.check_key", "if known[1] != digest:", "if False:"),
        seed=8,
    ),
    # -- time
    _mutant(
        "jitter takes away",
        ("connectord.lifecycle.retry:_backoff_ms", "(1 + jitter)", "(1 - jitter)"),
        seed=3,
    ),
    _mutant(
        "Retry-After is not obeyed",
        ("connectord.lifecycle.retry:respect_retry_after", "return max(due_at, ", "return min(due_at, "),
        seed=5,
    ),
    _mutant(
        "a manual retry moves the schedule",
        (f"{STEPS}:make_due_now", "due_at=due_at, manual", "due_at=due_at, scheduled_at=due_at, manual"),
        seed=25,
    ),
    _mutant(
        "a reload starts the time for a response again",
        (
            "connectord.ledger.limiting:EnforceLimit.perform",
            "    unit.flush()\n",
            (
                "    unit.flush()\n"
                "    from connectord.lifecycle.action import replace\n"
                "    for waiting, _ in unit.store.waiting_page(self.system, '', 1000):\n"
                "        action = unit.load(waiting)\n"
                "        if action.system == self.system:\n"
                "            deadline = unit.now + unit.policies.of(self.system).timeout_ms\n"
                "            unit._change(action, replace(action, deadline=deadline))\n"
            ),
        ),
        seed=0,
    ),
    _mutant(
        "a deadline passes early",
        (f"{STEPS}:deadline_ahead", "moment.now < action.deadline", "moment.now + 2_000 < action.deadline"),
        (f"{OPERATIONS}:Expire.perform", "overdue_ids(unit.now,", "overdue_ids(unit.now + 2_000,"),
        seed=4,
    ),
    _mutant(
        "a heartbeat extends the time where it may not",
        (f"{STEPS}:heartbeat_extends", "return moment.policy.heartbeat_extends", "return True"),
        seed=0,
    ),
    _mutant(
        "a lost wake-up: an alarm that is set does not wake who waits",
        ("connectord.clock:Alarm.set", "    self._moved.set()\n", "    pass\n"),
        seed=0,
    ),
    _mutant(
        "a lost wake-up: a lane is not told that something is due",
        (f"{LEDGER}._tell", "self.lane_alarm(system).set(due_at)", "pass"),
        seed=3,
    ),
    _mutant(
        "a lost wake-up: a place on the ramp is left before its wait began",
        (
            "connectord.lanes.claiming:Claims._claim",
            "            await instance.wait(self._something_else)\n",
            (
                "            if context.recovery.room() == 0:\n"
                "                await instance.wait(self._something_else)\n"
            ),
        ),
        (
            "connectord.lanes.claiming:Claims._wait_for_room",
            "if recovery.room() == 0:\n",
            # in the step between alone an attempt ends in one seed of thousands
            "for _ in range(4):\n        await trio.lowlevel.checkpoint()\n    if True:\n",
        ),
        seed=13,
    ),
    _mutant(
        "a lost wake-up: nobody is told of a deadline",
        (f"{LEDGER}._tell", "self.deadline_alarm.set(told.deadline)", "pass"),
        seed=0,
    ),
    # -- responses
    _mutant(
        "a late response is applied",
        (f"{STEPS}:keep_late", "return action, (late,)", "return action, (late, MergeData(late.data))"),
        seed=0,
    ),
    _mutant(
        "a second terminal outcome",
        (
            f"{STEPS}:keep_late",
            "    return action, (late,)",
            (
                "    failed = action.resolution is Resolution.NOT_DONE_SUCCESSFULLY\n"
                "    if failed and isinstance(event, on.SuccessReceived):\n"
                "        return close_successful(action, event, moment)\n"
                "    return action, (late,)"
            ),
        ),
        seed=21,
    ),
    _mutant(
        "the same response twice is taken for another one",
        (f"{STEPS}:same_response_again", "return bool(action.response_digest == event.digest)", "return False"),
        seed=3,
    ),
    _mutant(
        "a response's data is dropped",
        (f"{STEPS}:_merge", "return (MergeData(data),) if data else ()", "return ()"),
        seed=0,
    ),
    _mutant(
        "response_expected = false is forgotten",
        (f"{STEPS}:no_response_expected", "return not moment.policy.response_expected", "return False"),
        seed=0,
    ),
    _mutant(
        'on_timeout = "close" is forgotten',
        (f"{STEPS}:closes_on_timeout", 'return moment.policy.on_timeout == "close"', "return False"),
        seed=0,
    ),
    _mutant(
        "a token is taken whatever its MAC",
        (
            "connectord.callbacks.tokens:TokenKey.verify",
            "if not hmac.compare_digest(self._mac(id_bytes), raw[_ID_BYTES:]):",
            "if False:",
        ),
        seed=26,
    ),
    _mutant(
        "a system answers for another one's action",
        ("connectord.ledger.asking:Deliver.perform", "unit.load(self.action_id).system != self.system", "False"),
        seed=3,
    ),
    # -- owners, people, watchers
    _mutant(
        "an owner is told of a rejection",
        (
            f"{STEPS}:hand_over_rejected",
            "(*_merge(event.data), *effects)",
            "(*_merge(event.data), *effects, NotifyOwner(Notice.CLOSED_BY_HAND))",
        ),
        seed=1,
    ),
    _mutant(
        "an owner is not told that the tries are used up",
        (f"{STEPS}:close_exhausted", "(NotifyOwner(Notice.ATTEMPTS_EXHAUSTED),)", "()"),
        seed=8,
    ),
    _mutant(
        "a notification that failed counts as delivered",
        ("connectord.notifier.notifier:Notifier._failed", "done=False", "done=True"),
        seed=8,
    ),
    _mutant(
        "a watcher misses a change",
        (
            "connectord.ledger.watchers:Watchers.after",
            "first = position + 1",
            "first = position + 1 + (position % 7 == 3)",
        ),
        seed=0,
    ),
    _mutant(
        "watchers hear of a change before its commit",
        (
            f"{LEDGER}._perform",
            "        store.commit()\n",
            "        self.watchers.publish(unit.consequences.history)\n        store.commit()\n",
        ),
        (f"{LEDGER}._tell", "self.watchers.publish(told.history)", "pass"),
        seed=3,
    ),
    _mutant(
        "a pause does not survive a restart",
        (f"{DAEMON}.__init__", "self._reader.paused_systems()", "{}"),
        seed=55,
    ),
    _mutant(
        "the lane of a removed system goes on",
        ("connectord.fleet:Fleet._end", "self.lanes.pop(name).stop()", "self.lanes.pop(name)"),
        seed=9,
    ),
    _mutant(
        "a rerun of what is not closed",
        (f"{OPERATIONS}:Rerun.perform", "if action.state is not CLOSED:", "if False:"),
        ("connectord.control.methods.reruns:RerunMethods._named", "if state != State.CLOSED:", "if False:"),
        seed=78,
    ),
    # -- repeatability
    _mutant(
        "hash order in a batch",
        (
            f"{OPERATIONS}:Claim._due",
            "return unit.store.due_actions(system, unit.now, self.limit, besides, retries=self.retries)",
            (
                "found = unit.store.due_actions(system, unit.now, self.limit, besides, retries=self.retries)\n"
                "    return sorted(found, key=lambda due: hash(due.action.id))"
            ),
        ),
        seed=0,
        needs_processes=True,
    ),
)
