"""Finding plugins, and what they bring."""

from __future__ import annotations

from connectord.plugins.loading import load_plugins
from connectord.plugins.registrations import RESERVED_NAMES, Command, Observer, PluginSet

__all__ = ["RESERVED_NAMES", "Command", "Observer", "PluginSet", "load_plugins"]
