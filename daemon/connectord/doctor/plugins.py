"""Which plugins there are, which could not be loaded, and which are installed in another version by now."""

from __future__ import annotations

from collections.abc import Iterator

from connectord.control import results as r
from connectord.doctor.findings import error, fine, warning
from connectord.plugins import PluginSet

CHECK = "plugins"


def check_plugins(plugins: PluginSet, *, running: bool) -> Iterator[r.Finding]:
    """``plugins`` is what is loaded, with what a new look at what is installed found."""
    for problem in plugins.problems:
        yield error(CHECK, f"not loaded: {problem}", "install it anew, or a version that fits this connectord")
    for plugin in plugins.outdated:
        yield warning(
            CHECK, f"installed, but not in force: {plugin}", "restart the daemon: connectorctl shutdown, then start"
        )
    for plugin in plugins.fresh if running else ():
        yield warning(CHECK, f"installed, but not loaded: {plugin}", "connectorctl reload loads it")
    for (distribution, name), version in plugins.loaded.items():
        yield fine(CHECK, f"{name} {version} of {distribution or 'an unknown distribution'}")
    if not plugins.adapters:
        yield error(CHECK, "no adapter is installed", "install one, such as connectord-http")
