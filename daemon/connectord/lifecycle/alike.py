"""What one event means for many actions that are alike, decided once.

A limit that is lowered can close a million actions. :func:`decide` looks at few of an action's fields then; for all
actions that have the same there, the outcome is the same. :func:`decide_alike` asks it once, with an action in which
everything else is a mark: what comes out as the mark is left as it is, and whatever looks at a mark fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, NoReturn

from connectord.lifecycle.action import FIELDS, Action
from connectord.lifecycle.effects import Effect
from connectord.lifecycle.events import LimitChanged
from connectord.lifecycle.steps import Moment
from connectord.lifecycle.transitions import Row, decide


@dataclass(frozen=True, slots=True)
class Situation:
    """All that decides what a changed limit means for a pending action. ``attempts`` is 0 or more."""

    system: str
    attempts: int
    manual: bool
    probe: bool


class AlikeAction(NamedTuple):
    """What tells a pending action from others, as far as it is written down or told when they are closed together.

    ``owner`` is its case's. A tuple, for there may be a million of them.
    """

    id: str
    system: str
    case_id: str | None
    owner: str | None
    submitted_at: int
    attempts: int
    manual: bool
    probe: bool
    limit_at_failure: int | None
    error_at: int | None
    error_message: str | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What the event came to for each of them: the fields that have another value now, the row of the table that
    decided, and what has to be written along."""

    changes: Mapping[str, Any]
    row: Row
    effects: tuple[Effect, ...]


class _Carried:
    """Stands for whatever an action has in a field that does not decide."""

    __slots__ = ("_field",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, field: str) -> None:
        self._field = field

    def _refuse(self, *_: object) -> NoReturn:
        raise TypeError(f"{self._field} is not part of the situation, and must not decide")

    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __add__ = __radd__ = __sub__ = __bool__ = _refuse


# what no pending action has
_NOT_PENDING = ("resolution", "deadline", "next_poll_at", "closed_at")
_CARRIED = {
    name: _Carried(name)
    for name in FIELDS
    if name not in {*_NOT_PENDING, "state", *(field.name for field in fields(Situation))}
}


def decide_alike(situation: Situation, event: LimitChanged, moment: Moment) -> Decision:
    """What a changed limit makes of every pending action in that situation (rules 10 and 11).

    Raises :class:`TypeError` where the outcome depends on more than the situation: then it is none.
    """
    marked: dict[str, Any] = dict(_CARRIED)
    before = Action(
        **marked,
        system=situation.system,
        attempts=situation.attempts,
        manual=situation.manual,
        probe=situation.probe,
    )
    transition = decide(before, event, moment)
    after = transition.action
    changes = {name: getattr(after, name) for name in FIELDS if getattr(after, name) is not getattr(before, name)}
    for name, value in changes.items():
        if isinstance(value, _Carried):
            raise TypeError(f"{name} is taken from another field, which is not part of the situation")
    return Decision(changes, transition.row, transition.effects)
