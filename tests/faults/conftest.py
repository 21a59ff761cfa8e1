"""A real daemon process, a real system, and a state directory that outlives both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from connectord.testing.daemon_process import DaemonProcess
from connectord.testing.fake_system import FakeSystem


@pytest.fixture
async def fake() -> AsyncIterator[FakeSystem]:
    system = FakeSystem()
    async with system.serve():
        yield system


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    process = DaemonProcess(tmp_path)
    yield process
    process.kill()
