"""The configuration that is in force, its number, and the ones that were in force before."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from connectord.config import Config, ConfigDiff, diff, hide_secrets, load_config
from connectord.configurations.effects import Limits, Read, count_effects, plan_page, result_page
from connectord.control import results as r
from connectord.errors import ConfigurationRefused, InvalidRequest, NotFound, Problem
from connectord.ledger.ledger import Ledger
from connectord.ledger.operations import RecordConfig
from connectord.plugins import PluginSet
from connectord.store.base import ConfigRecord, Executor
from connectord.times import rfc3339


@dataclass(frozen=True, slots=True)
class Candidate:
    """A configuration that could come into force, the plugins that would with it, and the older version that its text
    is from, if it is.
    """

    config: Config
    changes: ConfigDiff
    back_to: int | None
    plugins: PluginSet


@dataclass(frozen=True, slots=True)
class OnDisk:
    """The plugins that are installed now, the keys of the file that differ from what is in force, and what is wrong
    with the file.
    """

    plugins: PluginSet
    keys: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


class PluginSource(Protocol):
    """Where the plugins are."""

    @property
    def plugins(self) -> PluginSet:
        """What is in force."""
        ...

    async def look(self) -> PluginSet:
        """What is in force and what has been installed since."""
        ...


class Configurations:
    """Knows the running configuration; reads others; keeps all that were in force."""

    def __init__(
        self,
        config: Config,
        *,
        ledger: Ledger,
        read: Read,
        executor: Executor,
        plugins: PluginSource,
        environ: Mapping[str, str],
        load: Callable[..., Config] = load_config,
    ) -> None:
        self.running = config
        self.version = 0
        """The running configuration's number; 0 until :meth:`start`."""
        self._ledger = ledger
        self._read = read
        self._executor = executor
        self._plugins = plugins
        self._environ = environ
        self._load_config = load
        self._limits_before: Limits = limits_of(config)
        self._seq_before = ledger.last_seq

    async def start(self) -> None:
        """Keep the configuration that the daemon starts with."""
        self.version = await self._ledger.insist(RecordConfig(self.running.digest, self.running.text, "start"))

    # -- towards another one

    async def load(self, to: int | None) -> Candidate:
        """What stands in the file now or, with ``to``, what stood there when that version came into force.

        Raises :class:`ConfigurationRefused`, and :class:`NotFound` where there is no such version or file.
        """
        source = self._source()
        plugins = await self._plugins.look()
        try:
            if to is None:
                new = await self._parse(source, plugins=plugins)
            else:
                new = await self._parse(source, await self._text(to), f"version {to} of {source}", plugins=plugins)
        except ConfigurationRefused as error:
            # an adapter that could not be loaded is unknown in the file: here is why
            problems = [Problem(str(source), 0, "plugins", problem) for problem in plugins.problems]
            raise ConfigurationRefused([*error.problems, *problems]) from None
        return Candidate(new, diff(self.running, new), to, plugins)

    async def record(self, candidate: Candidate, who: str) -> int:
        """Keep a configuration that comes into force next, and give its number. Raises ``StoreError``."""
        config = candidate.config
        version: int = await self._ledger.perform(RecordConfig(config.digest, config.text, who, candidate.back_to))
        return version

    def put_in_force(self, config: Config, version: int) -> None:
        """``config`` is the running one from now on."""
        self._limits_before, self._seq_before = limits_of(self.running), self._ledger.last_seq
        self.running, self.version = config, version

    # -- what it means

    async def plan(self, candidate: Candidate) -> r.Plan:
        """What ``candidate`` would change, and how many live actions that concerns."""
        counts = await count_effects(self._read, limits_of(self.running), limits_of(candidate.config))
        return _plan(candidate, counts, self._live_systems())

    def outcome(self, candidate: Candidate, counts: r.EffectCounts) -> r.Plan:
        """What a reload did change."""
        return _plan(candidate, counts, self._live_systems())

    async def count_effects(self, closed: int) -> r.EffectCounts:
        """How many live actions the last reload concerned; ``closed`` of them it has closed."""
        return await count_effects(self._read, self._limits_before, limits_of(self.running), closed=closed)

    async def effects(self, *, plan: bool, to: int | None, after: str | None, limit: int) -> r.EffectPage:
        """Which actions the last reload concerned or, with ``plan``, which ones the next would."""
        if to is not None and not plan:
            raise InvalidRequest("reload_effects: 'to' goes with 'plan': what was applied last is known already")
        if not plan:
            now = limits_of(self.running)
            return await result_page(self._read, self.version, self._seq_before, self._limits_before, now, after, limit)
        candidate = await self.load(to)
        limits = limits_of(candidate.config)
        return await plan_page(self._read, candidate.config.digest, limits_of(self.running), limits, after, limit)

    # -- the older ones

    async def history(self, *, before: int | None, limit: int) -> r.ConfigVersions:
        """The versions, the newest first."""
        records = await self._read(lambda store: store.configs(before, limit))
        return r.ConfigVersions(running=self.version, versions=[_version(record) for record in records])

    async def show(self, version: int | None) -> r.ConfigText:
        """One version's text; no secret of today's shows in it."""
        number = self.version if version is None else version
        return r.ConfigText(version=number, text=self._readable(await self._text(number)))

    async def difference(self, a: int, b: int) -> r.ConfigDifference:
        """What has changed from ``a`` to ``b``, key by key where both can still be read, and as text."""
        old_text, new_text = await self._text(a), await self._text(b)
        problems: list[str] = []
        changes: ConfigDiff | None = None
        try:
            source = self._source()
            old = await self._parse(source, old_text, f"version {a}")
            new = await self._parse(source, new_text, f"version {b}")
            changes = diff(old, new)
        except ConfigurationRefused as error:
            problems = [str(problem) for problem in error.problems]
        lines = difflib.unified_diff(
            self._readable(old_text).splitlines(),
            self._readable(new_text).splitlines(),
            f"version {a}",
            f"version {b}",
            lineterm="",
        )
        return r.ConfigDifference(
            a=a,
            b=b,
            changed=None if changes is None else _changed(changes),
            added=None if changes is None else list(changes.added),
            removed=None if changes is None else list(changes.removed),
            other=None if changes is None else _other(changes),
            problems=problems,
            text="\n".join(lines),
        )

    async def compare_with_file(self) -> OnDisk:
        """How what is on disk differs from what is in force."""
        try:
            candidate = await self.load(None)
        except NotFound:
            return OnDisk(self._plugins.plugins)
        except ConfigurationRefused as error:
            return OnDisk(self._plugins.plugins, problems=error.problems)
        return OnDisk(candidate.plugins, tuple(candidate.changes.keys()))

    def _source(self) -> Path:
        if self.running.source is None:
            raise NotFound("the daemon runs without a configuration file")
        return self.running.source

    async def _text(self, version: int) -> bytes:
        record = await self._read(lambda store: store.config(version))
        if record is None:
            raise NotFound(f"there is no version {version} of the configuration; config history lists them")
        if record.text is None:
            raise NotFound(f"the text of version {version} is too old to be kept; config history lists what is there")
        return record.text

    async def _parse(
        self, source: Path, text: bytes | None = None, name: str | None = None, plugins: PluginSet | None = None
    ) -> Config:
        known = plugins or self._plugins.plugins
        return await self._executor.run(
            lambda: self._load_config(
                source,
                adapters=known.adapters,
                notifiers=known.notifiers,
                environ=self._environ,
                text=text,
                name=name,
            )
        )

    def _readable(self, text: bytes) -> str:
        return hide_secrets(text.decode("utf-8", "replace"), self.running.secrets)

    def _live_systems(self) -> set[str]:
        return {system for (system, _), count in self._ledger.counts.items() if count > 0}


