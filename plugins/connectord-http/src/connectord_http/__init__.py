"""connectord's generic HTTP adapter: POST an action as JSON, take the answer at once or by callback."""

from __future__ import annotations

from connectord.hookspecs import RegisterAdapter, hookimpl

from connectord_http.adapter import HttpAdapter


@hookimpl
def connectord_register_adapters(register: RegisterAdapter) -> None:
    """Register the adapter ``http``."""
    register(HttpAdapter, api_version=1)
