"""What a new configuration changes, in words, before and after it is applied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

from connectord.config.durations import format_duration
from connectord.config.rates import format_rate
from connectord.config.secrets import hide_secrets
from connectord.config.values import Config, NotifySettings, SystemConfig
from connectord.lifecycle.policy import AllocationRule, Assignee, CaseOwner, Group, Target

NOT_SET = "(not set)"
"""What is shown for a key that one of the two configurations does not have."""

RESTART_REQUIRED = ("daemon.state_directory", "daemon.control_socket", "callbacks.bind", "metrics.bind")
"""The keys that act only when the daemon starts."""

_Values: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Change:
    """One key with another value. The values are for people; where both are stars, a secret changed."""

    key: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class ConfigDiff:
    """The difference between two configurations.

    ``changed`` has the systems in both whose configuration differs, with keys counted from the system
    (``retry.limit``, ``http.url``); a changed ``[retry]`` or ``[[allocation]]`` shows in the systems that it
    changes.
    ``other`` has all changes outside ``[systems]``; ``restart_required`` names those of them that act only at a
    restart.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: Mapping[str, tuple[Change, ...]] = field(default_factory=lambda: MappingProxyType({}))
    other: tuple[Change, ...] = ()
    restart_required: tuple[str, ...] = ()

    def keys(self) -> list[str]:
        """Everything that differs, by its key: whole systems first."""
        keys = [f"systems.{name}" for name in (*self.added, *self.removed)]
        keys += [f"systems.{name}.{change.key}" for name, changes in self.changed.items() for change in changes]
        return keys + [change.key for change in self.other]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.other)


def diff(old: Config, new: Config) -> ConfigDiff:
    """What ``new`` changes. No secret of either shows in it."""
    secrets = {*old.secrets, *new.secrets}
    changed = {}
    for name in [name for name in old.systems if name in new.systems]:
        if changes := _compare(_system_values(old.systems[name]), _system_values(new.systems[name]), secrets):
            changed[name] = changes
    other = _compare(_other_values(old, new), _other_values(new, old), secrets)
    return ConfigDiff(
        added=tuple(name for name in new.systems if name not in old.systems),
        removed=tuple(name for name in old.systems if name not in new.systems),
        changed=MappingProxyType(changed),
        other=other,
        restart_required=tuple(change.key for change in other if change.key in RESTART_REQUIRED),
    )


def _compare(old: _Values, new: _Values, secrets: set[str]) -> tuple[Change, ...]:
    def show(values: _Values, key: str) -> str:
        return hide_secrets(_render(values.get(key)), secrets)

    return tuple(
        Change(key, show(old, key), show(new, key))
        for key in dict.fromkeys((*old, *new))
        if old.get(key) != new.get(key)
    )


def _system_values(system: SystemConfig) -> dict[str, object]:
    policy, retry, poll, circuit = system.policy, system.policy.retry, system.policy.poll, system.circuit
    values: dict[str, object] = {
        "adapter": system.adapter,
        "timeout": format_duration(policy.timeout_ms),
        "concurrency": system.concurrency,
        "rate": None if system.rate is None else format_rate(system.rate),
        "attempt_timeout": format_duration(system.attempt_timeout_ms),
        "healthcheck": None if system.healthcheck_ms is None else format_duration(system.healthcheck_ms),
        "poll.interval": None if poll is None else format_duration(poll.interval_ms),
        "poll.factor": None if poll is None else poll.factor,
        "poll.max_interval": None if poll is None else format_duration(poll.max_interval_ms),
        "poll.jitter": None if poll is None else poll.jitter,
        "retry.limit": retry.limit,
        "retry.delay": format_duration(retry.delay_ms),
        "retry.factor": retry.factor,
        "retry.max_delay": format_duration(retry.max_delay_ms),
        "retry.jitter": retry.jitter,
        "retry.budget": retry.budget,
        "circuit": circuit is not None,
        "circuit.failures": None if circuit is None else circuit.failures,
        "circuit.ratio": None if circuit is None else circuit.ratio,
        "circuit.window": None if circuit is None else format_duration(circuit.window_ms),
        "circuit.pause": None if circuit is None else format_duration(circuit.pause_ms),
        "circuit.max_pause": None if circuit is None else format_duration(circuit.max_pause_ms),
        "circuit.trials": None if circuit is None else circuit.trials,
        "response_expected": policy.response_expected,
        "on_timeout": policy.on_timeout,
        "heartbeat_extends": policy.heartbeat_extends,
        "allocation": _allocation(system.name, policy.allocation),
    }
    values.update(_flatten(system.adapter, system.settings.model_dump(warnings=False)))
    return values


