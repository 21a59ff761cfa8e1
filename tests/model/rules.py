"""The life of an action as its rules have it, written from their text alone: nothing of connectord is imported.

Plain bookkeeping: actions are lists and numbers, time is an integer that the caller moves, and where the rules leave
a choice (jitter), :class:`Choices` says what was chosen and the model checks that it was allowed. Each step cites its
rules by number. All times are milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

PENDING, ATTEMPTING, WAITING = "pending", "attempting", "waiting"
TODO, IN_PROGRESS, CLOSED = "todo", "in_progress", "closed"
DONE, NOT_DONE = "done_successfully", "not_done_successfully"

_LABELS = {
    ATTEMPTING: "Connecting",
    WAITING: "Waiting",
    TODO: "To Do",
    IN_PROGRESS: "In Progress",
    CLOSED: "Closed",
}

SLACK_MS = 5
"""How late something may happen: timers and the clock are rounded to a millisecond."""


class RefusedByRules(Exception):
    """What was asked for cannot be had; ``kind`` is the class of error that the control socket answers with."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class BrokenRule(AssertionError):
    """What was chosen where the rules leave a choice is not among what they allow."""


class Choices(Protocol):
    """What was chosen where the rules leave a choice."""

    def next_try(self, action_id: str, number: int) -> int | None:
        """When the attempt with this number began or is due; None where neither can be seen."""
        ...


@dataclass(frozen=True)
class Settings:
    """What one system is configured with."""

    limit: int = 5
    delay_ms: int = 10_000
    factor: float = 2.0
    max_delay_ms: int = 60_000
    jitter: float = 0.0
    timeout_ms: int = 90_000
    attempt_timeout_ms: int = 40_000
    response_expected: bool = True
    on_timeout: str = TODO
    heartbeat_extends: bool = False
    queue: str = "default"
    late_queue: str | None = None
    """The queue of an allocation rule for the reason ``timeout``."""


@dataclass(frozen=True)
class Response:
    """What a system says: ``status`` is success, failure or progress."""

    status: str
    data: tuple[tuple[str, Any], ...] = ()
    reason: str | None = None
    percent: float | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """Its custom data."""
        return dict(self.data)


@dataclass
class Change:
    """A change of state (rule 18)."""

    from_state: str | None
    to_state: str
    at: int
    rule: int | None
    who: str


@dataclass
class Attempt:
    """One try."""

    manual: bool
    started_at: int
    ended_at: int | None = None
    outcome: str | None = None


@dataclass
class ConnectionTrouble:
    """Rule 7's error message."""

    at: int
    message: str | None


@dataclass
class Action:
    """One action."""

    id: str
    system: str
    case: str | None
    owner: str | None
    key: str | None
    data: dict[str, Any]
    submitted_at: int
    rerun_of: str | None
    scheduled_at: int
    """When the next automatic try is to be."""
    state: str = PENDING
    reason: str | None = None
    resolution: str | None = None
    rejected_reason: str | None = None
    manual: bool = False
    """Whether a person has asked for the next try."""
    now_due: int | None = None
    """Since when a person or a restart has wanted a try at once."""
    failures: int = 0
    """How many automatic retries were set."""
    deadline: int | None = None
    todo_queue: str | None = None
    user: str | None = None
    response_data: dict[str, Any] = field(default_factory=dict)
    decided_by: Response | None = None
    progress: Response | None = None
    late: dict[Response, int] = field(default_factory=dict)
    """The late responses, and when each came first."""
    attempts: list[Attempt] = field(default_factory=list)
    error: ConnectionTrouble | None = None
    """What people are told until the system has taken the action, or has answered."""
    limit_at_failure: int = 0
    """Rule 10: the limit in force at the last failed attempt."""
    history: list[Change] = field(default_factory=list)
    by_rule_9_or_5: bool = False

    @property
    def due_at(self) -> int | None:
        """When it is to be attempted."""
        if self.state != PENDING:
            return None
        return self.scheduled_at if self.now_due is None else self.now_due

    @property
    def in_flight(self) -> bool:
        """Whether an attempt is under way, whatever state the action is in (rule 15)."""
        return bool(self.attempts) and self.attempts[-1].ended_at is None


@dataclass
class Case:
    """A case."""

    owner: str | None = None
    data: dict[str, Any] = field(default_factory=dict)


