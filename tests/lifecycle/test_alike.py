"""Rules 10 and 11, decided once for many: it is what the lifecycle decides for each of them."""

from __future__ import annotations

from dataclasses import fields

import pytest
from connectord.lifecycle import alike, steps, transitions
from connectord.lifecycle.action import FIELDS, Action, Reason, State
from connectord.lifecycle.alike import Situation, decide_alike
from connectord.lifecycle.events import LimitChanged
from connectord.lifecycle.policy import Policy, RetryPolicy
from connectord.lifecycle.steps import Moment
from connectord.lifecycle.transitions import decide
from helpers.values import replace
from hypothesis import given
from hypothesis import strategies as st

maybe_time = st.none() | st.integers(0, 10**13)
maybe_text = st.none() | st.text(max_size=5)
pending = st.builds(
    Action,
    id=st.text(min_size=1, max_size=5),
    system=st.sampled_from(("billing", "erp")),
    submitted_at=st.integers(0, 10**13),
    case_id=maybe_text,
    owner=maybe_text,
    reason=st.none() | st.sampled_from(Reason),
    rejected_reason=maybe_text,
    attempts=st.integers(0, 12),
    due_at=st.integers(0, 10**13),
    scheduled_at=maybe_time,
    manual=st.booleans(),
    backoff_step=st.integers(0, 12),
    limit_at_failure=st.none() | st.integers(1, 12),
    error_at=maybe_time,
    error_message=maybe_text,
    response_digest=maybe_text,
    progress_at=maybe_time,
    progress_text=maybe_text,
    progress_percent=st.none() | st.floats(0, 100),
    queue=maybe_text,
    user=maybe_text,
    todo_at=maybe_time,
    reference=maybe_text,
    probe=st.booleans(),
    ask_step=st.integers(0, 12),
    traceparent=maybe_text,
)


@given(action=pending, limit=st.integers(1, 12), can_probe=st.booleans(), now=st.integers(0, 10**13))
def test_rules_10_and_11_what_is_decided_for_all_is_what_each_would_get(
    action: Action, limit: int, can_probe: bool, now: int
) -> None:
    moment = Moment(now, Policy(retry=RetryPolicy(limit=limit), probe=can_probe), draw=0.5)
    each = decide(action, LimitChanged(), moment)
    together = decide_alike(
        Situation(action.system, action.attempts, action.manual, action.probe), LimitChanged(), moment
    )
    assert replace(action, **together.changes) == each.action
    assert (together.row, together.effects) == (each.row, each.effects)


def test_every_field_is_part_of_the_situation_or_carried_or_none_of_a_pending_action() -> None:
    situation = {field.name for field in fields(Situation)}
    assert {*FIELDS} == {"state", *situation, *alike._NOT_PENDING, *alike._CARRIED}


def test_a_row_that_looks_at_what_is_carried_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def close_old_ones(action: Action, event: object, moment: Moment) -> bool:
        return action.submitted_at < moment.now

    def keep_schedule(action: Action, event: object, moment: Moment) -> steps.Result:
        return replace(action, due_at=action.scheduled_at), ()

    key = (State.PENDING, LimitChanged)
    rows = transitions._ROWS[key]
    situation, moment = Situation("billing", 4, manual=False, probe=False), Moment(0, Policy(RetryPolicy(limit=4)))
    for broken, words in (
        (replace(rows[1], when=close_old_ones), "submitted_at is not part of the situation"),
        (replace(rows[1], then=keep_schedule), "due_at is taken from another field"),
    ):
        monkeypatch.setitem(transitions._ROWS, key, (broken,))
        with pytest.raises(TypeError, match=words):
            decide_alike(situation, LimitChanged(), moment)
