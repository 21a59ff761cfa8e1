"""Ends the process while it is imported, or tries to."""

from __future__ import annotations

import sys

sys.exit(3)  # at fault
