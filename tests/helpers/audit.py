"""Whether what lies in a database can be true, asked of the database alone.

What was acknowledged outside is compared by whoever knows it; this is what must hold whatever happened.
"""

from __future__ import annotations

import base64
import sqlite3
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from connectord.lifecycle.transitions import TABLE
from connectord.ulids import encode

LEGAL = {(row.state.value, row.to.value, row.event.__name__) for row in TABLE if row.history}
ANSWERED = {"closed", "todo", "in_progress"}


@dataclass(slots=True)
class Audit:
    """What was found. ``problems`` is empty where everything can be true."""

    problems: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    states: dict[str, str] = field(default_factory=dict)
    attempts: Counter[str] = field(default_factory=Counter)
    answered: set[str] = field(default_factory=set)
    """Actions that a response has decided."""
    late: set[str] = field(default_factory=set)
    """Actions that have a late response."""
    keys: dict[str, str] = field(default_factory=dict)
    """By key, the action."""

    def compare(
        self,
        *,
        acknowledged: Collection[str] = (),
        taken: Collection[str] = (),
        requests: Mapping[str, int] | None = None,
    ) -> list[str]:
        """What the outside knows, and the database does not.

        ``acknowledged`` are ids of submissions, ``taken`` ids of actions whose callback was answered with 200 or 202,
        ``requests`` how many attempts of an action the outside has seen.
        """
        lost = [f"lost: {action} was acknowledged" for action in acknowledged if action not in self.ids]
        lost += [
            f"callback of {action} was taken, but is not applied"
            for action in taken
            if action not in self.answered and action not in self.late
        ]
        lost += [
            f"{action} was attempted {count} times, and has {self.attempts[action]} attempts"
            for action, count in (requests or {}).items()
            if count > self.attempts[action]
        ]
        return lost


def audit(database: Path, limits: Mapping[str, Mapping[str, int]] | None = None) -> Audit:
    """Look through a database, as it is at one moment: a daemon may be at work on it.

    ``limits`` has the retry limits of the systems by the SHA-256 of the configuration's text.
    """
    found = Audit()
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("BEGIN")  # each question would see another moment otherwise
        problem = found.problems.append
        integrity = [row[0] for row in connection.execute("PRAGMA integrity_check")]
        if integrity != ["ok"]:
            problem(f"integrity_check: {integrity[:5]}")
            return found
        foreign = connection.execute("PRAGMA foreign_key_check").fetchall()
        if foreign:
            problem(f"foreign_key_check: {foreign[:5]}")
        _look_at_actions(connection, found)
        _look_at_attempts(connection, found)
        _look_at_history(connection, found, limits)
        _look_at_outbox(connection, found)
        found.late = {row[0] for row in connection.execute("SELECT DISTINCT action_id FROM late_responses")}
    return found


def _look_at_actions(connection: sqlite3.Connection, found: Audit) -> None:
    for action, key, state, count in connection.execute("SELECT id, key, state, attempts FROM actions"):
        found.ids.add(action)
        found.states[action] = state
        found.attempts[action] = count
        if key is not None:
            found.keys[key] = action


def _look_at_attempts(connection: sqlite3.Connection, found: Audit) -> None:
    numbers: dict[str, list[tuple[int, bool]]] = {}
    for action, number, ended in connection.execute(
        "SELECT action_id, number, ended_at FROM attempts ORDER BY action_id, number"
    ):
        numbers.setdefault(action, []).append((number, ended is not None))
    for action, count in found.attempts.items():
        rows = numbers.get(action, [])
        if [number for number, _ in rows] != list(range(1, count + 1)):
            found.problems.append(f"{action}: {count} attempts, but their numbers are {rows}")
        under_way = [number for number, ended in rows if not ended]
        expected = [count] if found.states[action] == "attempting" else []
        # a response may decide while the attempt is under way: what it brings is still recorded (rule 15)
        if under_way != expected and not (found.states[action] in ANSWERED and under_way == [count]):
            found.problems.append(f"{action}: {found.states[action]} with open attempts {under_way}")


def _look_at_history(
    connection: sqlite3.Connection, found: Audit, limits: Mapping[str, Mapping[str, int]] | None
) -> None:
    digests = dict(connection.execute("SELECT version, digest FROM config_versions"))
    state: str | None = None
    last: str | None = None
    begun: Counter[str] = Counter()
    ends: dict[str, str] = {}
    for action, system, before, after, event, version in connection.execute(
        "SELECT action_id, system, from_state, to_state, event, config_version FROM history "
        "JOIN actions ON actions.id = action_id ORDER BY action_id, seq"
    ):
        state = None if action != last else state
        last = action
        if before != state:
            found.problems.append(f"{action}: the history goes on from {before}, but it was {state}")
        if (before, after, event) not in LEGAL and (before, event) != (None, "Submitted"):
            found.problems.append(f"{action}: {event} from {before} to {after} is not legal")
        if event == "AttemptStarted" and after == "attempting":
            begun[action] += 1
            limit = None if limits is None else limits[digests[version]][system]
            if limit is not None and begun[action] > limit:
                found.problems.append(f"{action}: attempt {begun[action]} with a limit of {limit}")
        if event in ("SuccessReceived", "FailureReceived"):
            found.answered.add(action)
        ends[action] = state = after
    for action in found.ids:
        if ends.get(action) != found.states[action]:
            found.problems.append(f"{action}: it is {found.states[action]}, but its history ends {ends.get(action)}")
        if begun[action] != found.attempts[action]:
            found.problems.append(f"{action}: {found.attempts[action]} attempts, {begun[action]} in its history")


def _look_at_outbox(connection: sqlite3.Connection, found: Audit) -> None:
    for action, notices, exhausted in connection.execute(
        # rules 5, 6 and 9: closed unsuccessfully by the limit or by hand, but not by the deadline
        "SELECT id, (SELECT count(*) FROM outbox WHERE action_id = actions.id), (SELECT count(*) FROM history WHERE "
        "action_id = actions.id AND from_state <> 'closed' AND to_state = 'closed' AND event <> 'DeadlinePassed') "
        "* (resolution = 'not_done_successfully') FROM actions WHERE state = 'closed'"
    ):
        if notices != exhausted:
            found.problems.append(f"{action}: {notices} notifications instead of {exhausted}")
    early = connection.execute(
        "SELECT count(*) FROM outbox JOIN actions ON actions.id = action_id WHERE state <> 'closed'"
    ).fetchone()[0]
    if early:
        found.problems.append(f"{early} notifications about actions that are not closed")


def action_of(callback_url: str) -> str:
    """The action that a callback's address belongs to."""
    token = callback_url.rsplit("/", 1)[-1]
    return encode(int.from_bytes(base64.urlsafe_b64decode(token)[:16], "big"))
