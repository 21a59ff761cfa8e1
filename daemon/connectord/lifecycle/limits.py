"""Rules 10 and 11 beforehand: what another retry limit means for one live action."""

from __future__ import annotations

from enum import StrEnum

from connectord.lifecycle.action import Action, State


class LimitEffect(StrEnum):
    """What a reload means for a live action."""

    CLOSE = "close"
    """Rule 10c: it was tried as often as the new limit allows, and is closed."""
    GO_ON = "go_on"
    """Rule 10b: it is tried until the new limit."""
    WHEN_ENDED = "when_ended"
    """Rule 11: an attempt is under way, or its outcome is being asked for, and the new limit decides after that."""
    SHOW = "show"
    """Rule 11: only another number is shown."""
    HOLD = "hold"
    """Its system is not configured any more: it is not attempted until the system is back."""
    RESUME = "resume"
    """Its system is back: it goes on."""


def limit_effect(action: Action, before: int | None, after: int | None) -> LimitEffect | None:
    """What it means that the system's limit was ``before`` and is ``after``; None where it means nothing.

    A limit of None stands for a system that is not configured.
    """
    if before == after:
        return None
    match action.state:
        case State.PENDING:
            if after is None:
                return LimitEffect.HOLD
            if action.probe:
                # rule 14: what became of the last try is asked first
                return LimitEffect.WHEN_ENDED
            if 0 < after <= action.attempts:
                return LimitEffect.CLOSE
            return LimitEffect.RESUME if before is None else LimitEffect.GO_ON
        case State.ATTEMPTING:
            return LimitEffect.HOLD if after is None else LimitEffect.WHEN_ENDED
        case _:
            return None if action.shown_limit(before) == action.shown_limit(after) else LimitEffect.SHOW
