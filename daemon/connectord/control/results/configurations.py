"""Configurations: what a reload does, and what was in force before."""

from __future__ import annotations

from typing import Literal

import msgspec

from connectord.control.results.base import Result, Time


class KeyChange(Result, frozen=True, kw_only=True):
    """One key of connectord.toml with another value; secrets are stars."""

    key: str
    old: str
    new: str


class EffectCounts(Result, frozen=True, kw_only=True):
    """How many actions a changed limit, or a removed or returned system, concerns; see :class:`Effect`."""

    close: int = 0
    go_on: int = 0
    when_ended: int = 0
    show: int = 0
    hold: int = 0
    resume: int = 0


class Effect(Result, frozen=True, kw_only=True):
    """What a reload means for one live action (rules 10 and 11).

    ``close``: it was tried as often as the new limit allows, and is closed. ``go_on``: it is tried until the new
    limit. ``when_ended``: an attempt is under way; the new limit decides when it ends. ``show``: only another number is
    shown. ``hold``: its system is not configured any more. ``resume``: its system is back.
    """

    id: str
    system: str
    effect: Literal["close", "go_on", "when_ended", "show", "hold", "resume"]
    before: str
    """``4 of 5``: the tries and the limit as shown before"""
    after: str


class Plan(Result, frozen=True, kw_only=True):
    """What a reload changes. ``held`` and ``back`` are removed and added systems that have live actions."""

    added: list[str]
    removed: list[str]
    changed: dict[str, list[KeyChange]]
    other: list[KeyChange]
    restart_required: list[str]
    held: list[str]
    back: list[str]
    actions: EffectCounts
    plugins: list[str] = msgspec.field(default_factory=list)
    """the plugins that were installed since the start, and are loaded with this"""
    plugin_problems: list[str] = msgspec.field(default_factory=list)
    """the plugins that cannot be loaded, and why"""


class Reload(Result, frozen=True, kw_only=True):
    """What a reload did, or would do. ``version`` is the configuration's number: the next one for a plan."""

    applied: bool
    version: int
    plan: Plan


class EffectPage(Result, frozen=True, kw_only=True):
    """Some of the actions that a reload concerns; ``next`` is the next call's ``after``, null on the last page."""

    effects: list[Effect]
    next: str | None


class ConfigVersion(Result, frozen=True, kw_only=True):
    """One configuration that was in force. ``back_to`` is the older version whose text it has, if one went back."""

    version: int
    at: Time
    who: str
    digest: str
    back_to: int | None
    kept: bool
    """Whether its text is still there."""


class ConfigVersions(Result, frozen=True, kw_only=True):
    """The configurations that were in force, the newest first; ``running`` is the one that is now."""

    running: int
    versions: list[ConfigVersion]


class ConfigText(Result, frozen=True, kw_only=True):
    """The text of one configuration."""

    version: int
    text: str


class ConfigDifference(Result, frozen=True, kw_only=True):
    """What version ``b`` has that ``a`` has not, and the other way round.

    The four that name keys and systems are null where one of the two cannot be read any more, because an adapter or a
    secret is gone; ``problems`` says why. ``text`` is a unified diff.
    """

    a: int
    b: int
    changed: dict[str, list[KeyChange]] | None
    added: list[str] | None
    removed: list[str] | None
    other: list[KeyChange] | None
    problems: list[str]
    text: str
