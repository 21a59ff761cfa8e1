"""``connectord new-adapter``: a package to begin with."""

from __future__ import annotations

from connectord.cli.new_adapter.names import AdapterNames, names_for
from connectord.cli.new_adapter.writing import write_package

__all__ = ["AdapterNames", "names_for", "write_package"]
