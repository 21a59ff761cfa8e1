"""What people read when they ask why, word for word: the screens of docs/why.md are made here, and compared.

``python tests/lifecycle/test_explanation.py`` writes them anew.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from connectord.lifecycle.action import Action, Reason, Resolution, State
from connectord.lifecycle.circumstances import Decision, LaneState, LateResponses, Notification, Present, Story
from connectord.lifecycle.explanation import explain
from connectord.lifecycle.policy import AllocationRule, Assignee, CaseOwner, Group, Policy, RetryPolicy
from helpers.values import replace

PAGE = Path(__file__).parents[2] / "docs" / "why.md"
MARKER = "<!-- generated: tests/lifecycle/test_explanation.py -->"

NOW = int(datetime(2026, 11, 24, 12, 4, 11, tzinfo=UTC).timestamp() * 1000)
SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
LANE = LaneState("ok", 1, 16, 2 * MINUTE)
PRESENT = Present(NOW, 3, Policy(allocation=(AllocationRule(Assignee(queue="late-answers"), "timeout"),)), lane=LANE)

NEW = Action("01J", "billing", NOW - HOUR, due_at=NOW + 5 * MINUTE, scheduled_at=NOW + 5 * MINUTE)
SUBMITTED = Story(NEW, Decision(NOW - HOUR, "Submitted", "17", "submitted", "user:anna", None, 3))
DUE = replace(SUBMITTED, action=replace(NEW, due_at=NOW - SECOND, scheduled_at=NOW - SECOND))
BY_HAND = replace(
    DUE,
    action=replace(DUE.action, manual=True),
    newest=Decision(NOW - SECOND, "RetryRequested", "8", "retry now, asked for by hand", "uid:1001", None, 3),
)
RETRYING = Story(
    replace(
        NEW,
        case_id="C-1001",
        attempts=4,
        backoff_step=4,
        due_at=NOW + 4 * MINUTE,
        scheduled_at=NOW + 4 * MINUTE,
        limit_at_failure=5,
        error_at=NOW - MINUTE,
        error_message="connect timeout after 10 s",
    ),
    Decision(NOW - MINUTE, "ConnectionFailed", "7", "connection failed; tried again later", "system:billing", None, 2),
    owner="olga",
)
CONNECTING = Story(
    replace(NEW, state=State.ATTEMPTING, attempts=2, due_at=None, manual=True, limit_at_failure=5),
    Decision(NOW - 3 * SECOND, "AttemptStarted", "14", "attempt begins", "scheduler", None, 3),
    attempt_started_at=NOW - 3 * SECOND,
)
WAITING = Story(
    replace(
        NEW,
        state=State.WAITING,
        attempts=1,
        due_at=None,
        deadline=NOW + 3 * HOUR,
        progress_at=NOW - 5 * SECOND,
        progress_text="half way",
        progress_percent=50.0,
    ),
    Decision(
        NOW - HOUR, "TakenBySystem", "1", "taken by the system; its response is awaited", "system:billing", None, 3
    ),
)
REJECTED = Decision(NOW - 3 * HOUR, "FailureReceived", "3", "unsuccessful response", "callback", None, 2)
TODO = Story(
    replace(
        NEW,
        state=State.TODO,
        attempts=1,
        due_at=None,
        reason=Reason.UPDATED_BY_INTEGRATION,
        rejected_reason="Vendor unknown",
        queue="default",
        todo_at=REJECTED.at,
    ),
    REJECTED,
    handed_over=REJECTED,
)
TIMED_OUT = Decision(NOW - 2 * HOUR, "DeadlinePassed", "4", "no response within the time set", "scheduler", None, 3)
LATE_TODO = replace(
    TODO,
    action=replace(TODO.action, reason=Reason.TIMEOUT, rejected_reason=None, user="eva", todo_at=TIMED_OUT.at),
    newest=TIMED_OUT,
    handed_over=TIMED_OUT,
    late=LateResponses(1, NOW - MINUTE, "success"),
)
IN_PROGRESS = replace(
    TODO,
    action=replace(TODO.action, state=State.IN_PROGRESS, user="ben"),
    newest=Decision(NOW - 90 * SECOND, "Took", "5", "taken by a person: ben", "user:ben", None, 3),
)
CLOSED = replace(
    NEW, state=State.CLOSED, attempts=5, due_at=None, limit_at_failure=5, closed_at=NOW - MINUTE, case_id="C-1001"
)
EXHAUSTED = Story(
    replace(
        CLOSED,
        resolution=Resolution.NOT_DONE_SUCCESSFULLY,
        error_at=NOW - MINUTE,
        error_message="connection refused",
    ),
    Decision(NOW - MINUTE, "ConnectionFailed", "9", "the last try failed", "system:billing", None, 3),
    owner="olga",
    notification=Notification(NOW - MINUTE, "olga", NOW - 59 * SECOND),
)
LOWERED = replace(
    EXHAUSTED,
    newest=Decision(
        NOW - MINUTE,
        "LimitChanged",
        "10c,9",
        "the retry limit was lowered to what was tried already",
        "signal",
        None,
        3,
    ),
    action=replace(EXHAUSTED.action, attempts=4, limit_at_failure=10, error_at=NOW - HOUR),
    notification=Notification(NOW - MINUTE, "olga", None, NOW + 5 * SECOND, 1, "ConnectError: refused"),
    reruns=("01L", "01K"),
)
NO_RESPONSE = Story(
    replace(CLOSED, attempts=1, case_id=None, resolution=Resolution.NOT_DONE_SUCCESSFULLY, reason=Reason.TIMEOUT),
    Decision(NOW - MINUTE, "DeadlinePassed", "20", "no response returned", "scheduler", None, 3),
)
BY_PERSON = replace(
    TODO,
    action=replace(
        TODO.action, state=State.CLOSED, resolution=Resolution.NOT_DONE_SUCCESSFULLY, closed_at=NOW - MINUTE
    ),
    newest=Decision(NOW - MINUTE, "Completed", "5", "closed by hand", "user:ben", "vendor is gone", 3),
    notification=Notification(NOW - MINUTE, None, NOW - MINUTE),
)
SUCCEEDED = Story(
    replace(CLOSED, attempts=1, limit_at_failure=None, resolution=Resolution.DONE_SUCCESSFULLY),
    Decision(NOW - MINUTE, "SuccessReceived", "2", "successful response", "callback", None, 3),
    late=LateResponses(2, NOW - 30 * SECOND, "failure"),
    rerun_of="01H",
)

LIMIT_7 = replace(PRESENT, policy=Policy(RetryPolicy(limit=7)))
LIMIT_4 = replace(PRESENT, policy=Policy(RetryPolicy(limit=4)))
EXTENDS = replace(PRESENT, policy=replace(PRESENT.policy, heartbeat_extends=True))
CLOSES = replace(PRESENT, policy=Policy(on_timeout="close"))
UNDER_10 = replace(RETRYING, action=replace(RETRYING.action, limit_at_failure=10))


def lane(**changes: object) -> Present:
    return replace(PRESENT, lane=replace(LANE, **changes))


SITUATIONS: dict[str, tuple[Story, Present]] = {
    "Pending: to be tried in five minutes": (SUBMITTED, PRESENT),
    "Pending: due, and nothing in its way": (DUE, PRESENT),
    "Pending: due, but every place of the system is taken": (DUE, lane(in_flight=16)),
    "Pending: due, but the rate is used up": (BY_HAND, lane(rate=(50, SECOND), rate_used_up=True)),
    "Pending: due, but the circuit is open": (
        DUE,
        lane(health="failing", last_error="connection refused", circuit="open", next_trial_at=NOW + 13 * SECOND),
    ),
    "Pending: due, while trials show whether the system is back": (DUE, lane(circuit="half_open", places_allowed=1)),
    "Pending: due, while the system comes back from an outage": (DUE, lane(in_flight=4, places_allowed=4)),
    "Pending: due, but the adapter has a fault": (DUE, lane(health="fault", last_error="KeyError: 'url'")),
    "Pending: due, but the daemon is stopping": (DUE, replace(PRESENT, stopping=True)),
    "Retrying: the last of five tries comes next": (RETRYING, PRESENT),
    "Retrying: the limit was lowered meanwhile": (UNDER_10, LIMIT_7),
    "Retrying: the system is paused": (RETRYING, replace(PRESENT, paused_by="user:ben")),
    "Retrying: the system was removed": (RETRYING, replace(PRESENT, configured=False, lane=None)),
    "Connecting: a try that was asked for by hand": (CONNECTING, PRESENT),
    "Connecting: the system was removed meanwhile": (CONNECTING, replace(PRESENT, configured=False, lane=None)),
    "Waiting: a heartbeat came": (WAITING, EXTENDS),
    "Waiting: the deadline will close it": (WAITING, CLOSES),
    "To Do: the system could not do it": (TODO, PRESENT),
    "To Do: no response in time, and one too late": (LATE_TODO, PRESENT),
    "In Progress": (IN_PROGRESS, PRESENT),
    "Closed: the last try failed, and the limit was raised since": (EXHAUSTED, LIMIT_7),
    "Closed: the limit was lowered, and the owner cannot be reached": (LOWERED, LIMIT_4),
    "Closed: no response returned": (NO_RESPONSE, PRESENT),
    "Closed: by hand, unsuccessfully": (BY_PERSON, PRESENT),
    "Closed: done, and answered again later": (SUCCEEDED, PRESENT),
}


def screens() -> dict[str, str]:
    return {title: explain(story, present).text for title, (story, present) in SITUATIONS.items()}


def test_the_page_has_every_screen_word_for_word() -> None:
    page = PAGE.read_text(encoding="utf-8").partition(MARKER)[2]
    assert dict(re.findall(r"### (.+?)\n\n```text\n(.*?)\n```", page, re.S)) == screens()


@pytest.mark.parametrize(("ahead_ms", "when"), [(-1, "at once"), (MINUTE, "at 2026-11-24 12:05:11 UTC (in 60 s)")])
def test_rule_13_a_try_by_hand_leaves_the_schedule(ahead_ms: int, when: str) -> None:
    story = replace(CONNECTING, action=replace(CONNECTING.action, scheduled_at=NOW + ahead_ms))
    sentence = f"If that cannot connect it is tried again {when}, 5 times in all at most (rule 7)."
    assert sentence in explain(story, PRESENT).next


def test_rule_10b_a_raised_limit_lets_it_go_on() -> None:
    told = explain(RETRYING, LIMIT_7)
    assert told.next[0].startswith("Try 5 of 7 begins by itself")
    assert "7 times in all at most (rule 7)" in told.next[1]


def test_a_paused_system_tries_again_once_it_is_resumed() -> None:
    told = explain(CONNECTING, replace(PRESENT, paused_by="user:ben"))
    assert (
        "If that cannot connect it is tried again once billing is resumed, 5 times in all at most (rule 7)."
        in told.next
    )
    assert [remedy.command for remedy in told.can_do] == ["connectorctl resume billing"]


def test_a_deadline_that_is_over_acts_at_any_moment() -> None:
    late = replace(PRESENT, now=NOW + 3 * HOUR)
    assert "The time for it is over: at any moment it becomes To Do for the queue late-answers (rule 4)" in " ".join(
        explain(WAITING, late).next
    )


def test_rule_14_a_try_that_a_stopping_daemon_breaks_off() -> None:
    assert "(rule 14)" in explain(CONNECTING, replace(PRESENT, stopping=True)).next[-1]


def test_nobody_is_notified_where_no_owner_is_named() -> None:
    last = replace(CONNECTING, action=replace(CONNECTING.action, attempts=5))
    last_one = "If that cannot connect it was the last one: closed unsuccessfully"
    assert f"{last_one}, and no owner is named to be notified (rule 9)." in explain(last, PRESENT).next


def test_a_change_from_before_versions_were_kept_names_none() -> None:
    before = replace(TODO, newest=replace(TODO.newest, config_version=None))
    assert TODO.handed_over is not None
    before = replace(before, handed_over=replace(TODO.handed_over, config_version=None))
    assert "version" not in explain(before, PRESENT).text
    assert "version" in explain(TODO, PRESENT).text


def test_rule_21_a_heartbeat_that_says_nothing_was_one() -> None:
    silent = replace(
        WAITING, action=replace(WAITING.action, progress_at=NOW, progress_text=None, progress_percent=None)
    )
    assert any(
        line.startswith("The last heartbeat came at ") and line.endswith(" (rule 21).")
        for line in (explain(silent, PRESENT).known)
    )
    worded = replace(silent, action=replace(silent.action, progress_text="half done"))
    assert any("half done" in line and "%" not in line for line in explain(worded, PRESENT).known)


def test_rule_09_a_notification_that_cannot_be_delivered_says_what_to_do() -> None:
    untold = Notification(NOW, "olga", tries=2, last_error="no such mailbox")
    known = explain(replace(EXHAUSTED, notification=untold), PRESENT).known
    assert any("could not be told to the case owner olga" in line and "no such mailbox" in line for line in known)
    assert any("it is not tried again by itself: connectorctl notifications --retry does." in line for line in known)


def test_rule_14_what_is_to_be_asked_for_is_asked_once_the_system_is_resumed() -> None:
    asked = replace(RETRYING, action=replace(RETRYING.action, probe=True))
    probing = replace(PRESENT, policy=replace(PRESENT.policy, probe=True))
    assert explain(asked, probing).next[0].startswith("It is asked at ")
    due = replace(asked, action=replace(asked.action, due_at=NOW - SECOND))
    away = replace(probing, lane=replace(LANE, circuit="open", next_trial_at=NOW + 13 * SECOND))
    assert explain(due, probing).next[0] == "It is asked at any moment."
    assert explain(due, away).next[0].startswith("It is asked after that: it waits for ")
    paused = explain(asked, replace(probing, paused_by="user:ben"))
    assert paused.next[0] == "It is asked once billing is resumed, which the user ben has paused."


def test_a_waiting_action_of_a_polled_system_says_when_it_is_asked() -> None:
    polled = replace(WAITING, action=replace(WAITING.action, next_poll_at=NOW + MINUTE))
    assert explain(polled, PRESENT).next[0].startswith("billing is asked for it at ")
    assert "is asked for it" not in explain(polled, replace(PRESENT, configured=False)).text


def test_rule_04_whose_turn_it_is_and_what_only_the_deadline_decides() -> None:
    seniors = Policy(allocation=(AllocationRule(Group("seniors", ("anna", "ben"))),))
    told = " ".join(explain(WAITING, replace(PRESENT, policy=seniors)).next)
    assert "it becomes To Do for whoever's turn it is in the group seniors (rule 4)" in told
    owned = Policy(allocation=(AllocationRule(CaseOwner()),))
    told = " ".join(explain(WAITING, replace(PRESENT, policy=owned)).next)
    assert "it becomes To Do for whom the allocation rules name then (rule 4)" in told


def test_the_example_for_operators_is_one_of_them() -> None:
    section = (PAGE.parent / "operations" / "command-line.md").read_text(encoding="utf-8").partition("## Asking why")[2]
    example = re.search(r"```text\n(.*?)\n```", section, re.S)
    assert example is not None
    assert example[1] in screens().values()


@pytest.mark.parametrize("title", SITUATIONS)
def test_the_text_has_every_part_once(title: str) -> None:
    told = explain(*SITUATIONS[title])
    commands = [remedy.command for remedy in told.can_do]
    for part in (told.waits_for, *told.next, *told.known, *commands):
        assert told.text.count(f"  {part}\n") + told.text.endswith(f"  {part}") == 1, part


if __name__ == "__main__":
    before = PAGE.read_text(encoding="utf-8").partition(MARKER)[0]
    blocks = "".join(f"\n### {title}\n\n```text\n{text}\n```\n" for title, text in screens().items())
    PAGE.write_text(f"{before}{MARKER}\n{blocks}", encoding="utf-8")
