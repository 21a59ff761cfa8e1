"""connectord.toml: read whole, with every error at once, into frozen values.

:func:`load_config` makes a :class:`Config` or raises :class:`connectord.errors.ConfigurationRefused`;
:func:`diff` says what another one would change.
"""

from __future__ import annotations

from connectord.config.addresses import parse_mail_address
from connectord.config.changes import Change, ConfigDiff, diff
from connectord.config.durations import format_duration, parse_duration
from connectord.config.fields import DurationMs
from connectord.config.loading import find_config, load_config
from connectord.config.rates import format_rate, parse_rate
from connectord.config.secrets import STARS, SecretText, hide_secrets
from connectord.config.values import (
    CallbackSettings,
    CircuitPolicy,
    Config,
    ControlSettings,
    DaemonSettings,
    LogFormat,
    LogLevel,
    MetricsSettings,
    NotifyKind,
    NotifySettings,
    Rate,
    RetentionSettings,
    Role,
    RoleRule,
    SmtpSettings,
    SystemConfig,
    TracingSettings,
)

__all__ = [
    "STARS",
    "CallbackSettings",
    "Change",
    "CircuitPolicy",
    "Config",
    "ConfigDiff",
    "ControlSettings",
    "DaemonSettings",
    "DurationMs",
    "LogFormat",
    "LogLevel",
    "MetricsSettings",
    "NotifyKind",
    "NotifySettings",
    "Rate",
    "RetentionSettings",
    "Role",
    "RoleRule",
    "SecretText",
    "SmtpSettings",
    "SystemConfig",
    "TracingSettings",
    "diff",
    "find_config",
    "format_duration",
    "format_rate",
    "hide_secrets",
    "load_config",
    "parse_duration",
    "parse_mail_address",
    "parse_rate",
]
