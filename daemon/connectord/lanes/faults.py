"""What an adapter does wrong, in words that name the adapter and the line."""

from __future__ import annotations

import sys

from connectord.adapters import Adapter
from connectord.guards.culprits import package_of
from connectord.guards.faults import defined_at, raised_at, words_of


def place_of(error: BaseException, adapter: type[Adapter], method: str) -> str:
    """``file:line`` where the plugin's own code raised the error: the innermost frame that belongs to its package.

    Of an error that came up in nobody's code but ours, such as for a wrong return value, it is where the adapter
    defines ``method``.
    """
    return raised_at(error, package_of(adapter.__module__)) or place_of_method(adapter, method)


def place_of_method(adapter: type[Adapter], method: str) -> str:
    """``file:line`` where the adapter defines ``method``, or at least the file."""
    place = defined_at(getattr(adapter, method, None))
    return place or getattr(sys.modules.get(adapter.__module__), "__file__", None) or adapter.__module__


def fault_words(error: BaseException, adapter: type[Adapter], method: str) -> str:
    """What ``systems``, the card and the log say of an adapter's fault."""
    return f"adapter fault: {words_of(error)} (adapter {adapter.name}, {place_of(error, adapter, method)})"
