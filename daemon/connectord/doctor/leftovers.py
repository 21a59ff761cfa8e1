"""What was left lying: held actions, owners who were not told, work that is due for too long, forgotten pauses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from connectord.control import results as r
from connectord.control.verdict import LONG_DUE_MS
from connectord.doctor.findings import error, fine, warning
from connectord.store.base import Glance
from connectord.times import parse_rfc3339

CHECK = "leftovers"
LONG_UNDELIVERED_MS = 60 * 60_000
LONG_TODO_MS = 7 * 86_400_000


def check_backlog(systems: Sequence[r.System], glance: Glance, now: int) -> Iterator[r.Finding]:
    """The actions that stand still without anybody meaning it. ``now`` is milliseconds since the epoch."""
    calm = True
    for system in systems:
        live = system.pending + system.waiting + system.todo + system.in_progress
        late = now - glance.due.get(system.name, now)
        if system.state == "held":
            words = f"{live} actions are held: the system is not configured any more"
            advice = f"bring [systems.{system.name}] back, or cancel them: connectorctl list --system {system.name}"
            yield warning(CHECK, words, advice, system.name)
        elif system.state == "paused":
            words = f"paused by a person, with {live} actions before it"
            yield warning(CHECK, words, f"connectorctl resume {system.name}", system.name)
        elif late > LONG_DUE_MS:
            words = f"an action is due for {late // 60_000} min, and was not attempted"
            yield warning(CHECK, words, "raise concurrency or rate, if the system bears it", system.name)
        else:
            continue
        calm = False
    if calm:
        yield fine(CHECK, "nothing is held, paused, or due for long")
    todo = glance.oldest.get("todo")
    if todo is not None and now - todo > LONG_TODO_MS:
        words = f"an action that was submitted {(now - todo) // 86_400_000} days ago is still To Do"
        yield warning(CHECK, words, "connectorctl queues shows whose it is")


def check_owners(backlog: r.NotificationBacklog, now: int) -> Iterator[r.Finding]:
    """The notifications that case owners did not get."""
    channel, since = backlog.channel, backlog.since
    waits = 0 if since is None else now - parse_rfc3339(since, "since")
    count = f"{backlog.undelivered} notifications"
    advice = "connectorctl notifications says why; mend [notify], then connectorctl notifications --retry"
    if channel.state == "down":
        words = f"case owners cannot be reached by {channel.via} ({channel.last_error}); {count} wait"
        yield (error if waits > LONG_UNDELIVERED_MS else warning)(CHECK, words, advice, "owners")
    elif waits > LONG_UNDELIVERED_MS:
        yield warning(CHECK, f"{count} are not delivered, the oldest since {since}", advice, "owners")
    else:
        yield fine(CHECK, f"case owners are told by {channel.via}; {backlog.undelivered} notifications wait", "owners")
