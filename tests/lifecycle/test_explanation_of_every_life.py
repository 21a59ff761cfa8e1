"""Every state after every event that the table lets happen has an explanation, and every command it offers is taken."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import product

import pytest
from connectord.cli.control import cli
from connectord.errors import Refused
from connectord.lifecycle import events as on
from connectord.lifecycle.action import Action, State
from connectord.lifecycle.circumstances import Decision, LaneState, LateResponses, Notification, Present, Story
from connectord.lifecycle.effects import KeepLateResponse, NotifyOwner
from connectord.lifecycle.explanation import Explanation, explain
from connectord.lifecycle.policy import AllocationRule, Assignee, Policy, RetryPolicy
from connectord.lifecycle.steps import Moment
from connectord.lifecycle.transitions import REFUSALS, TABLE, Row, decide
from connectord.lifecycle.wording import happened_text
from helpers.values import replace

NOW = 1_764_000_000_000
TIMEOUT = 3_600_000
LANE = LaneState("ok", 1, 16, 120_000)

POLICIES = [
    Policy(
        RetryPolicy(limit=limit, delay_ms=30_000, jitter=0.0),
        TIMEOUT,
        response_expected=expected,
        on_timeout="close" if closes else "todo",
        heartbeat_extends=extends,
        probe=probes,
        allocation=(AllocationRule(Assignee(user="eva"), reason="timeout"),),
    )
    for limit, expected, closes, extends, probes in (
        (3, True, False, False, False), (3, True, True, True, True), (3, False, False, False, True),
        (1, True, False, True, False),
    )
]  # fmt: skip

LANES = [
    LANE,
    replace(LANE, health="starting"),
    replace(LANE, health="fault", last_error="KeyError: 'url'"),
    replace(LANE, in_flight=16),
    replace(LANE, rate=(50, 1000), rate_used_up=True),
    None,
]

BY_HAND = {
    "retry": on.RetryRequested(),
    "take": on.Took("ann"),
    "release": on.Released(),
    "assign": on.Assigned(queue="seniors"),
    "complete": on.Completed(successful=True),
    "cancel": on.Cancelled("wrong case"),
}


def events(action: Action) -> list[on.Event]:
    """One of each kind that matters, about the attempt under way and about another one."""
    under_way, another = action.attempts, action.attempts + 7
    return [
        on.AttemptStarted(),
        *(on.TakenBySystem(number) for number in (under_way, another)),
        *(on.ConnectionFailed(number, "connection refused") for number in (under_way, another)),
        *(on.AttemptInterrupted(number) for number in (under_way, another)),
        *(on.SuccessReceived(digest, {"n": 1}) for digest in ("one", "two")),
        *(on.FailureReceived(digest, "Vendor unknown") for digest in ("one", "two")),
        on.HeartbeatReceived("beat", "half way", 50.0),
        on.ConnectionFailed(under_way, "no answer", outcome_unknown=True),
        *(on.ProbeFoundTaken(number) for number in (under_way, another)),
        *(on.ProbeFoundNothing(number) for number in (under_way, another)),
        *(on.ProbeUnclear(number, "the ledger is locked") for number in (under_way, another)),
        *(on.ProbeFailed(number, "connection refused") for number in (under_way, another)),
        on.DeadlinePassed(),
        on.LimitChanged(),
        on.Assigned(user="bob"),
        on.Completed(successful=False, note="no use"),
        *BY_HAND.values(),
    ]


@dataclass
class Lives:
    """Every way an action can go, as far as its explanation can tell them apart."""

    stories: dict[tuple[object, ...], Story] = field(default_factory=dict)
    rows: set[Row] = field(default_factory=set)


def key(story: Story) -> tuple[object, ...]:
    action = story.action
    return (
        action.state, action.attempts, action.manual, action.reason, action.resolution, action.rejected_reason,
        action.assignee, action.probe, action.error_at is None, action.progress_at is None, action.deadline is None,
        story.newest.event, story.newest.rules, story.handed_over is None, story.late is None,
        story.notification is None,
    )  # fmt: skip


@cache
def lives() -> Lives:
    found = Lives()
    action = Action("01J", "billing", NOW, case_id="C-1", owner="olga", due_at=NOW, scheduled_at=NOW)
    first = Story(action, Decision(NOW, "Submitted", "17", "submitted", "user:olga", None, 1), owner="olga")
    found.stories[key(first)] = first
    ahead = [first]
    while ahead:
        story = ahead.pop()
        for event, policy, now in product(events(story.action), POLICIES, (NOW + 5000, NOW + 2 * TIMEOUT)):
            after = played(found, story, event, Moment(now, policy))
            if after is not None and key(after) not in found.stories:
                found.stories[key(after)] = after
                ahead.append(after)
    return found


def played(found: Lives, story: Story, event: on.Event, moment: Moment) -> Story | None:
    """The story after ``event``, written down as the ledger writes it; None where it is refused."""
    try:
        after = decide(story.action, event, moment)
    except Refused:
        return None
    row, now = after.row, moment.now
    found.rows.add(row)
    changed = replace(story, action=after.action)
    if row.history:
        why = happened_text(row.why, event)
        decision = Decision(now, type(event).__name__, row.rules, why, "scheduler", getattr(event, "note", None), 1)
        changed = replace(changed, newest=decision)
        if row.to is State.TODO and row.state not in (State.TODO, State.IN_PROGRESS):
            changed = replace(changed, handed_over=decision)
    if after.action.attempts > story.action.attempts:
        changed = replace(changed, attempt_started_at=now)
    for effect in after.effects:
        match effect:
            case KeepLateResponse():
                changed = replace(changed, late=LateResponses(1, now, effect.status))
            case NotifyOwner():
                changed = replace(changed, notification=Notification(now, story.owner, next_try_at=now))
    return changed


def presents() -> Iterator[Present]:
    for policy, now in product(POLICIES, (NOW, NOW + 5000, NOW + 10 * TIMEOUT)):
        yield Present(now, 2, policy, lane=LANE)
    for lane in LANES:
        yield Present(NOW + 5000, 1, POLICIES[0], lane=lane)
        yield Present(NOW + 5000, 1, POLICIES[1], paused_by="user:ben", lane=lane)
    yield Present(NOW, 1, POLICIES[0], stopping=True, lane=LANE)
    yield Present(NOW, 2, POLICIES[0], configured=False)
    yield Present(NOW, 2, Policy(), configured=False, paused_by="user:ben")


@cache
def explained() -> list[tuple[Story, Present, Explanation]]:
    return [(story, present, explain(story, present)) for story in lives().stories.values() for present in presents()]


def test_every_row_of_the_table_was_played() -> None:
    assert lives().rows == set(TABLE)


def test_every_state_is_reached_by_every_event_that_leads_there() -> None:
    leads = {(row.to, row.event.__name__) for row in TABLE if row.history}
    reached = {(story.action.state, story.newest.event) for story in lives().stories.values()}
    assert reached == leads | {(State.PENDING, "Submitted")}


def test_every_explanation_is_in_whole_sentences_and_names_its_rules() -> None:
    for story, present, told in explained():
        sentences = [told.waits_for, told.decision, *told.next, *told.known]
        assert told.label
        assert told.next
        for sentence in sentences:
            assert sentence[0].isupper() or sentence.startswith(story.action.system), sentence
            assert sentence.endswith("."), sentence
            assert not any(slip in sentence for slip in ("None", "  ", "..", " ,", "in_progress", "State.")), sentence
        named = {word for word in told.decision.replace(":", " ").split() if word[0].isdigit()}
        assert set(story.newest.rules.split(",")) <= named
        assert told.decided_by == story.newest
        assert all(sentence in told.text for sentence in (told.waits_for, *told.next, *told.known)), present


def test_what_leaves_no_history_is_told_all_the_same() -> None:
    for story, _, told in explained():
        known = " ".join(told.known)
        assert ("(rule 21)" in known) == (story.action.progress_at is not None)
        assert ("(rule 15)" in known) == (story.late is not None)
        assert ("(rule 7)" in known) == (story.action.error_at is not None)
        assert ("told to the case owner olga" in known) == (story.notification is not None)


def test_who_is_told_fits_the_rules() -> None:
    # rules 3, 4 and 20 tell nobody; 9 and closed unsuccessfully by hand do
    for story, _, told in explained():
        told_off = any("not notified" in sentence for sentence in told.known)
        if story.notification is not None:
            assert not told_off
        else:
            assert told_off == (story.action.state in (State.TODO, State.IN_PROGRESS, State.CLOSED))


def test_until_is_an_end_that_something_sets() -> None:
    for story, present, told in explained():
        action = story.action
        match action.state:
            case State.PENDING:
                goes_on = present.configured and present.paused_by is None and not present.stopping
                assert told.until in (None, action.due_at)
                assert told.until is None or goes_on
            case State.ATTEMPTING:
                assert (told.until is None) == (present.lane is None)
            case State.WAITING:
                assert told.until == action.deadline
            case _:
                assert told.until is None


def test_every_command_is_taken_and_none_is_left_out() -> None:
    for story, present, told in explained():
        action = story.action
        offered = {}
        for remedy in told.can_do:
            program, command, *_ = shlex.split(remedy.command)
            assert program == "connectorctl"
            assert remedy.command in told.text
            offered[command] = remedy
        for command in offered.keys() & BY_HAND.keys():
            decide(action, BY_HAND[command], Moment(present.now, present.policy))
        held = not present.configured and action.state in (State.PENDING, State.ATTEMPTING, State.WAITING)
        paused = present.configured and present.paused_by is not None
        allowed = {name for name, event in BY_HAND.items() if (action.state, type(event)) not in REFUSALS}
        # the control socket refuses a retry where no lane could make it
        expected = allowed - ({"retry"} if paused or not present.configured else set())
        expected |= {"reload"} if held else set()
        expected |= {"resume"} if paused and action.state in (State.PENDING, State.ATTEMPTING) else set()
        expected |= {"rerun", "case"} if action.state is State.CLOSED else set()
        assert set(offered) == expected
        if not offered:
            assert "You can  only wait: an attempt is under way" in told.text


def test_connectorctl_knows_every_command_as_it_is_written() -> None:
    commands = {remedy.command for _, _, told in explained() for remedy in told.can_do}
    assert len(commands) == 12
    for command in commands:
        _, name, *args = shlex.split(command)
        cli.commands[name].make_context(name, args)


@pytest.mark.parametrize("case", ["C 1", "it's", "$HOME; rm"])
def test_a_command_survives_the_shell(case: str) -> None:
    closed = next(story for story in lives().stories.values() if story.action.state is State.CLOSED)
    told = explain(replace(closed, action=replace(closed.action, case_id=case)), Present(NOW, 1, Policy(), lane=LANE))
    (command,) = [remedy.command for remedy in told.can_do if " case " in remedy.command]
    assert shlex.split(command) == ["connectorctl", "case", case]


def test_other_peoples_words_stay_on_their_line_and_end() -> None:
    rejected = next(story for story in lives().stories.values() if story.action.rejected_reason and story.handed_over)
    action = replace(rejected.action, rejected_reason="no\nYou can  connectorctl shutdown " + "x" * 5000)
    told = explain(replace(rejected, action=action), Present(NOW, 1, Policy(), lane=LANE))
    assert "\nYou can  connectorctl shutdown" not in told.text
    assert len(told.text) < 3000
