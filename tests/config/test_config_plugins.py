"""What plugins add to the configuration: notifiers with settings of their own, and the watch over the event loop."""

from __future__ import annotations

from pathlib import Path

import pytest
from connectord.config import Config, diff, load_config
from connectord.errors import ConfigurationRefused
from connectord.extensions import Notifier, NotifierSettings
from pydantic import SecretStr


class ChatSettings(NotifierSettings):
    room: str
    token: SecretStr | None = None


class Chat(Notifier):
    name = "chat"
    Settings = ChatSettings


class Pager(Notifier):
    name = "pager"


def load(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "connectord.toml"
    file.write_text(text)
    return load_config(file, adapters={}, notifiers={"chat": Chat, "pager": Pager}, environ={"TOKEN": "hush-hush"})


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigurationRefused) as raised:
        load(tmp_path, text)
    return [f"{problem.line}: {problem.key}: {problem.message}" for problem in raised.value.problems]


def test_a_notifier_gets_its_settings_with_secrets_put_in(tmp_path: Path) -> None:
    config = load(tmp_path, '[notify]\nvia = "chat"\n[notify.chat]\nroom = "a"\ntoken = { env = "TOKEN" }\n')
    assert config.notify.kind == "chat"
    assert isinstance(config.notify.settings, ChatSettings)
    assert config.notify.settings.token is not None
    assert config.notify.settings.token.get_secret_value() == "hush-hush"
    assert "hush-hush" in config.secrets


def test_a_notifier_may_have_no_settings(tmp_path: Path) -> None:
    assert load(tmp_path, '[notify]\nvia = "pager"\n').notify.settings == NotifierSettings()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[notify]\nvia = "chat"\n', "1: notify.chat.room: missing: the notifier needs it"),
        ('[notify]\nvia = "chat"\n[notify.chat]\nroom = 7\n', "4: notify.chat.room: must be a string"),
        (
            '[notify]\nvia = "log"\n[notify.chat]\nroom = "a"\n',
            '3: notify.chat: these are settings of the notifier chat, but this is via = "log"',
        ),
        (
            '[notify]\nvia = "chatt"\n',
            '2: notify.via: must be one of "log", "command", "webhook", "smtp", "chat", "pager", not "chatt"; did you',
        ),
        ('[notify]\nvia = "pager"\nurl = "http://x/"\n', '3: notify.url: belongs to via = "webhook"'),
        ('[daemon]\nloop_warning = "9ms"\n', '2: daemon.loop_warning: must be at least "10ms"'),
        ('[daemon]\nloop_warning = "never"\n', '2: daemon.loop_warning: "never" is not a duration'),
    ],
)
def test_mistakes_have_their_lines(tmp_path: Path, text: str, expected: str) -> None:
    [problem] = problems(tmp_path, text)
    assert problem.startswith(expected)


def test_a_change_shows_without_the_secret(tmp_path: Path) -> None:
    old = load(tmp_path, '[daemon]\nloop_warning = "off"\n[notify]\nvia = "chat"\n[notify.chat]\nroom = "a"\n')
    new = load(tmp_path, '[notify]\nvia = "chat"\n[notify.chat]\nroom = "b"\ntoken = { env = "TOKEN" }\n')
    assert old.daemon.loop_warning_ms is None
    assert new.daemon.loop_warning_ms == 500
    changes = {change.key: (change.old, change.new) for change in diff(old, new).other}
    assert changes["daemon.loop_warning"] == ("off", "500ms")
    assert changes["notify.chat.room"] == ("a", "b")
    assert "hush" not in str(changes)
