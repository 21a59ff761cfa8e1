"""``[metrics]`` and ``[tracing]``: what is read, and what is refused in words."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from connectord.config import Config, MetricsSettings, TracingSettings, diff, load_config
from connectord.errors import ConfigurationRefused


def load(directory: Path, text: str, environ: dict[str, str] | None = None) -> Config:
    file = directory / "connectord.toml"
    file.write_text(text, encoding="utf-8")
    return load_config(file, adapters={}, environ=environ or {})


def test_both_are_off_unless_they_are_set(tmp_path: Path) -> None:
    config = load(tmp_path, "[metrics]\n[tracing]\n")
    assert (config.metrics, config.tracing) == (None, None)


def test_what_is_set_is_read(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        '[metrics]\nbind = "[::1]:9470"\n[tracing]\nendpoint = "https://otel.example.org"\nsample = 0.25\n'
        'service_name = "billing"\n[tracing.headers]\nAuthorization = { env = "TOKEN" }\n',
        {"TOKEN": "s3cret"},
    )
    assert config.metrics == MetricsSettings("::1", 9470)
    assert config.tracing == TracingSettings(
        "https://otel.example.org/v1/traces", {"Authorization": "s3cret"}, 0.25, "billing"
    )
    assert config.secrets == ("s3cret",)
    assert "s3cret" not in repr(config)
    assert load(tmp_path, '[tracing]\nendpoint = "http://h:1/own/path"').tracing == TracingSettings(
        "http://h:1/own/path"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[metrics]\nbind = "9470"', "metrics.bind: must be HOST:PORT"),
        ('[metrics]\nbnd = "127.0.0.1:1"', 'did you mean "bind"?'),
        ('[tracing]\nendpoint = "localhost:4318"', "tracing.endpoint: must be an http or https URL"),
        ("[tracing]\nsample = 0.5", "tracing.endpoint: missing"),
        ('[tracing]\nendpoint = "http://h"\nsample = 2', "tracing.sample: must be a number from 0 to 1"),
        ('[tracing]\nendpoint = "http://h"\nheaders = { "a b" = "c" }', "is no name of a header"),
        ('[tracing]\nendpoint = "http://h"\nheaders = { A = "ä" }', "must be plain ASCII"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        load(tmp_path, text)
    assert says in str(refused.value)


def test_without_the_extra_tracing_is_refused_with_what_to_install(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationRefused, match=r"connectord\[tracing\]"):
        load(tmp_path, '[tracing]\nendpoint = "http://127.0.0.1:4318"')


def test_a_reload_names_what_needs_a_restart(tmp_path: Path) -> None:
    old = load(tmp_path, "")
    new = load(tmp_path, '[metrics]\nbind = "127.0.0.1:9470"\n[tracing]\nendpoint = "http://h"\n')
    changes = diff(old, new)
    assert changes.restart_required == ("metrics.bind",)
    assert {change.key for change in changes.other} == {
        "metrics.bind", "tracing.endpoint", "tracing.sample", "tracing.service_name",
    }  # fmt: skip
