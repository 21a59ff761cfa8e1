"""The daemon as a whole: whether it is well, and what it keeps."""

from __future__ import annotations

from typing import Literal

import msgspec

from connectord.control.results.base import Result, Time
from connectord.control.results.notifications import NotificationBacklog
from connectord.control.results.systems import System


class LoopBlock(Result, frozen=True, kw_only=True):
    """The event loop did not come round for ``seconds``, and nobody was served meanwhile.

    ``by`` is the plugin, or connectord itself, whose code ran, and ``place`` is file and line; null where nobody could
    see it.
    """

    seconds: float
    at: Time
    by: str | None
    place: str | None
    system: str | None


class Trouble(Result, frozen=True, kw_only=True):
    """Something is not well. ``serious``: work stands still or soon will. ``command`` looks into it or mends it."""

    serious: bool
    about: str
    """a system's name, or store, owners, daemon"""
    words: str
    command: str | None


class Ages(Result, frozen=True, kw_only=True):
    """When the oldest action of each live state was submitted, and since when the longest-due one is due."""

    pending: Time | None
    attempting: Time | None
    waiting: Time | None
    todo: Time | None
    in_progress: Time | None
    due_since: Time | None
    """null where nothing is due yet"""


class StoreSize(Result, frozen=True, kw_only=True):
    """How large the database and its write-ahead log are, and what is left on their disk for the daemon's user."""

    database_bytes: int
    wal_bytes: int
    free_bytes: int


class LogHeld(Result, frozen=True, kw_only=True):
    """Another program's read keeps the write-ahead log from being written back, so that it grows."""

    since: Time
    by: list[str]
    """the processes that have the database open, as far as the daemon may see them"""


class Retention(Result, frozen=True, kw_only=True):
    """How long closed actions are kept, and what that has removed. ``forever`` where there is no end to it.

    ``due`` is how many are old enough now, by how they were closed; of those, one stays whose owner was not told yet,
    or to which anything has happened since. The history is whole from the number ``history_from`` on.
    """

    done_successfully: str
    not_done_successfully: str
    keys: str
    due: dict[str, int]
    oldest_due: Time | None
    """when the oldest of them was closed"""
    last_run_at: Time | None
    """when it was looked last for what is old enough, since the start of the daemon"""
    last_run_removed: int
    removed: int
    """how many were removed since the database was made"""
    removed_at: Time | None
    """when one was removed last"""
    history_from: int


class Status(Result, frozen=True, kw_only=True):
    """The daemon as a whole. ``verdict`` says whether it is well, ``troubles`` why not, the serious ones first."""

    version: str
    pid: int
    started_at: Time
    uptime_seconds: float
    state_directory: str
    callbacks: str
    config_version: int
    config_file: str | None
    systems: int
    counts: dict[str, int]
    in_flight: int
    commits: int
    last_seq: int
    """the number of the newest change: look at what there is, then ``watch`` after it, and nothing is missed"""
    notifications: NotificationBacklog
    stopping: bool
    longest_block: LoopBlock | None = None
    """the longest time that the event loop did not come round, since the start; to within a quarter of loop_warning"""
    plugins: list[str] = msgspec.field(default_factory=list)
    """the plugins that are loaded, with their versions"""
    verdict: Literal["well", "degraded", "not_well"] = "well"
    troubles: list[Trouble] = msgspec.field(default_factory=list)
    by_system: list[System] = msgspec.field(default_factory=list)
    """as ``systems`` has them"""
    oldest: Ages | None = None
    store: StoreSize | None = None
    log_held: LogHeld | None = None
    """null unless another program holds up the write-ahead log"""


class Finding(Result, frozen=True, kw_only=True):
    """What one check of ``doctor`` saw, and what to do; ``about`` is a system's name, or null."""

    check: str
    """configuration, permissions, disk, clock, database, plugins, limits, reachability, certificates or leftovers"""
    about: str | None
    level: Literal["ok", "warning", "error"]
    seen: str
    advice: str | None
    """null where all is right"""


class Diagnosis(Result, frozen=True, kw_only=True):
    """Everything that ``doctor`` found, in the order of its checks."""

    findings: list[Finding]
    errors: int
    warnings: int


class Stopping(Result, frozen=True, kw_only=True):
    """The daemon stops."""

    stopping: bool
