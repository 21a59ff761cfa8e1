"""What a person can do with an action now, and with which command.

What the table allows is asked of the table itself, so that no command is offered that would be refused.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from connectord.lifecycle import events as on
from connectord.lifecycle.action import Action, State
from connectord.lifecycle.circumstances import Present
from connectord.lifecycle.transitions import REFUSALS

_BY_HAND: tuple[tuple[type[on.Event], str, str], ...] = (
    (on.RetryRequested, "try it now", "retry {id}"),
    (on.Took, "take it", "take {id} --as USER"),
    (on.Released, "give it back", "release {id}"),
    (on.Assigned, "hand it on to a queue", "assign {id} --to queue:NAME"),
    (on.Assigned, "hand it on to a user", "assign {id} --to user:NAME"),
    (on.Completed, "close it as done", "complete {id} --note TEXT"),
    (on.Completed, "close it unsuccessfully", "complete {id} --unsuccessful --note TEXT"),
    (on.Cancelled, "close it unsuccessfully", "cancel {id} --note TEXT"),
)

_ON_THE_WAY = (State.PENDING, State.ATTEMPTING, State.WAITING)


@dataclass(frozen=True, slots=True)
class Remedy:
    """Something that can be done, and the command for it. What stands in capitals is to be filled in."""

    words: str
    command: str


def remedies(action: Action, present: Present) -> tuple[Remedy, ...]:
    """What can be done with ``action`` now; each of the commands would be taken."""
    return tuple(Remedy(words, f"connectorctl {command}") for words, command in _commands(action, present))


def _commands(action: Action, present: Present) -> Iterator[tuple[str, str]]:
    system = shlex.quote(action.system)
    if not present.configured and action.state in _ON_THE_WAY:
        yield f"let it go on: put {action.system} back into connectord.toml, then", "reload"
    elif present.paused_by is not None and action.state in (State.PENDING, State.ATTEMPTING):
        yield f"let {action.system} go on", f"resume {system}"
    # a retry would have to wait for the lane, so it is refused while there is none that works
    idle = not present.configured or present.paused_by is not None
    for event, words, command in _BY_HAND:
        if (action.state, event) not in REFUSALS and not (idle and event is on.RetryRequested):
            yield words, command.format(id=shlex.quote(action.id))
    if action.state is State.CLOSED:
        yield "make a new action from it", f"rerun {shlex.quote(action.id)}"
        if action.case_id is not None:
            yield "look at its case", f"case {shlex.quote(action.case_id)}"
