"""The plugin as connectord finds it, and the configurations of its page."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

from connectord.adapters import has_method
from connectord.plugins import load_plugins
from connectord_sftp.adapter import SftpAdapter
from connectord_sftp.settings import Content, ResponseFiles, SftpSettings
from helpers.sshd import Sshd

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_entry_point_registers_the_adapter() -> None:
    assert [point.value for point in entry_points(group="connectord", name="sftp")] == ["connectord_sftp"]
    assert load_plugins().adapters["sftp"] is SftpAdapter
    assert has_method(SftpAdapter, "poll")
    assert has_method(SftpAdapter, "probe")
    assert has_method(SftpAdapter, "listen")
    assert has_method(SftpAdapter, "healthcheck")


def test_the_readme_configurations_are_good(
    stopped_sshd: Sshd, check_configuration: Callable[[str, dict[str, str]], None]
) -> None:
    encrypted = stopped_sshd.make_key("bank", passphrase="open sesame")
    credentials = {
        "payroll-key": stopped_sshd.client_key.read_text(),
        "bank-key": encrypted.read_text(),
        "bank-key-passphrase": "open sesame",
    }
    blocks = re.findall(r"```toml\n(.*?)```", README, re.S)
    assert len(blocks) == 2
    for block in blocks:
        check_configuration(block, credentials)


def test_the_readme_names_every_setting() -> None:
    table = README.split("## Settings")[1].split("\n\n")[1]
    named = set(re.findall(r"`([a-z_.]+)`", table))
    expected = set(SftpSettings.model_fields) - {"content"}
    expected |= {f"response.{name}" for name in ResponseFiles.model_fields}
    assert expected <= named
    assert {name for name in Content.model_fields if f"content.{name}" not in named} <= named
