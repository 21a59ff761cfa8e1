"""What may be drawn as a step of the machine: how often, about which actions, with what.

Hypothesis leaves out about half of a machine's rules in each example (swarm testing). Where one step makes the next
one possible (submitted, attempted, taken, timed out, taken by a person, handed back) most examples would come to
nothing: so the machine has one rule, which draws among these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import strategies as st

from model.rules import Action

F = TypeVar("F", bound=Callable[..., None])


@dataclass(frozen=True)
class Step:
    """One kind of step."""

    weight: int
    states: tuple[str, ...]
    """Where it fits; none: it is about no action. Elsewhere it is done now and then, too, and has to be refused."""
    under_way: bool
    """Whether it is about an attempt that is under way, and there is nothing to do without one."""
    arguments: st.SearchStrategy[dict[str, Any]]

    @property
    def about_no_action(self) -> bool:
        """Whether it is about the time, a system or the daemon."""
        return not self.states and not self.under_way

    def candidates(self, actions: Sequence[Action], *, anywhere: bool) -> list[str]:
        """The actions that it may be about."""
        if self.under_way:
            return [each.id for each in actions if each.in_flight]
        return [each.id for each in actions if each.state in self.states or (anywhere and self.states)]


def step(weight: int, *states: str, under_way: bool = False, **arguments: st.SearchStrategy[Any]) -> Callable[[F], F]:
    """Mark a method as a step that is drawn ``weight`` times as often as one of weight 1.

    With ``states`` or ``under_way`` (see :class:`Step`) the method gets an id as ``action``.
    """

    def mark(method: F) -> F:
        made = Step(weight, states, under_way, st.fixed_dictionaries(arguments))
        method.step = made  # type: ignore[attr-defined]
        return method

    return mark


def steps_of(machine: type) -> dict[str, Step]:
    """The steps of a class by their names, in the order in which they are written."""
    return {name: method.step for name, method in vars(machine).items() if hasattr(method, "step")}
