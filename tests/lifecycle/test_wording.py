"""What people read, word for word."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from connectord.lifecycle.action import Action, Reason, Resolution, State, replace
from connectord.lifecycle.effects import Notice
from connectord.lifecycle.policy import Assignee
from connectord.lifecycle.wording import (
    assignee_text,
    closed_label,
    connection_error_text,
    format_distance,
    format_duration,
    format_moment,
    format_time,
    is_highlighted,
    notice_text,
    one_line,
    owner_text,
    quoted,
    reason_label,
    resolution_label,
    rules_text,
    state_label,
    who_text,
)

FAILED_AT = int(datetime(2026, 11, 24, 12, 3, 11, tzinfo=UTC).timestamp() * 1000) + 120
DUE_AT = FAILED_AT + 300_000
FAILED = "Connection failed at 2026-11-24 12:03:11 (connect timeout after 10 s)."

RETRYING = Action(
    "01J",
    "billing",
    0,
    attempts=4,
    due_at=DUE_AT,
    scheduled_at=DUE_AT,
    limit_at_failure=5,
    error_at=FAILED_AT,
    error_message="connect timeout after 10 s",
)
CONNECTING = replace(RETRYING, state=State.ATTEMPTING, attempts=5, due_at=None)
EXHAUSTED = replace(
    RETRYING,
    state=State.CLOSED,
    attempts=5,
    due_at=None,
    scheduled_at=None,
    resolution=Resolution.NOT_DONE_SUCCESSFULLY,
    closed_at=FAILED_AT,
)


@pytest.mark.parametrize(
    ("state", "label"),
    [
        (State.PENDING, "Pending"),
        (State.ATTEMPTING, "Connecting"),
        (State.WAITING, "Waiting"),
        (State.TODO, "To Do"),
        (State.IN_PROGRESS, "In Progress"),
        (State.CLOSED, "Closed"),
    ],
)
def test_state_labels(state: State, label: str) -> None:
    assert state_label(Action("01J", "billing", 0, state=state)) == label


def test_a_pending_action_is_retrying_only_after_a_failed_attempt() -> None:
    assert state_label(RETRYING) == "Retrying"
    assert state_label(CONNECTING) == "Connecting"
    assert state_label(EXHAUSTED) == "Closed"


def test_reason_and_resolution_labels() -> None:
    assert reason_label(Reason.UPDATED_BY_INTEGRATION) == "Updated by Integration"
    assert reason_label(Reason.TIMEOUT) == "Timeout"
    assert reason_label(None) is None
    assert resolution_label(Resolution.DONE_SUCCESSFULLY) == "Done Successfully"
    assert resolution_label(Resolution.NOT_DONE_SUCCESSFULLY) == "Not Done Successfully"
    assert resolution_label(None) is None


def test_closed_label() -> None:
    assert closed_label(EXHAUSTED) == "Closed - Not Done Successfully"
    successful = replace(EXHAUSTED, resolution=Resolution.DONE_SUCCESSFULLY)
    assert closed_label(successful) == "Closed - Done Successfully"
    assert closed_label(RETRYING) is None


@pytest.mark.parametrize(
    ("at_ms", "text"),
    [
        (0, "1970-01-01 00:00:00"),
        (999, "1970-01-01 00:00:00"),
        (FAILED_AT, "2026-11-24 12:03:11"),
        (FAILED_AT + 879, "2026-11-24 12:03:11"),
        (FAILED_AT + 880, "2026-11-24 12:03:12"),
    ],
)
def test_times_are_utc_and_cut_to_the_second(at_ms: int, text: str) -> None:
    assert format_time(at_ms) == text


def test_retrying() -> None:
    assert connection_error_text(RETRYING, 5) == (
        f"{FAILED} Tried 4 of 5 times.\nNext automatic try at 2026-11-24 12:08:11. Retry now: connectorctl retry 01J"
    )


def test_the_plural_stays() -> None:
    text = connection_error_text(replace(RETRYING, attempts=1), 5)
    assert text is not None
    assert "Tried 1 of 5 times." in text


def test_closed() -> None:
    assert connection_error_text(EXHAUSTED, 5) == (
        f"{FAILED} Tried 5 of 5 times. No further tries: closed unsuccessfully."
    )


@pytest.mark.parametrize(("attempts", "limit", "tried"), [(5, 7, "5 of 7"), (4, 10, "4 of 10")])
def test_closed_with_another_limit_shown(attempts: int, limit: int, tried: str) -> None:
    assert connection_error_text(replace(EXHAUSTED, attempts=attempts), limit) == (
        f"{FAILED} Tried {tried} times. No further tries: closed unsuccessfully."
    )


def test_a_manual_retry_that_is_due() -> None:
    assert connection_error_text(replace(RETRYING, manual=True), 5) == (
        f"{FAILED} Tried 4 of 5 times.\nNext try: now, asked for by hand."
    )


@pytest.mark.parametrize("manual", [False, True])
def test_an_attempt_under_way_is_not_yet_a_try_that_was(manual: bool) -> None:
    assert connection_error_text(replace(CONNECTING, manual=manual), 5) == (
        f"{FAILED} Tried 4 of 5 times.\nTry 5 of 5 is under way."
    )


def test_without_a_limit_to_show() -> None:
    assert connection_error_text(RETRYING, None) == (
        f"{FAILED} Tried 4 times.\nNext automatic try at 2026-11-24 12:08:11. Retry now: connectorctl retry 01J"
    )
    assert connection_error_text(CONNECTING, None) == f"{FAILED} Tried 4 times.\nTry 5 is under way."
    assert connection_error_text(EXHAUSTED, None) == (
        f"{FAILED} Tried 5 times. No further tries: closed unsuccessfully."
    )


@pytest.mark.parametrize("state", list(State))
def test_no_error_no_text(state: State) -> None:
    assert connection_error_text(Action("01J", "billing", 0, state=state, attempts=1), 5) is None


def test_what_a_case_owner_is_told() -> None:
    told = notice_text(replace(EXHAUSTED, case_id="C-1001"), Notice.ATTEMPTS_EXHAUSTED, 5)
    assert told == (
        "Action 01J of case C-1001 in billing: Closed - Not Done Successfully\n"
        f"{FAILED} Tried 5 of 5 times. No further tries: closed unsuccessfully."
    )
    by_hand = notice_text(EXHAUSTED, Notice.CLOSED_BY_HAND, 5)
    assert by_hand == "Action 01J in billing: Closed - Not Done Successfully\nIt was closed unsuccessfully by hand."


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "now"),
        (999, "now"),
        (-999, "now"),
        (1000, "in 1 s"),
        (-119_999, "119 s ago"),
        (120_000, "in 2 min"),
        (239_000, "in 3 min"),
        (-7_199_000, "119 min ago"),
        (-3 * 3_600_000, "3 h ago"),
        (47 * 3_600_000, "in 47 h"),
        (48 * 3_600_000, "in 2 d"),
        (-400 * 86_400_000, "400 d ago"),
    ],
)
def test_how_long_something_is_from_now(ms: int, text: str) -> None:
    assert format_distance(FAILED_AT + ms, FAILED_AT) == text


def test_a_moment_is_a_time_and_its_distance() -> None:
    assert format_moment(FAILED_AT, FAILED_AT + 3 * 3_600_000) == "2026-11-24 12:03:11 UTC (3 h ago)"


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 ms"), (250, "250 ms"), (1500, "1500 ms"), (10_000, "10 s"), (90_000, "90 s"), (120_000, "2 min"),
        (14_400_000, "4 h"), (5_400_000, "90 min"), (86_400_000, "1 d"),
    ],
)  # fmt: skip
def test_durations_leave_no_rest(ms: int, text: str) -> None:
    assert format_duration(ms) == text


def test_rules_and_people_by_name() -> None:
    assert rules_text("7") == "rule 7"
    assert rules_text("10c,9") == "rules 10c and 9"
    assert owner_text(None) == "the case owner"
    assert owner_text("olga") == "the case owner olga"
    assert assignee_text(Assignee(queue="late")) == "the queue late"
    assert assignee_text(Assignee(user="eva")) == "the user eva"


@pytest.mark.parametrize(
    ("who", "text"),
    [
        ("user:anna", "the user anna"),
        ("uid:1001", "the user with the uid 1001"),
        ("system:billing", "the system billing"),
        ("scheduler", "the scheduler"),
        ("callback", "a callback"),
        ("recovery", "the recovery at the start"),
        ("start", "the start of the daemon"),
        ("signal", "a signal to reload"),
        ("user:", "user:"),
        ("somebody", "somebody"),
    ],
)
def test_who_decided(who: str, text: str) -> None:
    assert who_text(who) == text


def test_somebody_elses_words_stay_on_one_line() -> None:
    assert one_line("no\n\tsuch  vendor ") == "no such vendor"
    assert quoted("no such\nvendor") == '"no such vendor"'
    assert one_line("x" * 301) == "x" * 300 + "..."
    assert one_line("x" * 300) == "x" * 300


def test_rule_9_only_what_was_closed_unsuccessfully_stands_out() -> None:
    assert is_highlighted(EXHAUSTED)
    assert not is_highlighted(replace(EXHAUSTED, resolution=Resolution.DONE_SUCCESSFULLY))
    assert not is_highlighted(RETRYING)


def test_rule_07_what_is_not_tried_any_more_names_no_next_try() -> None:
    assert connection_error_text(replace(RETRYING, state=State.TODO, due_at=None), 5) == f"{FAILED} Tried 4 of 5 times."
