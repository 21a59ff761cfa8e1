"""An action as a value: made from a row, copied with changes, compared."""

from __future__ import annotations

import dataclasses
from operator import attrgetter

import pytest
from connectord.lifecycle.action import FIELDS, Action, State, changed_fields, of_state, replace

NEW = Action("a", "sys", 1, due_at=1, scheduled_at=1)


def test_a_copy_is_what_dataclasses_would_make() -> None:
    copy = replace(NEW, state=State.ATTEMPTING, attempts=1, due_at=None)
    assert copy == dataclasses.replace(NEW, state=State.ATTEMPTING, attempts=1, due_at=None)
    assert (NEW.state, NEW.attempts, NEW.due_at) == (State.PENDING, 0, 1)
    assert of_state(dict(zip(FIELDS, attrgetter(*FIELDS)(copy), strict=True))) == copy


def test_a_copy_is_as_frozen_as_the_first() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        replace(NEW, attempts=1).attempts = 2  # type: ignore[misc]


def test_a_field_that_there_is_not_is_refused() -> None:
    with pytest.raises(TypeError, match="an action has no atempts"):
        replace(NEW, atempts=1)


def test_what_changed_is_named_in_the_order_of_the_fields() -> None:
    assert changed_fields(NEW, NEW) == ()
    assert changed_fields(NEW, replace(NEW, due_at=None, attempts=1, state=State.ATTEMPTING, manual=False)) == (
        "state",
        "attempts",
        "due_at",
    )
