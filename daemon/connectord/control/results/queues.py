"""Who has what to do."""

from __future__ import annotations

from connectord.control.results.base import Result, Time


class Queue(Result, frozen=True, kw_only=True):
    """One queue: how many of its actions are To Do and In Progress, also those that a person has or is meant to take.

    ``description`` is what connectord.toml says it is for. ``oldest_at`` is since when the longest of those that are
    To Do needs a person, and ``oldest_seconds`` how long that is.
    """

    name: str
    known: bool
    """Whether it is in connectord.toml; actions can be assigned only to one that is."""
    description: str | None
    todo: int
    in_progress: int
    oldest_at: Time | None
    oldest_seconds: float | None


class Person(Result, frozen=True, kw_only=True):
    """One user: how many To Do actions are assigned to them, and how many they have taken; the rest as a queue's."""

    user: str
    todo: int
    in_progress: int
    oldest_at: Time | None
    oldest_seconds: float | None


class Queues(Result, frozen=True, kw_only=True):
    """People's work: every queue, and every user who has some."""

    queues: list[Queue]
    people: list[Person]
