"""The plugin as the daemon finds it."""

from __future__ import annotations

from importlib.metadata import entry_points

import pluggy
from connectord import hookspecs
from connectord.adapters import API_VERSION, Adapter
from connectord_http.adapter import HttpAdapter


def test_the_entry_point_registers_the_adapter() -> None:
    registered: list[tuple[type[Adapter], int]] = []

    def register(adapter: type[Adapter], *, api_version: int = 0) -> None:
        registered.append((adapter, api_version))

    [entry_point] = entry_points(group=hookspecs.ENTRY_POINT_GROUP, name="http")
    plugins = pluggy.PluginManager(hookspecs.PROJECT_NAME)
    plugins.add_hookspecs(hookspecs)
    plugins.register(entry_point.load())
    plugins.check_pending()
    plugins.hook.connectord_register_adapters(register=register)
    assert registered == [(HttpAdapter, API_VERSION)]
