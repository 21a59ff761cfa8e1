"""The table itself: complete, without overlaps, every row reachable, every refusal raised."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product
from typing import get_args

import pytest
from connectord.errors import Refused
from connectord.lifecycle import events as on
from connectord.lifecycle.action import Action, Reason, Resolution, State
from connectord.lifecycle.effects import EndAttempt, MergeData, Notice, NotifyOwner, OpenAttempt
from connectord.lifecycle.policy import Policy, PollPolicy, RetryPolicy
from connectord.lifecycle.steps import Moment
from connectord.lifecycle.transitions import REFUSALS, TABLE, Row, Transition, decide, refusal
from helpers.values import replace

NOW = 1_764_000_000_000
PAIRS = list(product(State, on.EVENTS))
DATA = {"invoice_no": "R-17"}

VARIANTS: dict[type[on.Event], tuple[on.Event, ...]] = {
    on.AttemptStarted: (on.AttemptStarted(),),
    on.TakenBySystem: (on.TakenBySystem(1), on.TakenBySystem(2, "job 7")),
    on.ConnectionFailed: (
        on.ConnectionFailed(1, "refused"),
        on.ConnectionFailed(2, "refused", 60_000),
        on.ConnectionFailed(2, "no answer", outcome_unknown=True),
    ),
    on.AttemptInterrupted: (on.AttemptInterrupted(1), on.AttemptInterrupted(2)),
    on.ProbeFoundTaken: (on.ProbeFoundTaken(1), on.ProbeFoundTaken(2, "job 7")),
    on.ProbeFoundNothing: (on.ProbeFoundNothing(1), on.ProbeFoundNothing(2)),
    on.ProbeUnclear: (on.ProbeUnclear(1, "two of them"), on.ProbeUnclear(2, "two of them")),
    on.ProbeFailed: (on.ProbeFailed(1, "refused"), on.ProbeFailed(2, "refused", 60_000)),
    on.SuccessReceived: (on.SuccessReceived("first", DATA), on.SuccessReceived("other", attempt=2)),
    on.FailureReceived: (on.FailureReceived("first", "no", DATA), on.FailureReceived("other", "no", attempt=2)),
    on.HeartbeatReceived: (on.HeartbeatReceived("beat", "at work", 40.0),),
    on.DeadlinePassed: (on.DeadlinePassed(),),
    on.LimitChanged: (on.LimitChanged(),),
    on.RetryRequested: (on.RetryRequested(),),
    on.Took: (on.Took("ann"),),
    on.Released: (on.Released(),),
    on.Assigned: (on.Assigned(queue="billing"), on.Assigned(user="bob")),
    on.Completed: (on.Completed(successful=True), on.Completed(successful=False, data=DATA, note="no use")),
    on.Cancelled: (on.Cancelled("wrong case"),),
}


def action_in(state: State) -> Action:
    """An action as it may well be in ``state``, after two attempts."""
    action = Action("01J", "billing", NOW - 60_000, owner="olga", state=state, attempts=2, limit_at_failure=5)
    match state:
        case State.PENDING:
            return replace(action, due_at=NOW, scheduled_at=NOW, error_at=NOW - 1, error_message="refused")
        case State.ATTEMPTING:
            return replace(action, scheduled_at=NOW, error_at=NOW - 1, error_message="refused")
        case State.WAITING:
            return replace(action, deadline=NOW)
        case State.TODO:
            return replace(action, reason=Reason.UPDATED_BY_INTEGRATION, queue="q", response_digest="first")
        case State.IN_PROGRESS:
            return replace(action, reason=Reason.TIMEOUT, queue="q", user="ann", response_digest="first")
        case State.CLOSED:
            return replace(action, resolution=Resolution.DONE_SUCCESSFULLY, closed_at=NOW - 1, response_digest="first")


def actions_in(state: State) -> list[Action]:
    """As :func:`action_in`, and what else it may be in that state where the system is polled or probed."""
    plain = action_in(state)
    match state:
        case State.PENDING:
            probed = replace(plain, probe=True)
            return [plain, probed, replace(probed, scheduled_at=NOW - 864_000_000, ask_step=3)]
        case State.WAITING:
            return [plain, replace(plain, next_poll_at=NOW, reference="job 7")]
        case _:
            return [plain]


def moments() -> Iterator[Moment]:
    for limit, expected, extends, asks in product((2, 5), (True, False), (True, False), (True, False)):
        for on_timeout in ("todo", "close"):
            policy = Policy(
                RetryPolicy(limit=limit),
                response_expected=expected,
                heartbeat_extends=extends,
                on_timeout="close" if on_timeout == "close" else "todo",
                poll=PollPolicy() if asks else None,
                probe=asks,
            )
            for now in (NOW - 1, NOW, NOW + 1):
                yield Moment(now, policy)


def outcomes(state: State, kind: type[on.Event]) -> Iterator[tuple[Action, on.Event, Moment, Transition]]:
    for action, event, moment in product(actions_in(state), VARIANTS[kind], moments()):
        yield action, event, moment, decide(action, event, moment)


def rows_of(state: State, kind: type[on.Event]) -> list[Row]:
    return [row for row in TABLE if (row.state, row.event) == (state, kind)]


def row_name(row: Row) -> str:
    condition = row.when.__name__ if row.when else "always"
    return f"{row.state}-{row.event.__name__}-{condition}"


ALLOWED = [pair for pair in PAIRS if rows_of(*pair)]


def pair_name(value: object) -> str:
    return value.__name__ if isinstance(value, type) else str(value)


def test_events_lists_every_event() -> None:
    assert set(on.EVENTS) == set(get_args(on.Event)) == set(VARIANTS)
    assert len(on.EVENTS) == len(set(on.EVENTS))


@pytest.mark.parametrize(("state", "kind"), PAIRS, ids=pair_name)
def test_every_pair_has_rows_or_a_refusal_but_not_both(state: State, kind: type[on.Event]) -> None:
    rows = rows_of(state, kind)
    assert bool(rows) != ((state, kind) in REFUSALS)
    if rows:
        *conditional, last = rows
        assert last.when is None
        assert all(row.when is not None for row in conditional)


def test_refusals_name_nothing_else() -> None:
    assert set(REFUSALS) <= set(PAIRS)
    assert all(text.strip() for text in REFUSALS.values())


@pytest.mark.parametrize("row", TABLE, ids=row_name)
def test_every_row_is_reached_and_goes_where_it_says(row: Row) -> None:
    reached = [after for *_, after in outcomes(row.state, row.event) if after.row is row]
    assert reached
    assert {after.action.state for after in reached} == {row.to}


@pytest.mark.parametrize("row", TABLE, ids=row_name)
def test_every_row_cites_rules_and_says_why(row: Row) -> None:
    rules = {f"{number}" for number in range(1, 22)} | {"10a", "10b", "10c"}
    assert set(row.rules.split(",")) <= rules
    assert row.why.strip()
    assert row.when is None or (row.when.__doc__ or "").strip()
    # rule 18: no change of state without a row in the history
    assert row.history or row.to is row.state


@pytest.mark.parametrize(("state", "kind"), list(REFUSALS), ids=pair_name)
def test_a_refused_event_raises_with_state_and_reason(state: State, kind: type[on.Event]) -> None:
    for event, moment in product(VARIANTS[kind], moments()):
        with pytest.raises(Refused) as caught:
            decide(action_in(state), event, moment)
        assert caught.value.state == state
        assert caught.value.reason == refusal(state, kind, action_in(state).user)
    assert refusal(state, kind) == REFUSALS[state, kind]


@pytest.mark.parametrize(("state", "kind"), ALLOWED, ids=pair_name)
def test_who_is_notified_fits_the_rules(state: State, kind: type[on.Event]) -> None:
    for _, event, _, after in outcomes(state, kind):
        rules = set(after.row.rules.split(","))
        notices = [effect.notice for effect in after.effects if isinstance(effect, NotifyOwner)]
        by_hand = isinstance(event, on.Cancelled) or (isinstance(event, on.Completed) and not event.successful)
        assert notices == [Notice.ATTEMPTS_EXHAUSTED] * ("9" in rules) + [Notice.CLOSED_BY_HAND] * by_hand
        if rules & {"3", "4", "20"}:
            assert notices == []


@pytest.mark.parametrize("rule", ["3", "4", "20"])
def test_rules_3_4_and_20_never_notify(rule: str) -> None:
    rows = [row for row in TABLE if rule in row.rules.split(",")]
    assert rows
    for row in rows:
        reached = [after for *_, after in outcomes(row.state, row.event) if after.row is row]
        assert reached
        assert not any(isinstance(effect, NotifyOwner) for after in reached for effect in after.effects)


@pytest.mark.parametrize(("state", "kind"), ALLOWED, ids=pair_name)
def test_effects_belong_to_their_events(state: State, kind: type[on.Event]) -> None:
    for action, event, _, after in outcomes(state, kind):
        kinds = [type(effect) for effect in after.effects]
        assert len(kinds) == len(set(kinds))
        number = getattr(event, "attempt", None)
        assert (EndAttempt in kinds) == (number is not None)
        assert (OpenAttempt in kinds) == (after.row.to is State.ATTEMPTING and state is State.PENDING)
        if MergeData in kinds:
            assert state in (State.PENDING, State.ATTEMPTING, State.WAITING) or kind is on.Completed
            assert MergeData(getattr(event, "data", {})) in after.effects
        if after.row.then.__name__ == "stay":
            assert after.action == action


@pytest.mark.parametrize(("state", "kind"), ALLOWED, ids=pair_name)
def test_fields_fit_the_state(state: State, kind: type[on.Event]) -> None:
    for *_, after in outcomes(state, kind):
        now = after.action
        assert (now.due_at is not None) == (now.state is State.PENDING)
        assert (now.deadline is not None) == (now.state is State.WAITING)
        assert (now.closed_at is not None) == (now.resolution is not None) == (now.state is State.CLOSED)
        assert not now.probe or now.state is State.PENDING
        assert now.next_poll_at is None or now.state is State.WAITING
        if now.state in (State.TODO, State.IN_PROGRESS):
            assert now.reason is not None
            assert now.assignee is not None


def test_rows_of_one_pair_stand_together() -> None:
    # the order decides, so a reader has to see all of them at once
    seen = [(row.state, row.event) for row in TABLE]
    changes = sum(before != after for before, after in pairwise(seen))
    assert changes + 1 == len(set(seen))
