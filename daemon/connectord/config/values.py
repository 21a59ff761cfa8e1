"""The configuration as the rest of the daemon sees it: plain frozen values, already checked.

All times are whole milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias

import pydantic

from connectord.adapters import AdapterSettings
from connectord.lifecycle.policy import Policy

LogFormat: TypeAlias = Literal["json", "console"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
NotifyKind: TypeAlias = str
"""log, command, webhook or smtp, or the name of a notifier that a plugin brought."""
Role: TypeAlias = Literal["viewer", "operator", "admin"]

DEFAULT_CONCURRENCY = 16
DEFAULT_ATTEMPT_TIMEOUT_MS = 120_000
DEFAULT_DRAIN_MS = 30_000
DEFAULT_LOOP_WARNING_MS = 500
DEFAULT_HEALTHCHECK_MS = 30_000
DEFAULT_SMTP_PORT = 25
DEFAULT_KEYS_MS = 7 * 86_400_000


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """``[daemon]``. ``drain_ms`` is how long a stop waits for the attempts under way, 1 or more.

    ``loop_warning_ms`` is how long the event loop may take for one round before it counts as blocked, 10 or more; None
    where nobody watches.
    """

    state_directory: Path
    control_socket: Path
    log_format: LogFormat = "json"
    log_level: LogLevel = "info"
    drain_ms: int = DEFAULT_DRAIN_MS
    loop_warning_ms: int | None = DEFAULT_LOOP_WARNING_MS


@dataclass(frozen=True, slots=True)
class CallbackSettings:
    """``[callbacks]``: where to listen, and the address that external systems are told.

    ``port`` 0 stands for any free one. ``public_url`` ends without a slash. Where ``public_url_given`` is false
    it was made from ``host`` and ``port``, and whoever binds port 0 has to put the real port in. The connections in
    all and for each address, and ``guesses_per_minute`` of each address, are 1 or more. The ``X-Forwarded-For`` of
    ``trusted_proxies`` is believed.
    """

    host: str
    port: int
    public_url: str
    public_url_given: bool = True
    max_connections: int = 1024
    max_connections_per_address: int = 256
    guesses_per_minute: int = 600
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``count`` attempts (1 or more) begin in ``per_ms`` milliseconds."""

    count: int
    per_ms: int


@dataclass(frozen=True, slots=True)
class CircuitPolicy:
    """``systems.NAME.circuit``: when attempts stop because the system is away, and how they begin again.

    It opens when ``failures`` (1 to 1000) different actions in a row were not connected, or that many within
    ``window_ms`` while at least ``ratio`` (0 to 1) of all attempts there failed. It is open for ``pause_ms``, and twice
    as long each time that a trial fails, at most ``max_pause_ms``. ``trials`` (1 to 100) that go well close it.
    """

    failures: int = 20
    ratio: float = 0.8
    window_ms: int = 30_000
    pause_ms: int = 5_000
    max_pause_ms: int = 60_000
    trials: int = 3


@dataclass(frozen=True, slots=True)
class SystemConfig:
    """``[systems.NAME]``: one external system.

    ``settings`` is an instance of the adapter's ``Settings``. ``concurrency`` (1 to 1000) is how many attempts
    may be under way at once; ``attempt_timeout_ms`` is the hard limit on one of them. ``rate`` None is no limit.
    ``healthcheck_ms`` is how long the system may be silent before it is looked after; None where it never is.
    ``circuit`` None means that attempts go out whatever becomes of them.
    """

    name: str
    adapter: str
    settings: AdapterSettings
    concurrency: int = DEFAULT_CONCURRENCY
    rate: Rate | None = None
    attempt_timeout_ms: int = DEFAULT_ATTEMPT_TIMEOUT_MS
    policy: Policy = field(default_factory=Policy)
    healthcheck_ms: int | None = None
    circuit: CircuitPolicy | None = field(default_factory=CircuitPolicy)


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """The mail server of ``[notify]``. ``username`` and ``password`` are both set or both None."""

    host: str
    sender: str
    port: int = DEFAULT_SMTP_PORT
    username: str | None = None
    password: pydantic.SecretStr | None = None
    starttls: bool = False


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """``[notify]``: how case owners hear of rule 9.

    ``command`` is set where ``kind`` is "command", ``url`` where it is "webhook", ``smtp`` where it is "smtp", and
    ``settings``, an instance of the notifier's ``Settings``, where it is a plugin's.
    """

    kind: NotifyKind = "log"
    command: tuple[str, ...] = field(default=(), repr=False)
    url: str | None = field(default=None, repr=False)
    smtp: SmtpSettings | None = None
    settings: AdapterSettings | None = None


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """``[retention]``: how long an action is kept once it is closed so, 3,600,000 or more; None is for ever.

    One that has a key (rule 17) is kept for ``keys_ms`` at least, so that the key is known for as long.
    """

    done_successfully_ms: int | None = None
    not_done_successfully_ms: int | None = None
    keys_ms: int = DEFAULT_KEYS_MS

    def ages(self) -> Mapping[tuple[str, bool], int]:
        """By resolution, and whether there is a key: how long. What is kept for ever is left out."""
        return {
            (resolution, keyed): max(age, self.keys_ms) if keyed else age
            for resolution, age in (
                ("done_successfully", self.done_successfully_ms),
                ("not_done_successfully", self.not_done_successfully_ms),
            )
            for keyed in (False, True)
            if age is not None
        }


@dataclass(frozen=True, slots=True)
class RoleRule:
    """A peer of the control socket with this uid, or in the group with this gid, has the role."""

    role: Role
    kind: Literal["uid", "gid"]
    number: int


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """``[control]``. No rules means: root and the daemon's own uid are admin, everybody else is refused."""

    roles: tuple[RoleRule, ...] = ()


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """``[metrics]``: where Prometheus and probes may ask. ``port`` 0 stands for any free one."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """``[tracing]``: the URL that takes spans (OTLP/HTTP), headers for it, and the share of actions that are traced.

    ``sample`` is 0 to 1; an action whose submitter decided on a trace of its own follows that.
    """

    endpoint: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    sample: float = 1.0
    service_name: str = "connectord"


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration.

    ``source`` is the file it came from, None if there was none. ``text`` has the file's bytes and ``digest`` their
    SHA-256 in hex; secrets are not part of them. ``systems`` is in the order of the file. ``unconfigured`` is the
    policy for actions of a system that the file does not have any more: the defaults for every system. ``groups`` are
    the members of each; ``queues`` is every queue that there is, and what it is for where the file says so. ``secrets``
    are the values that must never show anywhere, none of them empty.
    """

    source: Path | None
    digest: str
    daemon: DaemonSettings
    callbacks: CallbackSettings
    text: bytes = field(default=b"", repr=False)
    systems: Mapping[str, SystemConfig] = field(default_factory=lambda: MappingProxyType({}))
    unconfigured: Policy = field(default_factory=Policy)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    queues: Mapping[str, str | None] = field(default_factory=lambda: MappingProxyType({"default": None}))
    notify: NotifySettings = field(default_factory=NotifySettings)
    control: ControlSettings = field(default_factory=ControlSettings)
    metrics: MetricsSettings | None = None
    tracing: TracingSettings | None = None
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    secrets: tuple[str, ...] = field(default=(), repr=False)
