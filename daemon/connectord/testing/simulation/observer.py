"""What the outside saw of a simulated daemon, held against what is on its disk at that moment and ever after."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import msgspec
import trio

from connectord.adapters import Call, Delivery, Progress, Rejected, Response
from connectord.errors import ConnectordError
from connectord.extensions import Change, Notification
from connectord.testing.simulation.mirror import Changes, Mirror
from connectord.testing.simulation.rules import Rules
from connectord.testing.simulation.shapes import Shape
from connectord.testing.simulation.trace import Trace

FINAL = ("todo", "in_progress", "closed")
LATE_RESPONSES_KEPT = 100


class Violation(ConnectordError):
    """A simulated run broke a promise. ``rule`` names it."""

    def __init__(self, rule: str, text: str) -> None:
        self.rule = rule
        self.text = text
        super().__init__(f"{rule}: {text}")

    def __reduce__(self) -> tuple[type[Violation], tuple[str, str]]:
        # it is sent from one process to another
        return Violation, (self.rule, self.text)


@dataclass(slots=True)
class Acknowledged:
    """A submission that the daemon said it has."""

    system: str
    key: str | None
    payload: str


@dataclass(eq=False)
class Observer:
    """Everything that must hold. The first violation ends the run, by ``stop``."""

    trace: Trace
    shape_of: Callable[[bytes], Shape]
    stop: Callable[[], None]
    mirror: Mirror = field(default_factory=Mirror)
    violation: Violation | None = None
    submitted: dict[str, Acknowledged] = field(default_factory=dict)
    """By id."""
    keys: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    """By system and key: the id and the payload."""
    settled: trio.Event = field(default_factory=trio.Event)
    """Set, and made anew, by each commit."""

    def __post_init__(self) -> None:
        self.rules = Rules(self.mirror, self.shape_of, self.violated, self._wished)
        self.told: Counter[str] = Counter()
        self._owners: set[tuple[int, str | None]] = set()
        """Whom each notification was ever for: a try that is under way while a person changes that still tells them."""
        self.commits = 0
        self.paused: dict[str, float] = {}
        """Systems that a person has stopped, and since when."""
        self._merged: dict[str, str] = {}
        self._said: dict[str, tuple[str, Response]] = {}
        self._wishes: dict[tuple[str, int], float] = {}
        self._calls: set[tuple[str, int]] = set()
        self._taken: dict[str, str] = {}
        self._done: set[tuple[str, str, int]] = set()
        self._plugin_seq: dict[int, int] = {}

    def violated(self, rule: str, text: str, cause: BaseException | None = None) -> None:
        """A promise is broken: note it, and end the run."""
        if self.violation is None:
            self.violation = Violation(rule, text)
            self.violation.__cause__ = cause
            self.trace.note("VIOLATION", rule, "|", text)
            self.stop()

    # -- the disk

    def committed(self, disk: sqlite3.Connection, touched: Collection[str]) -> None:
        """A commit is on disk, which wrote to the ``touched`` tables."""
        self.commits += 1
        changes = self.mirror.read(disk, touched)
        for row in changes.history:
            self.trace.note(
                "commit", row.seq, row.action_id, f"{row.from_state} -> {row.to_state}", row.event, row.config_version
            )
            paused_at = self.paused.get(self.mirror.actions[row.action_id].system)
            if row.to_state == "attempting" and paused_at is not None and trio.current_time() > paused_at + 1:
                self.violated("a paused system is left alone", f"{row.action_id} is attempted")
        self._owners.update((row.seq, row.owner) for _, row in changes.outbox)
        self.rules.check(changes)
        self._check_responses(changes)
        self.settled.set()
        self.settled = trio.Event()

    def power_lost(self, disk: sqlite3.Connection) -> None:
        """The power went: what was acknowledged is there, whatever else is not."""
        if self.mirror.same_as(disk):
            return
        fresh = Mirror()
        fresh.read(disk)
        for name in ("actions", "attempts", "history", "outbox", "merges", "late", "versions", "_raw"):
            setattr(self.mirror, name, getattr(fresh, name))
        self.rules.restart()
        self._note_merged(fresh)
        for action_id in self.submitted:
            if action_id not in fresh.actions:
                self.violated("what is acknowledged is on disk", f"action {action_id} was acknowledged, and is gone")
        for action_id, number in self._calls:
            if (action_id, number) not in fresh.attempts:
                self.violated("rule 14: the attempt is on disk", f"attempt {number} of {action_id} is gone")
        for mark, action_id in self._taken.items():
            if not self._is_kept(action_id, mark):
                self.violated("what is acknowledged is on disk", f"the response {mark} of {action_id} is gone")
        seqs = {(row.action_id, row.event, row.seq) for row in fresh.history}
        for done in self._done - seqs:
            self.violated("what is acknowledged is on disk", f"{done[1]} of {done[0]} was acknowledged, and is gone")
        notified = {f"{row.action_id}-{row.seq}" for row in fresh.outbox.values()}
        for told in self.told.keys() - notified:
            self.violated("rule 18: notifications are committed", f"{told} was delivered, and is not on disk")

    def _check_responses(self, changes: Changes) -> None:
        """Rules 2, 3 and 15: what decides was said, about this action; what is late does not decide."""
        rows = {row.seq: row for row in changes.history}
        for merge in changes.merges:
            row = rows.get(merge.seq)
            mark = _mark(merge.data)
            if row is None or mark is None:
                continue
            self._merged[mark] = row.action_id
            said = self._said.get(mark)
            if said is None or said[0] != row.action_id:
                self.violated("rule 15: a response of its own", f"{row.action_id} was decided by {merge.data}")
                continue
            action = self.mirror.actions[row.action_id]
            if isinstance(said[1], Rejected) and action.rejected_reason != said[1].reason:
                self.violated("rule 3: the rejected reason", f"{row.action_id}: {action.rejected_reason!r}")
        for late in changes.late:
            mark = _mark(late.data)
            if mark is not None and self._merged.get(mark) == late.action_id:
                self.violated("rule 15: the same response twice", f"{mark} decided {late.action_id}, and is late, too")

    def _note_merged(self, fresh: Mirror) -> None:
        rows = {row.seq: row.action_id for row in fresh.history}
        marks = {_mark(merge.data): rows[merge.seq] for merge in fresh.merges.values()}
        self._merged = {mark: action_id for mark, action_id in marks.items() if mark is not None}

    # -- external systems

    def will_say(self, action_id: str, mark: str, response: Response) -> None:
        """A system is going to answer so."""
        self._said[mark] = (action_id, response)

    def wished(self, action_id: str, attempt: int, seconds: float) -> None:
        """A system asked for a pause."""
        self._wishes[action_id, attempt] = seconds

    def _wished(self, action_id: str, attempt: int) -> float | None:
        return self._wishes.get((action_id, attempt))

    def attempt_seen(self, call: Call) -> None:
        """The first byte of an attempt leaves (rule 14)."""
        words = f"attempt {call.attempt} of {call.action_id}"
        attempt = self.mirror.attempts.get((call.action_id, call.attempt))
        if attempt is None or attempt.ended_at is not None:
            self.violated("rule 14: the attempt is on disk", f"{words} begins, and on disk is {attempt}")
        if call.idempotency_key != call.action_id:
            self.violated("rule 14: one idempotency key", f"{words} has {call.idempotency_key}")
        if (call.action_id, call.attempt) in self._calls:
            self.violated("rule 9: attempts within the limit", f"{words} is made for the second time")
        self._calls.add((call.action_id, call.attempt))

    def callback_answered(self, action_id: str, response: Response, status: int) -> None:
        """The answer to a callback leaves: 200 and 202 only after the commit."""
        if status not in (200, 202, 408, 500, 503):
            self.violated("the callback interface", f"{response} of {action_id} is answered with {status}")
        if status == 500:
            self.violated("the callback interface", f"{response} of {action_id} met a fault of the daemon")
        if status in (200, 202):
            self._acknowledged(action_id, response, status == 202)

    def delivered(self, system: str, action_id: str, response: Response, delivery: Delivery) -> None:
        """A response that came by a queue was taken: its message may be acknowledged."""
        action = self.mirror.actions.get(action_id)
        if action is not None and action.system != system:
            self.violated("who may not, cannot", f"{system} answered for {action_id}, which is {action.system}'s")
        self._acknowledged(action_id, response, delivery is Delivery.LATE)

    def not_delivered(self, system: str, action_id: str) -> None:
        """A response was refused as one for an action of another system."""
        action = self.mirror.actions.get(action_id)
        if action is None or action.system == system:
            self.violated("who may not, cannot", f"{system} may not answer for its own action {action_id}")

    def forgery_answered(self, status: int) -> None:
        """A request without a good token, or without an end, was answered."""
        if 200 <= status < 300:
            self.violated("who may not, cannot", f"a forged callback was answered with {status}")

    def _acknowledged(self, action_id: str, response: Response, late: bool) -> None:
        action = self.mirror.actions.get(action_id)
        if action is None:
            self.violated("what is acknowledged is on disk", f"a response of {action_id}, which is not there")
            return
        if isinstance(response, Progress):
            return
        mark = str(response.data["mark"])
        kept = self._is_kept(action_id, mark)
        if not kept:
            self.violated("a callback is answered after its commit", f"{mark} of {action_id} is not on disk")
        if late == (mark in self._merged):
            self.violated("rule 15: the same response twice", f"{mark} of {action_id} is answered as late={late}")
        self._taken[mark] = action_id

    def _is_kept(self, action_id: str, mark: str) -> bool:
        if self._merged.get(mark) == action_id:
            return True
        late = [_mark(row.data) for row in self.mirror.late.values() if row.action_id == action_id]
        return mark in late or len(late) >= LATE_RESPONSES_KEPT

    # -- owners and watchers

    def owner_told(self, notification: Notification) -> None:
        """An owner hears of something: it is committed."""
        self.told[notification.id] += 1
        rows = [row for row in self.mirror.outbox.values() if f"{row.action_id}-{row.seq}" == notification.id]
        known = bool(rows) and (rows[0].seq, notification.owner) in self._owners
        if not known or rows[0].notice != notification.notice:
            self.violated("rule 18: notifications are committed", f"{notification} is delivered, on disk is {rows}")
        elif rows[0].delivered_at is not None:
            self.violated("rule 18: notifications are committed", f"{notification.id} comes after it was recorded")

    def plugin_told(self, life: int, change: Change) -> None:
        """An observer in the daemon hears of a change: in order, none left out, committed."""
        last = self._plugin_seq.get(life)
        if last is not None and change.seq != last + 1:
            self.violated("watchers hear of every change", f"an observer hears of {change.seq} after {last}")
        self._plugin_seq[life] = change.seq
        self.change_told(change.seq, change.action, change.to)

    def change_told(self, seq: int, action_id: str, state: str) -> None:
        """Somebody hears of a change: it is committed as it is told."""
        history = self.mirror.history
        row = history[seq - 1] if 0 < seq <= len(history) else None
        if row is None or (row.action_id, row.to_state) != (action_id, state):
            self.violated("watchers hear of what is committed", f"change {seq} of {action_id} is told; on disk: {row}")

    # -- the control socket

    def submission_acknowledged(self, system: str, key: str | None, payload: str, action: dict[str, Any]) -> None:
        """An id leaves the daemon: the action is on disk, and it is the first one of its key (rule 17)."""
        action_id = action["id"]
        row = self.mirror.actions.get(action_id)
        if row is None or row.system != system or row.key != key:
            self.violated("what is acknowledged is on disk", f"action {action_id} is acknowledged; on disk: {row}")
            return
        if key is not None:
            first = self.keys.setdefault((system, key), (action_id, payload))
            if first[0] != action_id:
                self.violated("rule 17: one action a key", f"{system} {key} is {first[0]}, and now {action_id}")
            if first[1] != payload:
                self.violated("rule 17: one payload a key", f"{system} {key} was taken with another payload")
        elif action_id in self.submitted:
            self.violated("rule 17: one action a key", f"{action_id} is given to two submissions without a key")
        self.submitted[action_id] = Acknowledged(system, key, payload)

    def act_acknowledged(self, action_id: str, event: str, since: int, action: dict[str, Any]) -> None:
        """A person's act is acknowledged: it is in the history, after number ``since``."""
        rows = [row for row in self.mirror.history[since:] if (row.action_id, row.event) == (action_id, event)]
        if not rows or action["id"] != action_id:
            self.violated("what is acknowledged is on disk", f"{event} of {action_id} is acknowledged, and not done")
            return
        self._done.add((action_id, event, rows[-1].seq))

    def reload_acknowledged(self, shape: Shape, result: dict[str, Any]) -> None:
        """A reload is acknowledged: its version is on disk, and what it leaves no try is closed (rule 10c)."""
        text = self.mirror.versions.get(result["version"])
        if text != shape.text:
            self.violated("a reload is applied as a whole", f"version {result['version']} is not what was reloaded")
        if self.rules.newest.number != shape.number:
            return  # another one came right after it
        for action in self.mirror.actions.values():
            system = shape.systems.get(action.system)
            if system is None or action.state != "pending" or action.probe:
                continue
            if action.attempts >= system.limit:
                self.violated("rule 10c", f"{action.id} goes on after {action.attempts} of {system.limit}")

    def shown(self, action: dict[str, Any]) -> None:
        """A card is shown: its limit is the larger of today's and the one at the last failure (rule 10)."""
        row = self.mirror.actions.get(action["id"])
        if row is None:
            self.violated("watchers hear of what is committed", f"{action['id']} is shown, and is not on disk")
            return
        right: list[int | None] = []
        for shape in self.rules.recent:
            system = shape.systems.get(row.system)
            limits = [row.limit_at_failure, None if system is None else system.limit]
            right.append(max((limit for limit in limits if limit is not None), default=None))
        if action["retry_limit"] not in right:
            self.violated("rule 10: the limit shown", f"{row.id} shows {action['retry_limit']}, of {right}")

    # -- the end

    @property
    def unfinished(self) -> list[str]:
        """What neither has ended nor waits for a person."""
        live = [action.id for action in self.mirror.actions.values() if action.state not in FINAL]
        return live + [attempt.action_id for attempt in self.mirror.attempts.values() if attempt.ended_at is None]

    @property
    def undelivered(self) -> list[int]:
        """Notifications that are still to be delivered."""
        return [row.seq for row in self.mirror.outbox.values() if row.delivered_at is None]

    def ended(self, everything_closed: bool) -> None:
        """The run is over, and had time enough: everything has an end."""
        for action in self.mirror.actions.values():
            if action.state not in FINAL or (everything_closed and action.state != "closed"):
                self.violated("everything ends", f"{action}")
        for attempt in self.mirror.attempts.values():
            if attempt.ended_at is None:
                self.violated("everything ends", f"attempt {attempt.number} of {attempt.action_id} has no end")
        for row in self.mirror.outbox.values():
            if row.delivered_at is None:
                self.violated("owners are told", f"{row} was never delivered")
            elif row.owner is not None and not self.told[f"{row.action_id}-{row.seq}"]:
                self.violated("owners are told", f"{row} is recorded as delivered, and nobody heard")
        for action_id in self.submitted:
            if action_id not in self.mirror.actions:
                self.violated("what is acknowledged is on disk", f"action {action_id} was acknowledged, and is gone")


def _mark(data: str) -> str | None:
    mark = msgspec.json.decode(data).get("mark")
    return None if mark is None else str(mark)
