"""A server for each test, and what the tests of the documentation need."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from connectord.adapters import AdapterContext
from connectord.config import load_config
from connectord.network import SystemNetwork
from connectord.plugins import load_plugins
from connectord_sftp.adapter import SftpAdapter
from connectord_sftp.settings import SftpSettings
from helpers.sshd import Sshd


@pytest.fixture
def stopped_sshd(tmp_path: Path) -> Iterator[Sshd]:
    """A server that a test starts itself."""
    server = Sshd(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def sshd(stopped_sshd: Sshd) -> Sshd:
    """A server that runs."""
    stopped_sshd.start()
    return stopped_sshd


@pytest.fixture
async def open_adapter(stopped_sshd: Sshd) -> AsyncIterator[Callable[..., Any]]:
    """Opens an adapter for the server, with changes to its settings; closed at the end."""
    opened: list[SftpAdapter] = []

    async def open_one(concurrency: int = 16, **changes: Any) -> SftpAdapter:
        context = AdapterContext(system="billing", concurrency=concurrency, network=SystemNetwork())
        adapter = SftpAdapter(SftpSettings.model_validate(stopped_sshd.settings(**changes)), context)
        await adapter.open()
        opened.append(adapter)
        return adapter

    yield open_one
    for adapter in opened:
        await adapter.close()


@pytest.fixture
def check_configuration(tmp_path: Path) -> Callable[[str, dict[str, str]], None]:
    """Loads a configuration as ``connectord check`` does, with these credentials."""

    def check(text: str, credentials: dict[str, str]) -> None:
        directory = tmp_path / "credentials"
        directory.mkdir(exist_ok=True)
        for name, value in credentials.items():
            (directory / name).write_text(value)
        file = tmp_path / "connectord.toml"
        file.write_text(text, encoding="utf-8")
        load_config(file, adapters=load_plugins().adapters, environ={"CREDENTIALS_DIRECTORY": str(directory)})

    return check