def _other_values(config: Config, counterpart: Config) -> dict[str, object]:
    daemon, callbacks = config.daemon, config.callbacks
    values: dict[str, object] = {
        "daemon.state_directory": str(daemon.state_directory),
        "daemon.control_socket": str(daemon.control_socket),
        "daemon.log_format": daemon.log_format,
        "daemon.log_level": daemon.log_level,
        "daemon.drain": format_duration(daemon.drain_ms),
        "daemon.loop_warning": "off" if daemon.loop_warning_ms is None else format_duration(daemon.loop_warning_ms),
        "callbacks.bind": _address(callbacks.host, callbacks.port),
    }
    values["callbacks.max_connections"] = callbacks.max_connections
    values["callbacks.max_connections_per_address"] = callbacks.max_connections_per_address
    values["callbacks.guesses_per_minute"] = callbacks.guesses_per_minute
    values["callbacks.trusted_proxies"] = callbacks.trusted_proxies or None
    # an address made from bind changes when bind does: at a restart
    if callbacks.public_url_given or counterpart.callbacks.public_url_given:
        values["callbacks.public_url"] = callbacks.public_url
    values.update({f"groups.{name}": members for name, members in config.groups.items()})
    # a queue that only a rule names shows with its rule
    values.update({f"queues.{name}": what_for for name, what_for in config.queues.items() if what_for is not None})
    values.update(_notify_values(config.notify))
    values.update(_monitoring_values(config))
    for key, age in (
        ("done_successfully", config.retention.done_successfully_ms),
        ("not_done_successfully", config.retention.not_done_successfully_ms),
        ("keys", config.retention.keys_ms),
    ):
        values[f"retention.{key}"] = "forever" if age is None else format_duration(age)
    for role in ("viewer", "operator", "admin"):
        rules = [f"{rule.kind}:{rule.number}" for rule in config.control.roles if rule.role == role]
        values[f"control.roles.{role}"] = tuple(rules) or None
    return values


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _monitoring_values(config: Config) -> dict[str, object]:
    metrics, tracing = config.metrics, config.tracing
    values: dict[str, object] = {"metrics.bind": None if metrics is None else _address(metrics.host, metrics.port)}
    for key in ("endpoint", "sample", "service_name"):
        values[f"tracing.{key}"] = None if tracing is None else getattr(tracing, key)
    headers = {} if tracing is None else tracing.headers
    values.update({f"tracing.headers.{name}": value for name, value in headers.items()})
    return values


def _notify_values(notify: NotifySettings) -> dict[str, object]:
    values: dict[str, object] = {"notify.via": notify.kind, "notify.command": notify.command or None}
    values["notify.url"] = notify.url
    smtp = notify.smtp
    for key in ("host", "port", "sender", "username", "password", "starttls"):
        values[f"notify.{key}"] = None if smtp is None else getattr(smtp, key)
    if notify.settings is not None:
        flat = _flatten(notify.kind, notify.settings.model_dump(warnings=False))
        values.update({f"notify.{key}": value for key, value in flat})
    return values


def _allocation(system: str, rules: tuple[AllocationRule, ...]) -> str | None:
    own = [rule for rule in rules if rule.system in (None, system)]
    return "; ".join(_rule(rule) for rule in own) or None


def _rule(rule: AllocationRule) -> str:
    owners = "" if rule.owners is None else f" of owner {' or '.join(rule.owners)}"
    when = "" if rule.when is None else f" where {rule.when}"
    return f"{rule.reason or 'any reason'}{owners}{when} to {_target(rule.assignee)}"


def _target(target: Target) -> str:
    match target:
        case Group():
            return f"group {target.name}"
        case CaseOwner():
            return "the case's owner"
        case Assignee():
            return f"queue {target.queue}" if target.user is None else f"user {target.user}"


def _flatten(prefix: str, value: Any) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flatten(f"{prefix}.{key}", item)
    else:
        yield prefix, value


def _render(value: object) -> str:
    if value is None:
        return NOT_SET
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple | set | frozenset):
        return f"[{', '.join(_render(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {_render(item)}' for key, item in value.items())}}}"
    return str(value)
