"""Takes very long to be imported."""

from __future__ import annotations

import time

time.sleep(8)  # at fault
