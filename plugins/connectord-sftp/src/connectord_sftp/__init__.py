"""connectord's adapter for file drops on SFTP servers: ``adapter = "sftp"``."""

from __future__ import annotations

from connectord.hookspecs import RegisterAdapter, hookimpl

__all__ = ["connectord_register_adapters"]


@hookimpl
def connectord_register_adapters(register: RegisterAdapter) -> None:
    """Register :class:`connectord_sftp.adapter.SftpAdapter`."""
    # here, so that looking for plugins stays cheap
    from connectord_sftp.adapter import SftpAdapter

    register(SftpAdapter, api_version=1)
