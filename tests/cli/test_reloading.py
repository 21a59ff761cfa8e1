"""A reload may close very many actions: the command waits for it."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from connectord.cli.commands import configuration
from connectord.control.client import ControlClient
from connectord.errors import DaemonUnreachable


def test_a_reload_is_waited_for_much_longer_than_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    def connect(timeout_seconds: float = 30) -> ControlClient:
        waited.append(timeout_seconds)
        raise DaemonUnreachable("no daemon in this test")

    monkeypatch.setattr(configuration, "connect", connect)
    result = CliRunner().invoke(configuration.reload, [])
    assert isinstance(result.exception, DaemonUnreachable) or result.exit_code == 3
    assert waited == [900]
