"""What ``queues`` says, from the counts."""

from __future__ import annotations

from connectord.control import results as r
from connectord.control.queues import queues_view
from connectord.store.base import PeopleCount

T0 = 1_764_000_000_000
KNOWN = {"default": None, "seniors": "who know it all", "empty": None}


def test_every_known_queue_and_every_other_that_has_actions() -> None:
    view = queues_view([PeopleCount("gone", "ben", "in_progress", 3, T0)], KNOWN, T0)
    assert [(queue.name, queue.known, queue.description, queue.in_progress) for queue in view.queues] == [
        ("default", True, None, 0),
        ("seniors", True, "who know it all", 0),
        ("empty", True, None, 0),
        ("gone", False, None, 3),
    ]
    assert view.people == [r.Person(user="ben", todo=0, in_progress=3, oldest_at=None, oldest_seconds=None)]


def test_a_queue_counts_what_its_members_have_and_the_longest_of_those_that_wait() -> None:
    counts = [
        PeopleCount("seniors", None, "todo", 2, T0 - 5_000),
        PeopleCount("seniors", "anna", "todo", 1, T0 - 90_500),
        PeopleCount("seniors", "anna", "in_progress", 4, T0 - 900_000),
        PeopleCount("default", "anna", "todo", 1, None),
        PeopleCount(None, "maria", "todo", 1, T0),
    ]
    view = queues_view(counts, KNOWN, T0)
    default, seniors, _ = view.queues
    assert (seniors.todo, seniors.in_progress, seniors.oldest_seconds) == (3, 4, 90.5)
    assert seniors.oldest_at == "2025-11-24T15:58:29.500Z"
    assert (default.todo, default.oldest_at, default.oldest_seconds) == (1, None, None)
    assert [(person.user, person.todo, person.in_progress, person.oldest_seconds) for person in view.people] == [
        ("anna", 2, 4, 90.5),
        ("maria", 1, 0, 0.0),
    ]


def test_a_clock_that_went_back_makes_no_negative_wait() -> None:
    view = queues_view([PeopleCount("default", None, "todo", 1, T0 + 5_000)], KNOWN, T0)
    assert view.queues[0].oldest_seconds == 0
