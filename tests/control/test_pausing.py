"""Pausing a system that a reload removes while the pause is being written down."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from connectord.callers import Caller, Role
from connectord.control import params as p
from connectord.control.methods.daemon import DaemonMethods
from connectord.errors import NotFound


@pytest.mark.parametrize("method", ["pause", "resume"])
async def test_a_system_that_a_reload_has_removed_meanwhile_is_not_found(method: str) -> None:
    configured = {"erp": 3}

    async def pause(system: str, paused: bool, caller: Caller) -> None:
        del configured[system]

    services: Any = SimpleNamespace(limit_of=configured.get, pause=pause, systems_view=list)
    call = DaemonMethods(services).calls()[method]
    with pytest.raises(NotFound, match="a reload has removed the system 'erp' meanwhile"):
        await call(p.System(system="erp"), Caller("user:a", Role.ADMIN), lambda *_: None)
