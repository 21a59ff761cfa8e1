"""A real daemon process and a real HTTP server, per test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from connectord.testing.daemon_process import DaemonProcess
from connectord.testing.fake_system import FakeSystem
from helpers.ports import lasting_port


@pytest.fixture
async def fake() -> AsyncIterator[FakeSystem]:
    system = FakeSystem()
    async with system.serve():
        yield system


@pytest.fixture
def closed_port() -> int:
    return lasting_port()


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    process = DaemonProcess(tmp_path)
    yield process
    process.kill()


@pytest.fixture
def configure(daemon: DaemonProcess, fake: FakeSystem, closed_port: int) -> Callable[..., None]:
    """Write a configuration: ``erp`` is the fake system, ``depot`` refuses connections."""
    # a daemon that is killed and started again has to be found where it was: no "any free port" then
    callback_port = lasting_port()

    def write(erp: str = "", depot: str = "", extra: str = "", erp_http: str = "") -> None:
        daemon.configure(
            daemon.head(callback_port)
            + f'[notify]\nvia = "webhook"\nurl = "http://127.0.0.1:{fake.port}/notices"\n'
            + '[retry]\nlimit = 3\ndelay = "50ms"\njitter = 0.0\n'
            + f'[systems.erp]\nadapter = "http"\n{erp}\n[systems.erp.http]\nurl = "{fake.url}"\n{erp_http}\n'
            + f'[systems.depot]\nadapter = "http"\n{depot}\n'
            + f'[systems.depot.http]\nurl = "http://127.0.0.1:{closed_port}/jobs"\n'
            + extra
        )

    write()
    return write