@dataclass
class Notification:
    """What a case owner is told."""

    action: str
    owner: str | None
    rule: int


class Model:
    """All actions, and what may happen to them."""

    def __init__(self, systems: Mapping[str, Settings], now: int) -> None:
        self.systems = dict(systems)
        self.now = now
        self.actions: dict[str, Action] = {}
        self.cases: dict[str, Case] = {}
        self.keys: dict[tuple[str, str], tuple[str, Any]] = {}
        self.outbox: list[Notification] = []
        self.paused: set[str] = set()

    # -- what people and programs ask for

    def key_holder(self, system: str, key: str | None, payload: Any) -> str | None:
        """Rule 17: the action that the key stands for already."""
        if key is None or (system, key) not in self.keys:
            return None
        holder, before = self.keys[system, key]
        if before != payload:
            raise RefusedByRules("KeyConflict")
        return holder

    def submit(
        self,
        action_id: str,
        system: str,
        *,
        case: str | None = None,
        owner: str | None = None,
        key: str | None = None,
        data: Mapping[str, Any] | None = None,
        due_at: int | None = None,
        rerun_of: str | None = None,
        who: str = "user:anna",
    ) -> None:
        """A new action, which was given this id."""
        if key is not None:
            self.keys[system, key] = (action_id, (case, owner, data or {}))
        if case is not None:
            known = self.cases.setdefault(case, Case())
            known.owner = owner or known.owner
        due = self.now if due_at is None else due_at
        action = Action(action_id, system, case, owner, key, dict(data or {}), self.now, rerun_of, due)
        self.actions[action_id] = action
        action.history.append(Change(None, PENDING, self.now, None, who))
        self.begin_due()

    def retry(self, action_id: str) -> None:
        """Rules 8 and 16: a manual retry."""
        action = self.actions[action_id]
        if action.state != PENDING or action.system in self.paused:
            raise RefusedByRules("Refused")  # a system that a person has stopped is not tried: none can be had
        # rule 8: now; rule 13: what was scheduled stays scheduled
        action.manual, action.now_due = True, self.now
        self.begin_due()

    def take(self, action_id: str, user: str) -> None:
        """Rule 5: a person takes it."""
        action = self._in(action_id, TODO)
        action.user = user
        self._change(action, IN_PROGRESS, 5, "user:anna")

    def release(self, action_id: str) -> None:
        """Rule 5: a person hands it back."""
        action = self._in(action_id, IN_PROGRESS)
        action.user = None
        self._change(action, TODO, 5, "user:anna")

    def assign(self, action_id: str, *, queue: str | None = None, user: str | None = None) -> None:
        """Rule 5: a person hands it on."""
        action = self._in(action_id, TODO, IN_PROGRESS)
        if queue is not None:
            action.todo_queue = queue
        action.user = user
        self._change(action, TODO, 5, "user:anna")

    def complete(self, action_id: str, *, successful: bool, data: Mapping[str, Any]) -> None:
        """Rule 5: a person closes it. Closed unsuccessfully, the owner is notified."""
        action = self._in(action_id, TODO, IN_PROGRESS)
        self._merge(action, data)
        self._close(action, DONE if successful else NOT_DONE, 5, "user:anna")
        if not successful:
            self._notify(action, 5)

    def cancel(self, action_id: str) -> None:
        """Close by hand what is not To Do: as in rule 5, unsuccessfully."""
        action = self._in(action_id, PENDING, WAITING)
        self._close(action, NOT_DONE, 5, "user:anna")
        self._notify(action, 5)

    def may_rerun(self, action_id: str) -> Action:
        """Rule 16: only a closed action can be run again."""
        return self._in(action_id, CLOSED)

    def pause(self, system: str) -> None:
        """Stop attempts of a system."""
        self.paused.add(system)

    def resume(self, system: str) -> None:
        """Let them go on."""
        self.paused.discard(system)
        self.begin_due()

    def reconfigure(self, system: str, settings: Settings, who: str) -> None:
        """Rules 10 and 11: another limit, and with it whatever else has changed."""
        self.systems[system] = settings
        for action in self._of(system):
            # rule 10c; with rule 10a what is closed stays closed, with rule 11 the rest is only shown
            if action.state == PENDING and action.attempts and len(action.attempts) >= settings.limit:
                self._exhaust(action, who)
        self.begin_due()

    # -- what systems do

    def end_attempt(
        self,
        action_id: str,
        outcome: str,
        choices: Choices,
        *,
        response: Response | None = None,
        message: str | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        """The attempt under way has come to something: taken, responded (with ``response``), or not_connected."""
        action = self.actions[action_id]
        attempt = action.attempts[-1]
        attempt.ended_at = self.now
        undecided = action.state == ATTEMPTING
        who = f"system:{action.system}"
        if response is not None:
            attempt.outcome = {"success": "succeeded", "failure": "rejected"}[response.status]
            self.respond(action_id, response, who)
        elif outcome == "taken":
            attempt.outcome = outcome
            if undecided:
                self._taken(action, who)
        else:
            attempt.outcome = outcome
            if undecided:
                self._failed(action, choices, who, message, retry_after_ms)
        self.begin_due()

    def respond(self, action_id: str, response: Response, who: str = "callback") -> str:
        """A response (rules 2, 3, 15, 21): ``taken`` or ``late``."""
        action = self.actions[action_id]
        if action.state in (TODO, IN_PROGRESS, CLOSED):
            return self._late(action, response)
        if response.status == "progress":
            # rule 21
            action.progress = response
            if action.state == WAITING and self.systems[action.system].heartbeat_extends:
                action.deadline = self.now + self.systems[action.system].timeout_ms
            return "taken"
        action.decided_by, action.error = response, None
        self._merge(action, response.fields)
        if response.status == "success":
            self._close(action, DONE, 2, who)
        else:
            action.rejected_reason = response.reason
            self._to_do(action, "updated_by_integration", 3, who)
        return "taken"

    # -- what time does

    def advance(self, to: int, choices: Choices) -> None:
        """Let time pass, and everything happen that it brings, in its order."""
        while True:
            self.begin_due()
            moments = [
                (at, each.id) for each in self.actions.values() for at in [self._next_moment(each)] if at is not None
            ]
            if not moments or min(moments)[0] > to:
                break
            at, action_id = min(moments)
            self.now = max(self.now, at)
            self._pass(self.actions[action_id], choices)
        self.now = max(self.now, to)
        self.begin_due()

    def restart(self, stopped_at: int, choices: Choices) -> None:
        """Rules 11 and 14: the daemon stopped during whatever was under way, and starts now."""
        for action in self.actions.values():
            if action.in_flight:
                attempt = action.attempts[-1]
                attempt.ended_at, attempt.outcome = self.now, "interrupted"
                if action.state == ATTEMPTING:
                    # rule 14: it counts, and is due again at once, or closed by rule 9
                    limit = self.systems[action.system].limit
                    action.error = ConnectionTrouble(self.now, None)
                    action.limit_at_failure = limit
                    action.manual = False
                    if len(action.attempts) >= limit:
                        self._exhaust(action, "recovery")
                    else:
                        action.scheduled_at, action.now_due = self.now, None
                        self._change(action, PENDING, 14, "recovery")
        for system, settings in list(self.systems.items()):
            self.reconfigure(system, settings, "start")
        self.advance(self.now, choices)

    def shown_limit(self, action: Action) -> int:
        """Rule 10: the larger of today's limit and the one in force at the last failed attempt."""
        return max(self.systems[action.system].limit, action.limit_at_failure)

    def label(self, action: Action) -> str:
        """What people see in the place of the state."""
        if action.state == PENDING:
            return "Retrying" if action.error is not None else "Pending"
        return _LABELS[action.state]

    def begin_due(self) -> None:
        """Begin the attempts that are due, which are on disk before their first byte leaves (rule 14)."""
        for action in self.actions.values():
            due = action.due_at
            if due is None or due > self.now or action.system in self.paused or action.in_flight:
                continue
            action.attempts.append(Attempt(action.manual, self.now))
            action.now_due = None
            self._change(action, ATTEMPTING, 14, "scheduler")

    # -- the parts of it

    def _of(self, system: str) -> list[Action]:
        return [each for each in self.actions.values() if each.system == system]

    def _in(self, action_id: str, *states: str) -> Action:
        action = self.actions[action_id]
        if action.state not in states:
            raise RefusedByRules("Refused")
        return action

    def _next_moment(self, action: Action) -> int | None:
        moments = []
        if action.in_flight:
            moments.append(action.attempts[-1].started_at + self.systems[action.system].attempt_timeout_ms)
        elif action.due_at is not None and action.system not in self.paused:
            moments.append(action.due_at)
        if action.deadline is not None:
            moments.append(action.deadline)
        return min(moments, default=None)

    def _pass(self, action: Action, choices: Choices) -> None:
        limit_ms = self.systems[action.system].attempt_timeout_ms
        if action.in_flight and self.now >= action.attempts[-1].started_at + limit_ms:
            # rule 12: no answer within the time limit
            self.end_attempt(action.id, "not_connected", choices)
        elif action.deadline is not None and self.now >= action.deadline:
            if self.systems[action.system].on_timeout == "close":
                # rule 20: nobody is notified; the reason is that of rule 4, in whose place it is closed
                action.reason = "timeout"
                self._close(action, NOT_DONE, 20, "scheduler")
            else:
                self._to_do(action, "timeout", 4, "scheduler")

    def _taken(self, action: Action, who: str) -> None:
        settings = self.systems[action.system]
        action.manual, action.error = False, None
        if not settings.response_expected:
            self._close(action, DONE, 19, who)
            return
        self._change(action, WAITING, 1, who)
        action.deadline = self.now + settings.timeout_ms  # rule 21: from when it was taken

    def _failed(
        self, action: Action, choices: Choices, who: str, message: str | None, retry_after_ms: int | None
    ) -> None:
        settings = self.systems[action.system]
        number, manual = len(action.attempts), action.manual
        action.manual = False
        action.error = ConnectionTrouble(self.now, message)
        action.limit_at_failure = settings.limit
        if number >= settings.limit:  # rule 11: today's limit decides
            self._exhaust(action, who)
            return
        self._change(action, PENDING, 7, who)
        if manual:
            # rule 13: the schedule stays as it was
            earliest = latest = max(self.now, action.scheduled_at)
        else:
            delay = min(settings.delay_ms * settings.factor**action.failures, settings.max_delay_ms)
            action.failures += 1
            earliest, latest = self.now + int(delay), self.now + int(delay * (1 + settings.jitter)) + 1
        if retry_after_ms is not None:
            # rule 12: it is obeyed
            earliest = max(earliest, self.now + retry_after_ms)
            latest = max(latest, self.now + int(retry_after_ms * (1 + settings.jitter)) + 1)
        chosen = choices.next_try(action.id, number + 1)
        if chosen is None:
            chosen = earliest
        elif not earliest - SLACK_MS <= chosen <= latest + SLACK_MS:
            raise BrokenRule(
                f"rule 13: try {number + 1} of {action.id} at {chosen - self.now} ms after the failure,"
                f" not between {earliest - self.now} and {latest - self.now}"
            )
        action.scheduled_at = chosen

    def _exhaust(self, action: Action, who: str) -> None:
        """Rule 9, and with it the owner's notification."""
        self._close(action, NOT_DONE, 9, who)
        self._notify(action, 9)

    def _late(self, action: Action, response: Response) -> str:
        """Rule 15: recorded, and changes neither state nor data; the same again changes nothing."""
        if response == action.decided_by:
            return "taken"
        action.late.setdefault(response, self.now)
        return "late"

    def _to_do(self, action: Action, reason: str, rule: int, who: str) -> None:
        settings = self.systems[action.system]
        action.reason = reason
        action.todo_queue, action.user = settings.queue, None
        if reason == "timeout" and settings.late_queue is not None:
            action.todo_queue = settings.late_queue
        self._change(action, TODO, rule, who)

    def _close(self, action: Action, resolution: str, rule: int, who: str) -> None:
        action.resolution = resolution
        self._change(action, CLOSED, rule, who)

    def _notify(self, action: Action, rule: int) -> None:
        owner = action.owner if action.case is None else self.cases[action.case].owner
        self.outbox.append(Notification(action.id, owner, rule))

    def _merge(self, action: Action, data: Mapping[str, Any]) -> None:
        if data:
            action.response_data = dict(data)
        action.data.update(data)
        if action.case is not None:
            self.cases[action.case].data.update(data)

    def _change(self, action: Action, state: str, rule: int, who: str) -> None:
        if state != action.state:
            action.history.append(Change(action.state, state, self.now, rule, who))
        action.state = state
        if state != WAITING:
            action.deadline = None
        if state != PENDING:
            action.now_due = None


def with_limit(settings: Settings, limit: int) -> Settings:
    """The same with another limit (rule 10)."""
    return replace(settings, limit=limit)