def limits_of(config: Config) -> Limits:
    """The retry limit of every system."""
    return {name: system.policy.retry.limit for name, system in config.systems.items()}


def _plan(candidate: Candidate, counts: r.EffectCounts, live: set[str]) -> r.Plan:
    changes, plugins = candidate.changes, candidate.plugins
    return r.Plan(
        added=list(changes.added),
        removed=list(changes.removed),
        changed=_changed(changes),
        other=_other(changes),
        restart_required=[*changes.restart_required, *plugins.outdated],
        held=[name for name in changes.removed if name in live],
        back=[name for name in changes.added if name in live],
        actions=counts,
        plugins=list(plugins.fresh),
        plugin_problems=list(plugins.problems),
    )


def _changed(changes: ConfigDiff) -> dict[str, list[r.KeyChange]]:
    return {
        name: [r.KeyChange(key=item.key, old=item.old, new=item.new) for item in items]
        for name, items in changes.changed.items()
    }


def _other(changes: ConfigDiff) -> list[r.KeyChange]:
    return [r.KeyChange(key=item.key, old=item.old, new=item.new) for item in changes.other]


def _version(record: ConfigRecord) -> r.ConfigVersion:
    return r.ConfigVersion(
        version=record.version,
        at=rfc3339(record.at),
        who=record.who,
        digest=record.digest,
        back_to=record.back_to,
        kept=record.text is not None,
    )
