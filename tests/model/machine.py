"""The daemon and the model, taken through the same steps at random and compared after each."""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from model.comparison import compare, same
from model.driver import Driver
from model.rules import (
    ATTEMPTING,
    CLOSED,
    IN_PROGRESS,
    PENDING,
    TODO,
    WAITING,
    Model,
    RefusedByRules,
    Response,
    Settings,
    with_limit,
)
from model.steps import step, steps_of

FIELDS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 3), max_size=2)
RESPONSES = st.one_of(
    st.builds(Response, st.just("success"), FIELDS.map(lambda data: tuple(sorted(data.items())))),
    st.builds(
        Response,
        st.just("failure"),
        FIELDS.map(lambda data: tuple(sorted(data.items()))),
        st.sampled_from(["Vendor unknown", "Too late"]),
    ),
)
HEARTBEATS = st.builds(
    Response,
    st.just("progress"),
    reason=st.sampled_from(["half", "nearly"]),
    percent=st.sampled_from([None, 40.0, 90.0]),
)
LIMITS = st.integers(1, 6)
NAMES = ["plain", "jittery", "closing", "forgetful"]
SYSTEMS = st.sampled_from(NAMES)
MOST_ACTIONS = 6
"""Each one more costs time at every step; the rules connect only those of one case and of one system."""
# seven more than what is configured: at the very millisecond of a limit rounding would decide who is first
WHEN = st.sampled_from([7, 5_007, 10_007, 20_007, 40_007, 60_007, 90_007, 180_007])


def first_settings(limit: int) -> dict[str, Settings]:
    """Four systems that differ in what the rules leave to the configuration."""
    return {
        "plain": Settings(limit=limit, queue="checks", late_queue="late"),
        "jittery": Settings(limit=limit, jitter=0.5, heartbeat_extends=True, factor=3.0),
        "closing": Settings(limit=limit, on_timeout="close", heartbeat_extends=True, max_delay_ms=15_000),
        "forgetful": Settings(limit=limit, response_expected=False),
    }


