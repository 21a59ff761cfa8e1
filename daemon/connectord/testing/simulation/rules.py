"""The rules of docs/lifecycle.md, as what is committed has to keep them, whatever the code looks like.

Each check names what it holds against: it is what a violation is reported under.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec
import trio

from connectord.testing.simulation.mirror import ActionRow, AttemptRow, Changes, HistoryRow, Mirror
from connectord.testing.simulation.shapes import Shape, SystemShape

Blame = Callable[[str, str], None]
Wish = Callable[[str, int], float | None]

# event -> where it may lead from where (rules 1 to 16 and 19 to 21)
_MOVES: dict[str, set[tuple[str | None, str]]] = {
    "Submitted": {(None, "pending")},
    "AttemptStarted": {("pending", "attempting"), ("pending", "closed")},
    "TakenBySystem": {("attempting", "waiting"), ("attempting", "closed")},
    "ConnectionFailed": {("attempting", "pending"), ("attempting", "closed")},
    "AttemptInterrupted": {("attempting", "pending"), ("attempting", "closed")},
    "ProbeFoundTaken": {("pending", "waiting"), ("pending", "closed")},
    "ProbeFoundNothing": {("pending", "pending"), ("pending", "closed")},
    "ProbeUnclear": {("pending", "todo")},
    "ProbeFailed": {("pending", "todo")},
    "SuccessReceived": {("pending", "closed"), ("attempting", "closed"), ("waiting", "closed")},
    "FailureReceived": {("pending", "todo"), ("attempting", "todo"), ("waiting", "todo")},
    "DeadlinePassed": {("waiting", "todo"), ("waiting", "closed")},
    "LimitChanged": {("pending", "closed")},
    "RetryRequested": {("pending", "pending")},
    "Took": {("todo", "in_progress")},
    "Released": {("in_progress", "todo")},
    "Assigned": {("todo", "todo"), ("in_progress", "todo")},
    "Completed": {("todo", "closed"), ("in_progress", "closed")},
    "Cancelled": {("pending", "closed"), ("waiting", "closed")},
}
_EXHAUSTING = {"AttemptStarted", "ConnectionFailed", "AttemptInterrupted", "ProbeFoundNothing", "LimitChanged"}
_RESPONSES = {"SuccessReceived", "FailureReceived"}
_DAY_MS = 86_400_000
_GRACE_SECONDS = 1.0


@dataclass(slots=True)
class _Story:
    """An action as its history has told it so far."""

    state: str | None = None
    closed: int = 0
    decided: int = 0
    failures: int = 0
    """Automatic attempts that failed: the exponent of rule 13."""


class Rules:
    """Looks at every commit. ``wish`` gives the seconds of a ``Retry-After`` that an attempt brought, if it did."""

    def __init__(self, mirror: Mirror, shape_of: Callable[[bytes], Shape], blame: Blame, wish: Wish) -> None:
        self._mirror = mirror
        self._shape_of = shape_of
        self._blame = blame
        self._wish = wish
        self.clock_went_back = False
        """The wall clock was set back: what it had pushed into the future may be brought nearer."""
        self._stories: dict[str, _Story] = {}
        self._last_seq = 0
        self._version = 0
        self._shapes: dict[int, Shape] = {}
        self._known_since: dict[int, float] = {}

    def shape(self, version: int | None) -> Shape:
        """The configuration of that version."""
        return self._shapes[version or 0]

    @property
    def newest(self) -> Shape:
        """The configuration that was recorded last."""
        return self._shapes[max(self._shapes)]

    @property
    def recent(self) -> list[Shape]:
        """The one recorded last and the one before, which is in force until the reload has come to its end."""
        return [self._shapes[version] for version in sorted(self._shapes)[-2:]]

    def restart(self) -> None:
        """Tell the whole history anew: a power cut took the end of it."""
        mirror = self._mirror
        self._stories.clear()
        self._last_seq = self._version = 0
        for row in mirror.history:
            story = self._stories.setdefault(row.action_id, _Story())
            story.state = row.to_state
            self._last_seq, self._version = row.seq, row.config_version or 0

    def check(self, changes: Changes) -> None:
        """Hold one commit against the rules."""
        for lost in changes.lost:
            self._blame("nothing is lost", f"{lost} that was committed is not there any more")
        for version in changes.versions:
            if version.text is not None:
                self._shapes[version.version] = self._shape_of(version.text)
                self._known_since[version.version] = trio.current_time()
        by_action: dict[str, list[HistoryRow]] = {}
        for row in changes.history:
            by_action.setdefault(row.action_id, []).append(row)
            self._check_order(row)
        before = {now.id: was for was, now in changes.actions}
        self._count_failures(changes)
        for action_id, rows in by_action.items():
            action = self._mirror.actions.get(action_id)
            if action is None:
                self._blame("history equals state", f"a history of {action_id}, which is not there")
                continue
            for row in rows:
                self._check_move(row, action, before.get(action_id) if len(rows) == 1 else None, len(rows) == 1)
        for was, now in changes.actions:
            self._check_action(was, now, by_action.get(now.id, []))
        self._check_attempts(changes, by_action)
        self._check_notices(changes)
        self._check_merges(changes)

    # -- the history

    def _check_order(self, row: HistoryRow) -> None:
        if row.seq != self._last_seq + 1:
            self._blame("history equals state", f"change {row.seq} follows {self._last_seq}")
        self._last_seq = row.seq
        version = row.config_version or 0
        if version < self._version or version not in self._shapes:
            self._blame("rule 10", f"change {row.seq} was decided by version {version}, after {self._version}")
        self._version = version

    def _check_move(self, row: HistoryRow, action: ActionRow, was: ActionRow | None, single: bool) -> None:
        story = self._stories.setdefault(row.action_id, _Story())
        words = f"{row.action_id}: {row.from_state} -> {row.to_state} on {row.event} (change {row.seq}, {row.who})"
        if row.from_state != story.state:
            self._blame("history equals state", f"{words}, but it was {story.state}")
        if (row.from_state, row.to_state) not in _MOVES.get(row.event, set()):
            self._blame("legal transitions", words)
        story.state = row.to_state
        if row.event in _RESPONSES:
            story.decided += 1
            if story.decided > 1:
                self._blame("a response is applied once", f"{words}: a second one decides")
        if row.to_state == "closed":
            story.closed += 1
            if story.closed > 1:
                self._blame("one terminal outcome", f"{words}: for the second time")
        shape = self._shapes.get(row.config_version or 0)
        system = None if shape is None else shape.systems.get(action.system)
        if system is not None:
            self._check_limit(row, action, system, words, single)
            self._check_rules(row, action, system, words, was)
        elif row.to_state == "attempting":
            # a claim may have been on its way while the configuration changed
            since = self._known_since.get(row.config_version or 0, 0.0)
            if trio.current_time() > since + _GRACE_SECONDS:
                self._blame("a removed system's actions are held", words)

    def _check_limit(self, row: HistoryRow, action: ActionRow, system: SystemShape, words: str, single: bool) -> None:
        if not single:
            return
        limit = system.limit
        if row.to_state == "attempting" and action.attempts > limit:
            self._blame("rule 9: attempts within the limit", f"{words}: attempt {action.attempts} of {limit}")
        if row.to_state == "attempting" and len(self._shapes) == 1:
            under_way = sum(each.state == "attempting" for each in self._mirror.actions.values()
                            if each.system == action.system)  # fmt: skip
            if under_way > system.concurrency:
                self._blame("concurrency", f"{words}: {under_way} attempts are under way, of {system.concurrency}")
        exhausted = row.to_state == "closed" and row.event in _EXHAUSTING
        if exhausted and action.attempts < limit:
            self._blame("rule 9: closed at the limit only", f"{words}: after {action.attempts} of {limit}")
        failed = row.event in ("ConnectionFailed", "AttemptInterrupted", "ProbeFoundNothing")
        if failed and row.to_state == "pending" and action.attempts >= limit and not action.probe:
            self._blame("rule 9: closed at the limit", f"{words}: goes on after {action.attempts} of {limit}")

    def _check_rules(
        self, row: HistoryRow, action: ActionRow, system: SystemShape, words: str, was: ActionRow | None
    ) -> None:
        if row.event in ("TakenBySystem", "ProbeFoundTaken"):
            if (row.to_state == "closed") == system.response_expected:
                self._blame("rule 19", words)
            if was is not None and row.to_state == "waiting" and action.deadline != row.at + system.timeout_ms:
                self._blame("rule 21: the clock starts when it is taken", f"{words}: deadline {action.deadline}")
        if row.event == "DeadlinePassed":
            if (row.to_state == "closed") != system.closes_on_timeout:
                self._blame("rules 4 and 20", words)
            if was is not None and was.deadline is not None and row.at < was.deadline:
                self._blame("rule 4: not before the deadline", f"{words}: {was.deadline - row.at} ms early")
        if was is None:
            return
        # after the clock went back, the same commit may have brought it nearer
        due_at = None if self.clock_went_back else was.due_at
        if row.event == "AttemptStarted" and due_at is not None and row.at < due_at:
            self._blame("rule 13: not before it is due", f"{words}: {due_at - row.at} ms early")
        if row.event == "RetryRequested":
            # after the clock went back, the same commit may bring the schedule nearer
            nearer = self.clock_went_back and (action.scheduled_at or 0) < (was.scheduled_at or 0)
            if action.scheduled_at != was.scheduled_at and not nearer:
                self._blame("rule 13: a manual retry leaves the schedule", f"{words}: {action.scheduled_at}")
            if (action.due_at or 0) > row.at:
                self._blame("rule 8: a manual retry runs now", f"{words}: in {(action.due_at or 0) - row.at} ms")
        if row.event == "ConnectionFailed" and row.to_state == "pending":
            self._check_schedule(row, action, system, words, was)

    def _check_schedule(
        self, row: HistoryRow, action: ActionRow, system: SystemShape, words: str, was: ActionRow
    ) -> None:
        """Rule 13: delay, factor, cap; jitter adds only; a manual retry leaves the schedule; Retry-After is obeyed."""
        scheduled = action.scheduled_at or 0
        wish = self._wish(action.id, action.attempts)
        wished = row.at if wish is None else row.at + min(int(min(wish, 1e6) * 1000), _DAY_MS)
        attempt = self._mirror.attempts.get((action.id, action.attempts))
        if attempt is not None and attempt.manual and was.scheduled_at is not None:
            expected = max(was.scheduled_at, row.at, wished)
            if scheduled != expected:
                self._blame("rule 13: a manual retry leaves the schedule", f"{words}: {scheduled}, not {expected}")
            return
        failures = self._stories[action.id].failures
        base = min(system.delay_ms * system.factor ** max(failures - 1, 0), system.max_delay_ms)
        earliest, latest = row.at + int(base), row.at + int(base * (1 + system.jitter))
        if not max(earliest, wished) <= scheduled <= max(latest, wished):
            self._blame(
                "rule 13: when the next try is",
                f"{words}: in {scheduled - row.at} ms after failure {failures}, not within {base:g} ms and jitter",
            )

    def _count_failures(self, changes: Changes) -> None:
        for was, attempt in changes.attempts:
            if attempt.outcome == "not_connected" and (was is None or was.outcome is None):
                story = self._stories.setdefault(attempt.action_id, _Story())
                if not attempt.manual:
                    story.failures += 1

    # -- an action as it is

    def _check_action(self, was: ActionRow | None, now: ActionRow, rows: list[HistoryRow]) -> None:
        story = self._stories.get(now.id)
        if story is None or story.state != now.state:
            told = None if story is None else story.state
            self._blame("history equals state", f"{now.id} is {now.state}, but its history ends with {told}")
        if was is not None and was.state != now.state and not rows:
            self._blame("rule 18: a change and its history in one transaction", f"{now.id}: {was.state} -> {now.state}")
        if was is None:
            first = None if now.rerun_of is None else self._mirror.actions.get(now.rerun_of)
            if now.rerun_of is not None and (first is None or first.state != "closed"):
                self._blame("rule 16: rerun of what is closed", f"{now.id} is a rerun of {first}")
            return
        if now.attempts < was.attempts:
            self._blame("attempts are counted", f"{now.id}: {was.attempts} -> {now.attempts}")
        if was.state == now.state == "closed":
            changed = [name for name, a, b in zip(ActionRow._fields, was, now, strict=True) if a != b]
            self._blame("one terminal outcome", f"{now.id} is closed, and {', '.join(changed)} changed")
        if self._is_brought_nearer(was, now):
            return
        if was.state == now.state == "waiting" and was.deadline != now.deadline and not self._is_extended(now):
            self._blame("rule 11: a reload leaves the timer", f"{now.id}: {was.deadline} -> {now.deadline}")
        if was.state == now.state == "pending" and not rows and was.due_at != now.due_at and not now.probe:
            self._blame("rule 11: a reload leaves the schedule", f"{now.id}: due {was.due_at} -> {now.due_at}")
        if now.state in ("todo", "in_progress") and now.queue is None and now.user is None:
            self._blame("rule 4: allocated", f"{now.id} is nobody's")
        if was.state != now.state and now.state == "todo" and now.reason is None:
            self._blame("rules 3 and 4", f"{now.id} is To Do without a reason")

    def _is_brought_nearer(self, was: ActionRow, now: ActionRow) -> bool:
        if not self.clock_went_back or was.state != now.state:
            return False
        moved = [(was.deadline, now.deadline), (was.due_at, now.due_at)]
        return any(before is not None and after is not None and after < before for before, after in moved)

    def _is_extended(self, now: ActionRow) -> bool:
        """Rule 21: whether a heartbeat has started the clock again, as the newest or the last configuration says."""
        recent = [each.systems.get(now.system) for each in self.recent]
        return any(
            system is not None
            and system.heartbeat_extends
            and now.progress_at is not None
            and now.deadline == now.progress_at + system.timeout_ms
            for system in recent
        )

    def _check_attempts(self, changes: Changes, by_action: dict[str, list[HistoryRow]]) -> None:
        touched = dict.fromkeys([now.id for _, now in changes.actions])
        touched.update(dict.fromkeys(attempt.action_id for _, attempt in changes.attempts))
        for was, attempt in changes.attempts:
            if was is not None and was.outcome is not None:
                self._blame("an attempt ends once", f"attempt {attempt.number} of {attempt.action_id} ended again")
        for action_id in touched:
            action = self._mirror.actions.get(action_id)
            if action is None:
                continue
            if action.attempts and (action_id, action.attempts) not in self._mirror.attempts:
                self._blame("rule 14: the attempt is on disk", f"attempt {action.attempts} of {action_id} is not")
            if (action_id, action.attempts + 1) in self._mirror.attempts:
                self._blame("attempts are counted", f"{action_id} had more attempts than {action.attempts}")
            open_ones = [each for each in self._attempts(action) if each.ended_at is None]
            if action.state == "attempting":
                if [each.number for each in open_ones] != [action.attempts]:
                    self._blame("rule 14: one attempt at a time", f"{action_id} is attempting: {open_ones}")
            elif open_ones and (action.state in ("pending", "waiting") or len(open_ones) > 1):
                self._blame("rule 14: an attempt has an end", f"{action_id} is {action.state}: {open_ones}")

    def _attempts(self, action: ActionRow) -> Iterator[AttemptRow]:
        for number in range(1, action.attempts + 1):
            attempt = self._mirror.attempts.get((action.id, number))
            if attempt is not None:
                yield attempt

    # -- what a change brings along

    def _check_notices(self, changes: Changes) -> None:
        """Rules 5, 6, 9 and 20: who is told of what, in the transaction of the change."""
        expected: dict[str, str] = {}
        for row in changes.history:
            if row.to_state != "closed":
                continue
            action = self._mirror.actions.get(row.action_id)
            if action is None or action.resolution != "not_done_successfully":
                continue
            if row.event in ("Completed", "Cancelled"):
                expected[row.action_id] = "closed_by_hand"
            elif row.event in _EXHAUSTING:
                expected[row.action_id] = "attempts_exhausted"
        for was, notification in changes.outbox:
            if was is not None:
                continue
            notice = expected.pop(notification.action_id, None)
            if notice != notification.notice:
                self._blame(
                    "rules 6 and 9: notified for that only",
                    f"the owner of {notification.action_id} is told {notification.notice}",
                )
        for action_id, notice in expected.items():
            self._blame(
                "rules 9 and 18: the notification is in the transaction",
                f"{action_id} was closed, and the owner is not told {notice}",
            )

    def _check_merges(self, changes: Changes) -> None:
        events = {row.seq: row for row in changes.history}
        for merge in changes.merges:
            row = events.get(merge.seq)
            if row is None or row.event not in {*_RESPONSES, "Completed"}:
                self._blame("a response is applied once", f"data was merged by {row}")
                continue
            action = self._mirror.actions[row.action_id]
            data = msgspec.json.decode(action.data)
            if msgspec.json.decode(merge.data).items() - data.items() and action.state == "closed":
                self._blame("rule 2: data is merged", f"{row.action_id} has {action.data}, without {merge.data}")
