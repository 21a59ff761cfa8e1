"""What each method of the control socket does, in a sentence or two, for the clients' docstrings.

A method whose parameters have a type of their own may be left out: that type's docstring is taken.
"""

from __future__ import annotations

DESCRIPTIONS: dict[str, str] = {
    "submit": (
        "Submit a new action; it is on disk when this returns. ``due_at`` is RFC 3339; without it the action is due "
        "now. With a ``key`` the call may be repeated: the same key gives the first action back (rule 17). "
        "``traceparent`` names the trace that it is to belong to (W3C Trace Context)."
    ),
    "submit_many": "Submit new actions: all of them or none, in one transaction.",
    "list": "A page of actions, the newest first; ``after`` is the ``next`` of the page before.",
    "show": "An action as it is now: its info card.",
    "history": "Every change of an action's state, with who and why (rule 18).",
    "attempts": "Every try to hand an action over to its system.",
    "why": "Why an action is where it is: what it waits for, which rule decided, what comes next, what can be done.",
    "queues": "How much To Do work waits in every queue and for everybody, and since when.",
    "case": "A case: its owner, its merged data, its actions.",
    "case_merges": "Everything that was ever merged into a case's data, in order: what set it, when, and by what.",
    "notifications": "What case owners were not told yet, the newest first; with ``all`` also what they were told.",
    "notifications_retry": "Make everything that is not delivered yet due now, to the owners of today.",
    "retry": "Try a pending action again now; it counts as one of its tries (rule 8).",
    "take": "Take a To Do action as ``user`` (rule 5).",
    "release": "Give an action that somebody has taken back to where it came from.",
    "assign": "Hand a To Do action on: to a queue or to a user, one of the two.",
    "complete": "Close a To Do action by hand, successfully or not (rule 5).",
    "cancel": "Close a pending or waiting action by hand, as not done successfully.",
    "rerun": (
        "Make new actions from closed ones: those with these ``ids``, or those that the filters find (rule 16). With "
        "``dry_run`` they are only counted."
    ),
    "systems": "Every external system: how it is, and how much lies before it.",
    "pause": "Stop sending to a system; what is under way ends.",
    "resume": "Go on sending to a paused system, or to one whose circuit is open.",
    "reload": (
        "Apply connectord.toml, all of it or nothing. With ``plan`` it only says what that would do; ``to`` takes the "
        "text of an older version instead of the file."
    ),
    "retention": (
        "How long closed actions are kept, what that has removed, and what is due to go; with ``plan`` by what "
        "connectord.toml says now, as a reload would apply it."
    ),
    "status": "The daemon as a whole.",
    "doctor": (
        "Examine the daemon and all that it needs: what is wrong, and what to do. Each check takes at most "
        "``timeout_seconds``."
    ),
    "watch": "Follow every change that the filters let through: from now on, or everything after the number ``after``.",
    "shutdown": "Drain and stop the daemon; ``now`` does not wait for the attempts under way.",
}