class Comparison(RuleBasedStateMachine):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        memory = Path("/dev/shm")  # a disk costs more than all the rest
        self.directory = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        self.driver: Driver | None = None
        self.model: Model

    def teardown(self) -> None:
        try:
            if self.driver is not None:
                self.driver.close()
        finally:
            shutil.rmtree(self.directory)

    @initialize(limit=LIMITS, seed=st.integers(0, 2**32))
    def start(self, limit: int, seed: int) -> None:
        systems = first_settings(limit)
        self.driver = Driver(self.directory, systems, seed)
        self.model = Model(systems, self.driver.now)

    @rule(draw=st.data())
    def take_a_step(self, draw: st.DataObject) -> None:
        """One step of those below, about an action that it fits as a rule, and now and then about any other."""
        actions = list(self.model.actions.values())
        anywhere = draw.draw(st.sampled_from([False] * 4 + [True]), label="whether it fits or not")
        about = {name: each.candidates(actions, anywhere=anywhere) for name, each in STEPS.items()}
        possible = [name for name, each in STEPS.items() if about[name] or (each.about_no_action and actions)]
        if len(actions) >= MOST_ACTIONS:
            possible = [name for name in possible if name not in ("submit", "rerun")]
        weighted = [name for name in possible for _ in range(STEPS[name].weight)]
        name = draw.draw(st.sampled_from(weighted or ["submit"]), label="step")
        arguments = draw.draw(STEPS[name].arguments, label=name)
        if about[name]:
            arguments["action"] = draw.draw(st.sampled_from(about[name]), label="action")
        getattr(self, name)(**arguments)

    # -- what people and programs do

    @step(
        3,
        system=SYSTEMS,
        case=st.sampled_from([None, "C-1", "C-2"]),
        owner=st.sampled_from([None, "olga", "otto"]),
        key=st.sampled_from([None, None, "k1", "k2"]),
        data=FIELDS,
        due_in=st.sampled_from([None, None, None, 0, 10_000, 50_000]),
    )
    def submit(
        self,
        system: str,
        case: str | None,
        owner: str | None,
        key: str | None,
        data: dict[str, int],
        due_in: int | None,
    ) -> None:
        due_at = None if due_in is None else self.real.now + due_in
        given = {"system": system, "case": case, "owner": owner, "key": key, "data": data, "due_at": as_text(due_at)}
        params = {name: value for name, value in given.items() if value is not None}
        holder = self.both(
            lambda: self.model.key_holder(system, key, (case, owner, data)),
            lambda: self.real.ask("submit", **params)["id"],
        )
        if holder is None:
            return
        wanted, said = holder
        if wanted is not None:
            same(said, "rule 17: the first action of the key", wanted, said)
            return
        self.model.submit(said, system, case=case, owner=owner, key=key, data=data, due_at=due_at)

    @step(2, PENDING)
    def retry(self, action: str) -> None:
        self.both(lambda: self.model.retry(action), lambda: self.real.ask("retry", id=action))

    @step(4, PENDING, wait=st.sampled_from([7, 1_007, 30_007]))
    def retry_in_vain(self, action: str, wait: int) -> None:
        """What the schedule of the tries after a manual one is (rule 13) shows only where that one fails, too."""
        self.retry(action)
        self.advance(wait)
        if self.model.actions[action].in_flight:
            self.end_attempt(action, "no route", None, None)

    @step(4, TODO, user=st.sampled_from(["anna", "ben"]))
    def take(self, action: str, user: str) -> None:
        self.both(lambda: self.model.take(action, user), lambda: self.real.ask("take", id=action, user=user))

    @step(2, IN_PROGRESS)
    def release(self, action: str) -> None:
        self.both(lambda: self.model.release(action), lambda: self.real.ask("release", id=action))

    @step(
        2,
        TODO,
        IN_PROGRESS,
        to=st.sampled_from([{"queue": "checks"}, {"queue": "late"}, {"user": "ben"}, {"user": "eva"}]),
    )
    def assign(self, action: str, to: dict[str, str]) -> None:
        self.both(lambda: self.model.assign(action, **to), lambda: self.real.ask("assign", id=action, **to))

    @step(1, TODO, IN_PROGRESS, successful=st.booleans(), data=FIELDS)
    def complete(self, action: str, successful: bool, data: dict[str, int]) -> None:
        resolution = "done_successfully" if successful else "not_done_successfully"
        self.both(
            lambda: self.model.complete(action, successful=successful, data=data),
            lambda: self.real.ask("complete", id=action, resolution=resolution, data=data),
        )

    @step(1, PENDING, WAITING)
    def cancel(self, action: str) -> None:
        self.both(lambda: self.model.cancel(action), lambda: self.real.ask("cancel", id=action, note="by mistake"))

    @step(1, CLOSED)
    def rerun(self, action: str) -> None:
        done = self.both(lambda: self.model.may_rerun(action), lambda: self.real.ask("rerun", ids=[action])["actions"])
        if done is None:
            return
        old, [new] = done
        self.model.submit(new["id"], old.system, case=old.case, data=old.data, rerun_of=action, owner=new_owner(old))

    @step(1, system=SYSTEMS)
    def pause(self, system: str) -> None:
        self.real.ask("pause", system=system)
        self.model.pause(system)

    @step(2, system=SYSTEMS)
    def resume(self, system: str) -> None:
        self.real.ask("resume", system=system)
        self.model.resume(system)

    @step(2, system=SYSTEMS, limit=LIMITS)
    def change_limit(self, system: str, limit: int) -> None:
        systems = self.model.systems | {system: with_limit(self.model.systems[system], limit)}
        self.real.reload(systems)
        self.model.reconfigure(system, systems[system], "user:anna")

    @step(1, system=SYSTEMS, limit=LIMITS, away=st.sampled_from([7, 10_007, 100_007]))
    def restart(self, system: str, limit: int, away: int) -> None:
        systems = self.model.systems | {system: with_limit(self.model.systems[system], limit)}
        stopped_at = self.real.restart(systems, away)
        seen = self.seen()
        self.model.systems = systems
        self.model.now = self.real.now
        self.model.restart(stopped_at, seen)

    # -- what systems do

    @step(
        5,
        under_way=True,
        outcome=st.sampled_from(["taken", "refused", "no route"]),
        response=st.one_of(st.none(), st.none(), RESPONSES),
        retry_after=st.sampled_from([None, None, 5_000, 30_000]),
    )
    def end_attempt(self, action: str, outcome: str, response: Response | None, retry_after: int | None) -> None:
        if outcome == "taken":
            retry_after = None
        self.real.end_attempt(action, outcome, response=response, retry_after_ms=retry_after)
        kind = "taken" if outcome == "taken" else "not_connected"
        self.model.end_attempt(
            action, kind, self.seen(), response=response, message=outcome, retry_after_ms=retry_after
        )

    @step(4, under_way=True)
    def accept(self, action: str) -> None:
        """Taken by the system: most of the rules are about what comes after that."""
        self.end_attempt(action, "taken", None, None)

    @step(3, PENDING, ATTEMPTING, WAITING, response=st.one_of(RESPONSES, RESPONSES, HEARTBEATS))
    def respond(self, action: str, response: Response) -> None:
        said = self.real.respond(action, response)
        same(action, f"the answer to {response}", self.model.respond(action, response), said)

    @step(3, WAITING, wait=st.sampled_from([7, 5_007, 30_007]), response=HEARTBEATS)
    def send_a_heartbeat(self, action: str, wait: int, response: Response) -> None:
        """Whether the clock starts again (rule 21) shows only where it has run for some time."""
        self.advance(wait)
        self.respond(action, response)

    # -- what time does

    @step(4, WAITING)
    def let_the_deadline_pass(self, action: str) -> None:
        """Rules 4 and 20."""
        deadline = self.model.actions[action].deadline
        self.advance(7 if deadline is None else deadline - self.real.now + 7)

    @step(4, milliseconds=WHEN)
    def advance(self, milliseconds: int) -> None:
        self.real.advance(milliseconds)
        self.model.advance(self.real.now, self.seen())

    # -- the comparison

    @invariant()
    def both_say_the_same(self) -> None:
        if self.driver is not None:
            compare(self.model, self.seen())

    @property
    def real(self) -> Driver:
        assert self.driver is not None
        return self.driver

    def seen(self) -> Any:
        return self.real.look(list(self.model.actions), list(self.model.cases))

    def both(self, model: Any, real: Any) -> tuple[Any, Any] | None:
        """Do it with both; both do it (what each gave), or both refuse it in the same way (None)."""
        wanted = given = None
        refused: list[str | None] = [None, None]
        try:
            wanted = model()
        except RefusedByRules as refusal:
            refused[0] = refusal.kind
        try:
            given = real()
        except RefusedByRules as refusal:
            refused[1] = refusal.kind
        same("refusal", "kind", *refused)
        return None if refused[0] is not None else (wanted, given)


STEPS = steps_of(Comparison)


def new_owner(old: Any) -> str | None:
    """A rerun is for the same case; without one it has the same owner."""
    return None if old.case is not None else old.owner


def as_text(at: int | None) -> str | None:
    if at is None:
        return None
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
