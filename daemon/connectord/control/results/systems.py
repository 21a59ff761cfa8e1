"""Systems and their lanes."""

from __future__ import annotations

from typing import Literal

from connectord.control.results.base import Result, Time


class Circuit(Result, frozen=True, kw_only=True):
    """Whether attempts go to a system: ``open`` while it is taken to be away, ``half_open`` while a few are tried.

    ``next_trial_at`` is when those begin; null where it is not open. A retry by hand goes out all the same.
    """

    state: Literal["closed", "open", "half_open"]
    next_trial_at: Time | None


class System(Result, frozen=True, kw_only=True):
    """One external system: its adapter, how it is, and how much lies before it."""

    name: str
    adapter: str | None
    state: Literal["running", "paused", "held"]
    health: str
    last_error: str | None
    pending: int
    waiting: int
    todo: int
    in_progress: int
    in_flight: int
    concurrency: int | None
    retry_limit: int | None
    paused: bool
    places_allowed: int | None = None
    """how many attempts may be under way now: 0 while the circuit is open, then more and more up to ``concurrency``"""
    circuit: Circuit | None = None
    """null where the system is not configured any more"""
    faults: int = 0
    """how often the adapter itself was at fault since the lane began: as often as it was started anew, has blocked the
    event loop, or forked"""


class Systems(Result, frozen=True, kw_only=True):
    """Every configured system, and every other one that still has actions."""

    systems: list[System]
