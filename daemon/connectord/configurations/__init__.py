"""The configuration in force, what a reload would change, and the older versions."""

from __future__ import annotations

from connectord.configurations.current import Configurations

__all__ = ["Configurations"]
