"""Rules 10 and 11 beforehand: what a changed limit would mean, and that it is what `decide` then does."""

from __future__ import annotations

import pytest
from connectord.lifecycle import events as on
from connectord.lifecycle.action import Action, Resolution, State
from connectord.lifecycle.limits import LimitEffect, limit_effect
from connectord.lifecycle.policy import Policy, RetryPolicy
from connectord.lifecycle.steps import Moment
from connectord.lifecycle.transitions import decide
from helpers.values import replace
from hypothesis import given
from hypothesis import strategies as st

E = LimitEffect


def action(state: State, attempts: int = 4, limit_at_failure: int | None = 5) -> Action:
    base = Action("01J", "billing", 0, state=state, attempts=attempts, limit_at_failure=limit_at_failure)
    match state:
        case State.PENDING:
            return replace(base, due_at=0)
        case State.WAITING:
            return replace(base, deadline=1)
        case _:
            return base


@pytest.mark.parametrize(
    ("before", "after", "given_action", "effect"),
    [
        (5, 5, action(State.PENDING), None),
        (5, 7, action(State.PENDING), E.GO_ON),
        (10, 4, action(State.PENDING, 4, 10), E.CLOSE),
        (10, 3, action(State.PENDING, 4, 10), E.CLOSE),
        (10, 5, action(State.PENDING, 4, 10), E.GO_ON),
        (10, 1, action(State.PENDING, 0, None), E.GO_ON),
        (5, None, action(State.PENDING), E.HOLD),
        (None, 5, action(State.PENDING), E.RESUME),
        (None, 4, action(State.PENDING), E.CLOSE),
        (5, 3, action(State.ATTEMPTING), E.WHEN_ENDED),
        (5, None, action(State.ATTEMPTING), E.HOLD),
        (5, 7, action(State.WAITING), E.SHOW),
        (5, 4, action(State.WAITING), None),
        (5, 4, action(State.WAITING, 1, None), E.SHOW),
        (5, None, action(State.TODO), None),
        (5, 7, action(State.IN_PROGRESS), E.SHOW),
    ],
)
def test_rule_10_and_11_what_a_changed_limit_means(
    before: int | None, after: int | None, given_action: Action, effect: LimitEffect | None
) -> None:
    assert limit_effect(given_action, before, after) is effect


@given(
    attempts=st.integers(0, 12),
    failed=st.one_of(st.none(), st.integers(1, 12)),
    before=st.integers(1, 12),
    after=st.integers(1, 12),
)
def test_rule_10_what_is_foretold_is_what_happens(attempts: int, failed: int | None, before: int, after: int) -> None:
    # what lies there under the old limit was not yet tried that often
    attempts = min(attempts, before - 1)
    pending = action(State.PENDING, attempts, failed)
    foretold = limit_effect(pending, before, after)
    became = decide(pending, on.LimitChanged(), Moment(0, Policy(RetryPolicy(limit=after)))).action
    if attempts > 0:  # the others are not asked: nothing was tried yet
        assert (became.resolution is Resolution.NOT_DONE_SUCCESSFULLY) == (foretold is E.CLOSE)
    assert (foretold is None) == (before == after)
