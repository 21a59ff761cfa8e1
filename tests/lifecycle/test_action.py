"""An action as a value: copied with changes, compared."""

from __future__ import annotations

import pytest
from connectord.lifecycle.action import FIELDS, Action, State, changed_fields, replace

NEW = Action("a", "sys", 1, due_at=1, scheduled_at=1)


def test_a_copy_has_what_was_changed_and_leaves_the_first_alone() -> None:
    copy = replace(NEW, state=State.ATTEMPTING, attempts=1, due_at=None)
    assert copy == Action("a", "sys", 1, state=State.ATTEMPTING, attempts=1, due_at=None, scheduled_at=1)
    assert (NEW.state, NEW.attempts, NEW.due_at) == (State.PENDING, 0, 1)


def test_a_copy_is_as_frozen_as_the_first() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        replace(NEW, attempts=1).attempts = 2  # type: ignore[misc]


def test_a_field_that_there_is_not_is_refused() -> None:
    with pytest.raises(TypeError, match="no field 'atempts'"):
        replace(NEW, atempts=1)


def test_every_field_that_changes_is_named() -> None:
    assert all(changed_fields(NEW, replace(NEW, **{name: object()})) == (name,) for name in FIELDS)


def test_what_changed_is_named_in_the_order_of_the_fields() -> None:
    assert changed_fields(NEW, NEW) == ()
    assert changed_fields(NEW, replace(NEW, due_at=None, attempts=1, state=State.ATTEMPTING, manual=False)) == (
        "state",
        "attempts",
        "due_at",
    )
