"""Hypothesis draws the same examples in every run: a change is what breaks a test, never a draw.

``make fresh-examples`` draws other ones.
"""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("same", derandomize=True)
settings.register_profile("fresh", derandomize=False, database=None, print_blob=True)
settings.load_profile("same")
