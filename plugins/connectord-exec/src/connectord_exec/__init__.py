"""connectord's adapter for a local command: ``adapter = "exec"``."""

from __future__ import annotations

from connectord.hookspecs import RegisterAdapter, hookimpl

__all__ = ["connectord_register_adapters"]


@hookimpl
def connectord_register_adapters(register: RegisterAdapter) -> None:
    """Register :class:`connectord_exec.adapter.ExecAdapter`."""
    # here, so that looking for plugins stays cheap
    from connectord_exec.adapter import ExecAdapter

    register(ExecAdapter, api_version=1)
