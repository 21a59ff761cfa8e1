"""connectord's generic HTTP adapter: ``adapter = "http"``."""

from __future__ import annotations

from connectord.hookspecs import RegisterAdapter, hookimpl

__all__ = ["connectord_register_adapters"]


@hookimpl
def connectord_register_adapters(register: RegisterAdapter) -> None:
    """Register :class:`connectord_http.adapter.HttpAdapter`."""
    # here, so that looking for plugins stays cheap
    from connectord_http.adapter import HttpAdapter

    register(HttpAdapter, api_version=1)
