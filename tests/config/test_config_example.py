"""The example configuration in the project's root loads, and shows every key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme
from connectord.adapters import Adapter
from connectord.config import CircuitPolicy, load_config
from connectord.config.conditions import compile_expression
from connectord.lifecycle.policy import AllocationRule, Assignee, CaseOwner, Group, RetryPolicy
from connectord_http.adapter import HttpAdapter

EXAMPLE = Path(__file__).parents[2] / "connectord.toml"

EVERY_KEY = [
    "state_directory",
    "control_socket",
    "log_format",
    "log_level",
    "drain",
    "loop_warning",
    "bind",
    "public_url",
    "max_connections",
    "max_connections_per_address",
    "guesses_per_minute",
    "trusted_proxies",
    "limit",
    "delay",
    "factor",
    "max_delay",
    "jitter",
    "adapter",
    "timeout",
    "concurrency",
    "rate",
    "attempt_timeout",
    "response_expected",
    "on_timeout",
    "healthcheck",
    "heartbeat_extends",
    "allocation",
    "retry.limit",
    "retry.delay",
    "retry.factor",
    "retry.max_delay",
    "retry.jitter",
    "poll.interval",
    "poll.factor",
    "poll.max_interval",
    "poll.jitter",
    "reason",
    "system",
    "owner",
    "when",
    "queue",
    "user",
    "group",
    "to_owner",
    "via",
    "command",
    "url",
    "host",
    "sender",
    "username",
    "password",
    "port",
    "starttls",
    "endpoint",
    "headers",
    "sample",
    "service_name",
    "viewer",
    "operator",
    "admin",
]


ADAPTERS: Mapping[str, type[Adapter]] = {"http": HttpAdapter}


def test_the_example_loads() -> None:
    config = load_config(EXAMPLE, adapters=ADAPTERS, environ={})
    billing = config.systems["billing"]
    assert billing.settings.url == "https://billing.internal/api/jobs"
    assert billing.settings.read_timeout == 30_000
    assert billing.policy.retry == RetryPolicy(
        limit=7, delay_ms=10_000, factor=3.0, max_delay_ms=1_800_000, jitter=0.2, budget=0.3
    )
    assert billing.circuit == CircuitPolicy()
    assert billing.policy.allocation == (
        AllocationRule(Assignee(queue="late-answers"), reason="timeout", system="billing"),
        AllocationRule(
            Group("seniors", ("anna", "ben")),
            owners=("olga", "otto"),
            when=compile_expression("data.amount > `10000`", ""),
        ),
        AllocationRule(CaseOwner(), when=compile_expression("case_data.priority == 'high'", "")),
        AllocationRule(Assignee(user="maria"), reason="updated_by_integration"),
        AllocationRule(Assignee(queue="billing-exceptions"), system="billing"),
    )
    assert list(config.queues) == ["default", "billing-exceptions", "back-office", "late-answers", "seniors"]


@pytest.mark.parametrize("key", [*EVERY_KEY, *sorted(HttpAdapter.Settings.model_fields.keys() - {"headers"})])
def test_the_example_shows_every_key(key: str) -> None:
    assert re.search(rf"^(# )?{re.escape(key)} = ", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE)


def test_what_is_commented_out_loads_too(tmp_path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    # an example of a key: "# key = value", the value beginning as TOML values do
    text = re.sub(r'^# (?=\w+ = ["\[{\dtf])', "", text, flags=re.MULTILINE)
    text = text.replace('via = "log"', 'via = "smtp"')
    # this one's adapter has none
    text = re.sub(r"^healthcheck = .*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"^(command|url) = .*# *via = .*$", "", text, flags=re.MULTILINE)
    text = text.replace("/etc/connectord/", f"{tmp_path}/")
    (tmp_path / "connectord.toml").write_text(text, encoding="utf-8")
    for name in ("billing-token", "smtp-password", "connectord-key", "tracing-token"):
        (tmp_path / name).write_text("s3cret")
    (tmp_path / "billing-hook").write_text("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "billing-ca.pem"))
    leaf = authority.issue_cert("connectord@example.org")
    leaf.cert_chain_pems[0].write_to_path(str(tmp_path / "connectord.pem"))
    leaf.private_key_pem.write_to_path(str(tmp_path / "connectord.key"))
    config = load_config(
        tmp_path / "connectord.toml", adapters=ADAPTERS, environ={"CREDENTIALS_DIRECTORY": str(tmp_path)}
    )
    assert config.callbacks.public_url == "https://connectord.example.org"
    assert config.notify.smtp is not None
    assert config.notify.smtp.host == "mail.example.org"
    assert config.systems["billing"].settings.auth.bearer.get_secret_value() == "s3cret"
    assert config.systems["billing"].settings.poll is not None


def test_the_values_shown_are_the_defaults(tmp_path) -> None:
    empty = tmp_path / "connectord.toml"
    empty.touch()
    defaults = load_config(empty, adapters=ADAPTERS, environ={})
    example = load_config(EXAMPLE, adapters=ADAPTERS, environ={})
    assert example.daemon == defaults.daemon
    assert (example.callbacks, example.notify) == (defaults.callbacks, defaults.notify)
    assert f'state_directory = "{defaults.daemon.state_directory}"' in EXAMPLE.read_text(encoding="utf-8")
    assert f'control_socket = "{defaults.daemon.control_socket}"' in EXAMPLE.read_text(encoding="utf-8")
