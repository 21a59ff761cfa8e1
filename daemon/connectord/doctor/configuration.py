"""What is allowed in connectord.toml, but seldom meant; and whether the file is the configuration in force."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from connectord.config import Config, SystemConfig
from connectord.control import results as r
from connectord.doctor.findings import error, fine, warning
from connectord.doctor.settings import unguarded
from connectord.errors import Problem

CHECK = "configuration"
_LOOPBACK = ("127.", "localhost", "::1")


def check_configuration(config: Config) -> Iterator[r.Finding]:
    """What an operator should know of a configuration that is correct."""
    count = len(config.systems)
    yield fine(CHECK, f"{config.source or 'the configuration'} has {count} {'system' if count == 1 else 'systems'}")
    if not count:
        yield warning(CHECK, "no system is configured", "add [systems.NAME]: without one nothing can be submitted")
    if config.daemon.drain_ms < 1000:
        words = f"daemon.drain is {config.daemon.drain_ms} ms: a stop interrupts nearly every attempt under way"
        yield warning(CHECK, words, "give it some seconds")
    yield from _public_url(config)
    for system in config.systems.values():
        yield from _system(system)


def compare_with_file(
    source: Path | None, version: int, keys: Sequence[str], problems: Sequence[Problem]
) -> Iterator[r.Finding]:
    """The file on disk against the configuration in force: ``keys`` differ, ``problems`` would refuse it."""
    if source is None:
        yield fine(CHECK, "the configuration in force came from no file")
    elif problems:
        words = f"{source} would be refused, and the next start would fail: {problems[0]}"
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        yield error(
            CHECK, f"{words}{more}", "mend it (connectord check lists all), or write back connectorctl config show"
        )
    elif keys:
        shown = ", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "")
        words = f"{source} is not what is in force: {shown} would change"
        yield warning(CHECK, words, "connectorctl reload --plan says what it would do; connectorctl reload applies it")
    else:
        yield fine(CHECK, f"version {version} is in force, as {source} has it")


def _public_url(config: Config) -> Iterator[r.Finding]:
    parts = urlsplit(config.callbacks.public_url)
    host = parts.hostname or ""
    if parts.scheme == "http" and not host.startswith(_LOOPBACK):
        words = (
            f"callbacks.public_url {config.callbacks.public_url} is not encrypted: who listens on the way can answer"
        )
        yield warning(CHECK, words, "put TLS before the listener, and an https address into public_url")
    expecting = any(
        system.policy.response_expected and system.policy.poll is None for system in config.systems.values()
    )
    if expecting and not config.callbacks.public_url_given and host.startswith(_LOOPBACK):
        words = "callbacks can come from this machine only: public_url is not set, and bind is a loopback address"
        yield warning(CHECK, words, "set callbacks.public_url to the address that external systems reach")


def _system(system: SystemConfig) -> Iterator[r.Finding]:
    name, policy = system.name, system.policy
    if policy.retry.limit == 1:
        words = "retry.limit is 1: the first failed connection closes an action for good"
        yield warning(CHECK, words, "raise retry.limit, unless that is what is meant", name)
    if not any(rule.system in (None, name) for rule in policy.allocation):
        words = 'no allocation rule: what needs a person goes to the queue "default"'
        yield warning(CHECK, words, f"name who gets it: systems.{name}.allocation or [[allocation]]", name)
    for setting in unguarded(system.settings):
        words = f"{system.adapter}.{setting}: whoever answers is taken for the system"
        yield warning(CHECK, words, "only for a test; name its authority or key instead", name)
