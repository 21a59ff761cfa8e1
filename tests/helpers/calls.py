"""Calls as the lane makes them."""

from __future__ import annotations

from connectord.testing import make_call

__all__ = ["make_call"]
